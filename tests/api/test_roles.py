"""Roles: which account has which, where a role is shown, and who changes it (docs/decisions/roles.md)."""

from collections import Counter
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import validate

from server.app import create_app
from server.settings.roles import Roles
from server.settings.settings import Settings
from server.web.documentation.endpoints import document
from tests.api.profiles import SHAPE_WITH_ROLE, path_of
from tests.conftest import PASSWORD, Client, Person, post
from tests.jwts import claims_of
from tests.rows import Connection, count, only_row

REQUIRED = ["This field is required."]
NO_ACCOUNT = (401, {"detail": "No active account found with the given credentials"})


@pytest.fixture
def settings(settings: Settings, school_roles: Roles) -> Settings:
    return replace(settings, roles_file=school_roles)


@pytest.mark.parametrize(("path", "name"), [("/auth/users/", "username"), ("/api/accounts/all-profiles", "user")])
async def test_lists_are_filtered_by_role(staff: Person, database: Connection, path: str, name: str) -> None:
    database.execute(
        "insert into users (username, role) values ('tess', 'teacher'), ('tom', 'teacher'), ('stan', 'student')"
    )
    for query, found in (
        ("role=teacher", ["tess", "tom"]),
        ("role=teacher&search=to", ["tom"]),
        ("role=teacher&ordering=-id", ["tom", "tess"]),
        ("role=principal", []),
        ("role=unknown", []),
    ):
        status, rows = await staff.get(f"{path}?{query}")
        assert (status, [row[name] for row in rows]) == (200, found)


async def test_the_list_of_roles_has_all_that_a_form_needs(client: Client, school_roles: Roles) -> None:
    response = await client.get("/api/roles/")
    listed = await response.json()
    assert (response.status, [role["name"] for role in listed]) == (200, ["teacher", "student", "principal"])
    assert listed[0] == {
        "name": "teacher",
        "title": "Teacher",
        "registration": True,
        "fields": school_roles.by_name["teacher"].fields,
        "steps": [
            {"title": "Where you teach", "fields": ["school", "address"]},
            {"title": "What you teach", "fields": ["subjects"]},
        ],
    }
    assert (listed[2]["registration"], listed[2]["steps"]) == (False, [])


async def test_the_list_of_roles_is_public_and_read_only(client: Client) -> None:
    assert (await client.get("/api/roles", headers={"Authorization": "Bearer x"})).status == 401
    assert (await client.post("/api/roles/")).status == 401


async def test_the_role_is_shown_in_the_user_object_the_profile_and_the_tokens(
    tess: Person, anna: Person, staff: Person
) -> None:
    assert (await tess.get("/auth/users/me/"))[1]["role"] == "teacher"
    assert (await anna.get("/auth/users/me/"))[1]["role"] is None
    listed = (await staff.get("/auth/users/"))[1]
    assert {user["username"]: user["role"] for user in listed} == {"tess": "teacher", "anna": None, "sofia": None}
    assert (await staff.get(f"/auth/users/{tess.id}/"))[1]["role"] == "teacher"
    profile = await tess.profile()
    assert (list(profile), profile["role"], profile["fields"]) == (SHAPE_WITH_ROLE, "teacher", {"school": "Lyceum"})
    for person, role in ((tess, "teacher"), (anna, None)):
        assert [claims_of(token)["role"] for token in person.tokens.values()] == [role, role]


async def test_a_request_with_an_api_token_sees_the_present_role(tess: Person, database: Connection) -> None:
    _, body = await post(tess.client, "/auth/token/login/", username="tess", password=PASSWORD)
    for role in ("teacher", "student"):
        database.execute("update users set role = %s where id = %s", [role, tess.id])
        for path in ("/auth/users/me/", await path_of(tess)):
            headers = {"Authorization": f"Token {body['auth_token']}"}
            async with tess.client.get(path, headers=headers) as response:
                assert (await response.json())["role"] == role


@pytest.mark.parametrize(
    ("role", "fits"), [("teacher", True), (None, True), ("student", False), ("nobody", False), ("x" * 500, False)]
)
async def test_signing_in_with_a_role_succeeds_only_for_accounts_of_that_role(
    tess: Person, database: Connection, hashes: Counter[str], role: str | None, fits: bool
) -> None:
    hashes.clear()
    before = count(database, "sessions")
    response = await post(tess.client, "/auth/jwt/create/", username="tess", password=PASSWORD, role=role)
    assert (response[0], hashes["run"]) == (200 if fits else 401, 1)
    if not fits:
        assert response == NO_ACCOUNT
        assert count(database, "sessions") == before


