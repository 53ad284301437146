"""Uses the client that openapi-python-client generates for the site of school.toml. The argument is its URL."""

import sys

from school_client import AuthenticatedClient, Client
from school_client.api.profiles import get_my_profile, list_profiles, update_profile
from school_client.api.sign_in import refresh_access_token, sign_in, sign_out
from school_client.api.users import create_user, get_me, update_me
from school_client.models import (
    ApiError,
    Credentials,
    EmptyObject,
    ProfileInput,
    ProfileUpdate,
    RefreshedTokens,
    RefreshToken,
    Registration,
    RegistrationRole,
    RoleName,
    TeacherFieldsInput,
    TeacherFieldsUpdate,
    TeacherProfile,
    TokenPair,
    User,
    UserDetails,
    UserUpdate,
)

EMAIL, PASSWORD = "python@example.com", "correct horse battery"


def main(url: str) -> None:
    """Register as a teacher, sign in, read and edit, refresh, sign out."""
    client = Client(base_url=url)
    account = Registration(
        email=EMAIL,
        password=PASSWORD,
        first_name="Anna",
        role=RegistrationRole.TEACHER,
        profile=ProfileInput(fields=TeacherFieldsInput(school="Lyceum")),
    )
    created = create_user.sync(client=client, body=account)
    assert isinstance(created, User)
    assert created.role is RoleName.TEACHER

    credentials = Credentials(email=EMAIL, password=PASSWORD, role=RoleName.TEACHER)
    pair = sign_in.sync(client=client, body=credentials)
    assert isinstance(pair, TokenPair)
    signed_in = AuthenticatedClient(base_url=url, token=pair.access)
    me = get_me.sync(client=signed_in)
    assert isinstance(me, User)
    assert (me.first_name, me.newsletter) == ("Anna", False)
    edited = update_me.sync(client=signed_in, body=UserUpdate(first_name="Bea", newsletter=True))
    assert isinstance(edited, UserDetails)
    assert (edited.first_name, edited.newsletter) == ("Bea", True)

    profile = get_my_profile.sync(client=signed_in)
    assert isinstance(profile, TeacherProfile)
    assert profile.fields.school == "Lyceum"
    subjects = ProfileUpdate(fields=TeacherFieldsUpdate(subjects=["latin"]))
    changed = update_profile.sync(profile.id, client=signed_in, body=subjects)
    assert isinstance(changed, TeacherProfile)
    assert (changed.fields.school, changed.fields.subjects) == ("Lyceum", ["latin"])
    listed = list_profiles.sync(client=signed_in)
    assert isinstance(listed, list)

    refreshed = refresh_access_token.sync(client=client, body=RefreshToken(refresh=pair.refresh))
    assert isinstance(refreshed, RefreshedTokens)
    renewed = AuthenticatedClient(base_url=url, token=refreshed.access)
    assert isinstance(get_me.sync(client=renewed), User)
    assert isinstance(sign_out.sync(client=client, body=RefreshToken(refresh=pair.refresh)), EmptyObject)
    assert isinstance(get_me.sync(client=renewed), ApiError)


main(sys.argv[1])
