"""Uses the client that openapi-python-client generates for a site without a site file. The argument is its URL."""

import sys

from stock_client import AuthenticatedClient, Client
from stock_client.api.profiles import get_my_profile, update_profile
from stock_client.api.sign_in import refresh_access_token, sign_in, sign_out
from stock_client.api.users import create_user, get_me, update_me
from stock_client.models import (
    ApiError,
    Credentials,
    EmptyObject,
    FieldErrors,
    Profile,
    ProfileInput,
    ProfileUpdate,
    RefreshedTokens,
    RefreshToken,
    Registration,
    TokenPair,
    User,
    UserDetails,
    UserUpdate,
)

NAME, PASSWORD = "python", "correct horse battery"


def main(url: str) -> None:
    """Register, sign in, read and edit, refresh, sign out."""
    client = Client(base_url=url)
    account = Registration(username=NAME, password=PASSWORD, profile=ProfileInput(location="Lisbon"))
    created = create_user.sync(client=client, body=account)
    assert isinstance(created, User)
    taken = create_user.sync(client=client, body=account)
    assert isinstance(taken, FieldErrors)
    assert taken["username"] == ["A user with that username already exists."]

    pair = sign_in.sync(client=client, body=Credentials(username=NAME, password=PASSWORD))
    assert isinstance(pair, TokenPair)
    signed_in = AuthenticatedClient(base_url=url, token=pair.access)
    me = get_me.sync(client=signed_in)
    assert isinstance(me, User)
    assert (me.id, me.username) == (created.id, NAME)
    edited = update_me.sync(client=signed_in, body=UserUpdate(email="python@example.com"))
    assert isinstance(edited, UserDetails)
    assert edited.email == "python@example.com"

    profile = get_my_profile.sync(client=signed_in)
    assert isinstance(profile, Profile)
    assert (profile.location, profile.date_joined.year > 2000) == ("Lisbon", True)
    changed = update_profile.sync(profile.id, client=signed_in, body=ProfileUpdate(is_creator=True))
    assert isinstance(changed, Profile)
    assert changed.is_creator

    refreshed = refresh_access_token.sync(client=client, body=RefreshToken(refresh=pair.refresh))
    assert isinstance(refreshed, RefreshedTokens)
    renewed = AuthenticatedClient(base_url=url, token=refreshed.access)
    assert isinstance(get_me.sync(client=renewed), User)
    assert isinstance(sign_out.sync(client=client, body=RefreshToken(refresh=pair.refresh)), EmptyObject)
    ended = get_me.sync(client=renewed)
    assert isinstance(ended, ApiError)
    assert ended.code == "token_not_valid"


main(sys.argv[1])