async def test_an_account_without_a_role_signs_in_with_no_role(anna: Person) -> None:
    given = {"username": "anna", "password": PASSWORD}
    assert await post(anna.client, "/auth/jwt/create/", **given, role="teacher") == NO_ACCOUNT
    for role, fault in (([], "Not a valid string."), ("", "This field may not be blank.")):
        assert await post(anna.client, "/auth/jwt/create/", **given, role=role) == (400, {"role": [fault]})


async def test_a_role_that_staff_change_is_in_force_at_the_next_request(tess: Person, staff: Person) -> None:
    path = f"/auth/users/{tess.id}/"
    changed = (await staff.patch(path, {"role": "principal"}))[1]
    own = {"email": "", "id": tess.id, "username": "tess", "role": "principal"}
    assert changed == changed | own
    assert (await tess.get("/auth/users/me/"))[1] == own
    assert await tess.put(await path_of(tess), {"fields": {"school": "x"}}) == (400, {"fields": {"since": REQUIRED}})
    assert (await tess.put(await path_of(tess), {"fields": {"since": "2026-01-01"}}))[0] == 200
    _, refreshed = await post(tess.client, "/auth/jwt/refresh/", refresh=tess.tokens["refresh"])
    assert claims_of(refreshed["access"])["role"] == "principal"


async def test_an_account_that_gets_an_old_role_again_has_its_old_fields(tess: Person, staff: Person) -> None:
    path = f"/auth/users/{tess.id}/"
    for role, fields in ((None, {}), ("student", {}), ("teacher", {"school": "Lyceum"})):
        assert (await staff.patch(path, {"role": role}))[1]["role"] == role
        profile = await tess.profile()
        assert (profile["role"], profile["fields"]) == (role, fields)


async def test_staff_cannot_set_an_unknown_role(tess: Person, staff: Person, database: Connection) -> None:
    given = {"role": "nobody", "is_active": False}
    assert await staff.patch(f"/auth/users/{tess.id}/", given) == (400, {"role": ["Not a valid choice."]})
    assert only_row(database, "select role, is_active from users where username = 'tess'") == {
        "role": "teacher",
        "is_active": True,
    }


async def test_staff_can_change_role_and_address_in_one_call(tess: Person, staff: Person) -> None:
    given = {"role": "student", "email": "tess@new.example"}
    status, user = await staff.patch(f"/auth/users/{tess.id}/", given)
    assert (status, user.items() >= given.items()) == (200, True)


async def test_a_role_sent_by_a_caller_who_is_not_staff_is_ignored(tess: Person, staff: Person) -> None:
    for path in ("/auth/users/me/", f"/auth/users/{tess.id}/"):
        for role in ("principal", None, "nobody", 7):
            for method in ("PATCH", "PUT"):
                status, user = await tess.ask(method, path, json={"role": role})
                assert (status, user["role"]) == (200, "teacher")
    assert (await staff.put(f"/auth/users/{tess.id}/", {"role": "student"}))[1]["role"] == "teacher"
    profile = (await tess.patch(await path_of(tess), {"role": "principal"}))[1]
    assert profile["role"] == "teacher"


class TestWithOtherSettings:
    """LOGIN_FIELD=email and USER_CREATE_PASSWORD_RETYPE change the same request bodies."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, login_field="email", user_create_password_retype=True)

    async def test_registration_and_sign_in_accept_the_role_too(self, client: Client) -> None:
        account = {"username": "tess", "email": "tess@example.com", "password": PASSWORD, "role": "teacher"}
        faults = {"re_password": REQUIRED, "profile": {"fields": {"school": REQUIRED}}}
        assert await post(client, "/auth/users/", **account) == (400, faults)
        whole = account | {"re_password": PASSWORD, "profile": {"fields": {"school": "Lyceum"}}}
        assert (await post(client, "/auth/users/", **whole))[1]["role"] == "teacher"
        for role, status in (("teacher", 200), ("student", 401)):
            given = {"email": "TESS@example.com", "password": PASSWORD, "role": role}
            assert (await post(client, "/auth/jwt/create/", **given))[0] == status

    def test_the_document_is_valid(self, settings: Settings) -> None:
        validate(document(create_app(settings)))


class TestTheDocument:
    """The OpenAPI document describes the fields of the roles."""

    @pytest.fixture
    def described(self, settings: Settings) -> dict[str, Any]:
        return document(create_app(settings))

    def test_it_is_valid_and_has_the_schema_of_each_role(self, described: dict[str, Any], school_roles: Roles) -> None:
        validate(described)
        schemas = described["components"]["schemas"]
        assert schemas["TeacherFieldsInput"]["required"] == ["school"]
        for name in ("TeacherFields", "TeacherFieldsInput"):  # no generator follows a reference into a schema
            subject = schemas[name]["properties"]["subjects"]["items"]
            assert subject == {"type": "string", "pattern": "^[a-z]+$"}
        assert school_roles.by_name["teacher"].fields["properties"]["subjects"]["items"] == {"$ref": "#/$defs/subject"}

    def test_a_profile_is_one_of_a_role_whose_fields_it_has(self, described: dict[str, Any]) -> None:
        schemas = described["components"]["schemas"]
        kinds = [each["$ref"].rpartition("/")[2] for each in schemas["Profile"]["oneOf"]]
        assert kinds == ["TeacherProfile", "StudentProfile", "PrincipalProfile", "ProfileWithoutRole"]
        teacher = schemas["TeacherProfile"]["properties"]
        assert teacher["role"] == {"type": "string", "const": "teacher"}
        assert teacher["fields"] == {"$ref": "#/components/schemas/TeacherFields"}
        assert "required" not in schemas["TeacherFields"]  # staff may give the role before the fields are known
        assert schemas["ProfileWithoutRole"]["properties"]["role"] == {"type": "null"}

    async def test_every_profile_is_as_the_document_says(
        self, described: dict[str, Any], anna: Person, staff: Person, client: Client
    ) -> None:
        account = {"username": "tess", "password": PASSWORD, "role": "teacher", "profile": {"fields": {"school": "A"}}}
        assert (await client.post("/auth/users/", json=account)).status == 201
        await staff.patch(f"/auth/users/{anna.id}/", {"role": "principal"})
        _, profiles = await anna.get("/api/accounts/all-profiles")
        schema = {"$ref": "#/components/schemas/Profile", "components": described["components"]}
        assert {each["role"] for each in profiles} == {"teacher", "principal", None}
        for each in profiles:
            jsonschema.validate(each, schema)

    def test_schemas_keep_their_names_and_have_the_role(self, described: dict[str, Any]) -> None:
        schemas = described["components"]["schemas"]
        for name in ("User", "UserDetails", "UserUpdate", "Credentials"):
            role = schemas[name]["properties"]["role"]
            assert role["anyOf"] == [{"$ref": "#/components/schemas/RoleName"}, {"type": "null"}]
        assert schemas["RoleName"]["enum"] == ["teacher", "student", "principal"]
        assert schemas["RegistrationRole"]["enum"] == ["teacher", "student"]
        whole = described["paths"]["/api/accounts/profile/{id}"]["put"]["requestBody"]["content"]["application/json"]
        name = whole["schema"]["$ref"].rpartition("/")[2]
        assert [each["$ref"].rpartition("/")[2] for each in schemas[name]["properties"]["fields"]["anyOf"]] == [
            *("TeacherFieldsInput", "StudentFieldsInput", "PrincipalFieldsInput"),
        ]

    def test_without_a_role_to_choose_a_registration_has_none(self, settings: Settings, school_roles: Roles) -> None:
        principal = Roles("file", {"principal": school_roles.by_name["principal"]})
        described = document(create_app(replace(settings, roles_file=principal)))
        validate(described)
        role = described["components"]["schemas"]["Registration"]["properties"]["role"]
        assert role["anyOf"] == [{"type": "null"}]


class TestWithoutRoles:
    """No ROLES_FILE: objects have exactly the keys of the contract, whatever the database holds."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, roles_file=Roles())

    async def test_no_object_has_a_role_or_fields(self, anna: Person, staff: Person, database: Connection) -> None:
        database.execute("update users set role = 'teacher'")
        path = f"/auth/users/{anna.id}/"
        own = {"email": "anna@example.com", "id": anna.id, "username": "anna"}
        assert await anna.get("/auth/users/me/") == (200, own)
        status, user = await staff.patch(path, {"role": "student"})
        assert (status, user) == (200, user | own)
        assert "role" not in user
        assert "role" not in (await staff.get("/auth/users/"))[1][0]
        profile = await anna.profile()
        assert list(profile) == SHAPE_WITH_ROLE[:-2]
        edited = (await anna.put(await path_of(anna), {"fields": 7, "role": 8}))[1]
        assert list(edited) == SHAPE_WITH_ROLE[:-2]
        assert database.execute("select distinct role from users").fetchall() == [{"role": "teacher"}]

    async def test_signing_in_ignores_the_role_and_tokens_do_not_have_it(self, anna: Person) -> None:
        status, pair = await post(
            anna.client, "/auth/jwt/create/", username="anna", password=PASSWORD, role=["anything"]
        )
        assert status == 200
        assert all("role" not in claims_of(token) for token in pair.values())

    async def test_the_list_of_roles_is_empty(self, client: Client) -> None:
        response = await client.get("/api/roles/")
        assert (response.status, await response.json()) == (200, [])
