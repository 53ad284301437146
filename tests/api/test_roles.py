"""Roles: who has which, where it shows, what their fields take, and who changes it (docs/decisions/roles.md)."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import bcrypt
import jwt
import pytest
from openapi_spec_validator import validate

from server.app import create_app
from server.settings.roles import Roles
from server.settings.settings import Settings
from server.web.documentation.endpoints import document
from tests.conftest import PASSWORD, Client, Person, post

REQUIRED = ["This field is required."]
UNKNOWN = ["Unknown field."]
NO_ROLE = (400, {"fields": ["Without a role there are no fields."]})
NO_ACCOUNT = (401, {"detail": "No active account found with the given credentials"})
PROFILE_SHAPE = [
    *("id", "user", "description", "location", "date_joined", "updated_on", "is_creator", "role", "fields"),
]


@pytest.fixture
def settings(settings: Settings, school: Roles) -> Settings:
    return replace(settings, roles_file=school)


@pytest.fixture
async def tess(make_person: Callable[..., Any]) -> Person:
    """A teacher."""
    return await make_person("tess", role="teacher", profile={"fields": {"school": "Lyceum"}})


async def path_of(person: Person) -> str:
    return f"/api/accounts/profile/{(await person.profile())['id']}"


async def fields_of(person: Person) -> Any:
    return (await person.profile())["fields"]


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


async def test_a_front_end_reads_all_it_needs_to_draw_a_form(client: Client, school: Roles) -> None:
    response = await client.get("/api/roles/")
    listed = await response.json()
    assert (response.status, [role["name"] for role in listed]) == (200, ["teacher", "student", "principal"])
    assert listed[0] == {
        "name": "teacher",
        "title": "Teacher",
        "registration": True,
        "fields": school.by_name["teacher"].fields,
        "steps": [
            {"title": "Where you teach", "fields": ["school", "address"]},
            {"title": "What you teach", "fields": ["subjects"]},
        ],
    }
    assert (listed[2]["registration"], listed[2]["steps"]) == (False, [])


async def test_the_list_of_roles_is_a_public_door(client: Client) -> None:
    assert (await client.get("/api/roles", headers={"Authorization": "Bearer x"})).status == 401
    assert (await client.post("/api/roles/")).status == 401


async def test_the_role_shows_in_user_profile_and_tokens(tess: Person, anna: Person, staff: Person) -> None:
    assert (await tess.get("/auth/users/me/"))[1]["role"] == "teacher"
    assert (await anna.get("/auth/users/me/"))[1]["role"] is None
    listed = (await staff.get("/auth/users/"))[1]
    assert {user["username"]: user["role"] for user in listed} == {"tess": "teacher", "anna": None, "sofia": None}
    assert (await staff.get(f"/auth/users/{tess.id}/"))[1]["role"] == "teacher"
    profile = await tess.profile()
    assert (list(profile), profile["role"], profile["fields"]) == (PROFILE_SHAPE, "teacher", {"school": "Lyceum"})
    for person, role in ((tess, "teacher"), (anna, None)):
        assert [claims_of(token)["role"] for token in person.tokens.values()] == [role, role]


async def test_an_api_token_speaks_for_the_role_as_it_is_now(tess: Person, database: Any) -> None:
    _, answer = await post(tess.client, "/auth/token/login/", username="tess", password=PASSWORD)
    for role in ("teacher", "student"):
        database.execute("update users set role = %s where id = %s", [role, tess.id])
        for path in ("/auth/users/me/", await path_of(tess)):
            headers = {"Authorization": f"Token {answer['auth_token']}"}
            async with tess.client.get(path, headers=headers) as response:
                assert (await response.json())["role"] == role


async def test_fields_are_whole_in_put_and_merged_in_patch(tess: Person) -> None:
    path = await path_of(tess)
    for method, given, expected in (
        ("PATCH", {"subjects": ["latin"]}, {"school": "Lyceum", "subjects": ["latin"]}),
        ("PATCH", {"subjects": None}, {"school": "Lyceum"}),
        ("PATCH", {}, {"school": "Lyceum"}),
        (
            "PUT",
            {"school": " Gymnasium ", "address": {"city": "Rome"}},
            {"school": "Gymnasium", "address": {"city": "Rome"}},
        ),
        ("PUT", {"school": "Lyceum"}, {"school": "Lyceum"}),
    ):
        status, profile = await tess.ask(method, path, json={"fields": given})
        assert (status, list(profile), profile["fields"]) == (200, PROFILE_SHAPE, expected)
        assert (await tess.get(path))[1] == profile


async def test_an_edit_without_fields_leaves_them(tess: Person) -> None:
    path = await path_of(tess)
    for method in ("PUT", "PATCH"):
        status, profile = await tess.ask(method, path, json={"location": method})
        assert (status, profile["location"], profile["fields"]) == (200, method, {"school": "Lyceum"})


async def test_fields_and_the_rest_of_the_profile_change_together_or_not_at_all(tess: Person) -> None:
    path = await path_of(tess)
    given = {"location": "Rome", "fields": {"school": "Liceo"}}
    status, profile = await tess.put(path, given)
    assert (status, profile.items() >= given.items()) == (200, True)
    for faulty in ({"location": "Oslo", "fields": {"school": 7}}, {"location": "x" * 31, "fields": {"school": "Oslo"}}):
        assert (await tess.put(path, faulty))[0] == 400
    assert await tess.profile() == profile


@pytest.mark.parametrize(
    ("method", "given", "faults"),
    [
        ("PUT", {}, {"school": REQUIRED}),
        ("PATCH", {"school": None}, {"school": REQUIRED}),
        ("PATCH", {"more": 1}, {"more": UNKNOWN}),
        ("PUT", {"school": 7, "more": 1}, {"school": ["Not a valid string."], "more": UNKNOWN}),
        ("PATCH", {"address": {}}, {"address": {"city": REQUIRED}}),
        ("PATCH", {"subjects": ["a", "a"]}, {"subjects": ["Ensure this field has no repeated elements."]}),
        ("PATCH", {"school": "x\0"}, {"school": ["Null characters are not allowed."]}),
        ("PUT", [], {"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]}),
        ("PUT", None, ["This field may not be null."]),
        ("PATCH", {"school": "x" * 17_000}, {"non_field_errors": ["Ensure this field has no more than 16384 bytes."]}),
    ],
)
async def test_fields_that_do_not_fit_are_told_beside_other_faults(
    tess: Person, method: str, given: Any, faults: Any
) -> None:
    path = await path_of(tess)
    before = await tess.profile()
    assert await tess.ask(method, path, json={"fields": given}) == (400, {"fields": faults})
    both = {"fields": faults, "is_creator": ["Must be a valid boolean."]}
    assert await tess.ask(method, path, json={"fields": given, "is_creator": "maybe"}) == (400, both)
    assert await tess.profile() == before


async def test_fields_that_nobody_asked_for_are_ignored_where_the_schema_does_not_speak_of_them(
    make_person: Callable[..., Any],
) -> None:
    student = await make_person("stan", role="student", profile={"fields": {"grade": 3, "is_staff": True}})
    assert await fields_of(student) == {"grade": 3}
    await student.patch(await path_of(student), {"fields": {"role": "principal", "nick": "st"}})
    assert await fields_of(student) == {"grade": 3, "nick": "st"}


async def test_without_a_role_there_are_no_fields(anna: Person, database: Any) -> None:
    path = await path_of(anna)
    for method in ("PUT", "PATCH"):
        assert await anna.ask(method, path, json={"fields": {"school": "x"}, "location": "Rome"}) == NO_ROLE
        # What the profile shows can be sent back as it is.
        assert (await anna.ask(method, path, json=await anna.profile()))[0] == 200
    assert database.execute("select from role_fields").fetchall() == []


async def test_a_form_sends_fields_as_json_text(tess: Person) -> None:
    path = await path_of(tess)
    status, profile = await tess.ask("PATCH", path, data={"fields": '{"subjects": ["latin"]}'})
    assert (status, profile["fields"]) == (200, {"school": "Lyceum", "subjects": ["latin"]})
    status, faults = await tess.ask("PUT", path, data={"fields": "school=x"})
    assert (status, list(faults)) == (400, ["fields"])
    # In JSON a text is a text.
    assert (await tess.ask("PUT", path, json={"fields": '{"school": "x"}'}))[0] == 400


async def test_edits_of_different_fields_at_once_undo_nothing(tess: Person) -> None:
    path = await path_of(tess)
    givens: list[Any] = [
        {"fields": {"school": "Liceo"}},
        {"fields": {"subjects": ["latin"]}},
        {"fields": {"address": {"city": "Rome"}}},
        {"location": "Rome"},
    ]
    answers = await asyncio.gather(*(tess.patch(path, given) for given in givens * 5))
    assert {status for status, _ in answers} == {200}
    profile = await tess.profile()
    assert profile["fields"] == {"school": "Liceo", "subjects": ["latin"], "address": {"city": "Rome"}}
    assert profile["location"] == "Rome"


async def test_who_deletes_the_profile_deletes_the_fields_and_makes_both_anew(tess: Person, database: Any) -> None:
    await tess.delete(await path_of(tess))
    assert database.execute("select fields from role_fields").fetchone() == {"fields": {}}
    path = "/api/accounts/all-profiles"
    assert await tess.post(path, {"fields": {"subjects": []}}) == (400, {"fields": {"school": REQUIRED}})
    given = {"location": "Rome", "fields": {"school": "Liceo"}}
    status, profile = await tess.post(path, given)
    assert (status, list(profile), profile.items() >= given.items()) == (201, PROFILE_SHAPE, True)
    assert await tess.post(path, given) == (409, {"detail": "You have a profile already."})


@pytest.mark.parametrize(
    ("role", "fits"), [("teacher", True), (None, True), ("student", False), ("nobody", False), ("x" * 500, False)]
)
async def test_signing_in_by_role_opens_only_to_accounts_of_that_role(
    tess: Person, database: Any, monkeypatch: pytest.MonkeyPatch, role: str | None, fits: bool
) -> None:
    hashed: Counter[str] = Counter()
    check = bcrypt.checkpw
    monkeypatch.setattr(bcrypt, "checkpw", lambda *given: hashed.update(["run"]) or check(*given))
    before = database.execute("select from sessions").fetchall()
    answer = await post(tess.client, "/auth/jwt/create/", username="tess", password=PASSWORD, role=role)
    assert (answer[0], hashed["run"]) == (200 if fits else 401, 1)
    if not fits:
        assert answer == NO_ACCOUNT
        assert database.execute("select from sessions").fetchall() == before


async def test_who_has_no_role_signs_in_by_none(anna: Person) -> None:
    given = {"username": "anna", "password": PASSWORD}
    assert await post(anna.client, "/auth/jwt/create/", **given, role="teacher") == NO_ACCOUNT
    for role, fault in (([], "Not a valid string."), ("", "This field may not be blank.")):
        assert await post(anna.client, "/auth/jwt/create/", **given, role=role) == (400, {"role": [fault]})


async def test_staff_change_a_role_from_the_next_request_on(tess: Person, staff: Person) -> None:
    path = f"/auth/users/{tess.id}/"
    changed = (await staff.patch(path, {"role": "principal"}))[1]
    assert changed == {"email": "", "id": tess.id, "username": "tess", "role": "principal"}
    assert (await tess.get("/auth/users/me/"))[1] == changed
    assert await tess.put(await path_of(tess), {"fields": {"school": "x"}}) == (400, {"fields": {"since": REQUIRED}})
    assert (await tess.put(await path_of(tess), {"fields": {"since": "2026-01-01"}}))[0] == 200
    _, refreshed = await post(tess.client, "/auth/jwt/refresh/", refresh=tess.tokens["refresh"])
    assert claims_of(refreshed["access"])["role"] == "principal"


async def test_whoever_gets_an_old_role_back_finds_the_old_fields(tess: Person, staff: Person) -> None:
    path = f"/auth/users/{tess.id}/"
    for role, fields in ((None, {}), ("student", {}), ("teacher", {"school": "Lyceum"})):
        assert (await staff.patch(path, {"role": role}))[1]["role"] == role
        profile = await tess.profile()
        assert (profile["role"], profile["fields"]) == (role, fields)


async def test_a_role_that_there_is_not_is_given_to_nobody(tess: Person, staff: Person, database: Any) -> None:
    given = {"role": "nobody", "is_active": False}
    assert await staff.patch(f"/auth/users/{tess.id}/", given) == (400, {"role": ["Not a valid choice."]})
    assert database.execute("select role, is_active from users where username = 'tess'").fetchone() == {
        "role": "teacher",
        "is_active": True,
    }


async def test_staff_change_role_and_address_in_one_call(tess: Person, staff: Person) -> None:
    given = {"role": "student", "email": "tess@new.example"}
    status, user = await staff.patch(f"/auth/users/{tess.id}/", given)
    assert (status, user.items() >= given.items()) == (200, True)


async def test_a_role_from_anybody_but_staff_changes_nothing(tess: Person, staff: Person) -> None:
    for path in ("/auth/users/me/", f"/auth/users/{tess.id}/"):
        for role in ("principal", None, "nobody", 7):
            for method in ("PATCH", "PUT"):
                status, user = await tess.ask(method, path, json={"role": role})
                assert (status, user["role"]) == (200, "teacher")
    assert (await staff.put(f"/auth/users/{tess.id}/", {"role": "student"}))[1]["role"] == "teacher"
    profile = (await tess.patch(await path_of(tess), {"role": "principal"}))[1]
    assert profile["role"] == "teacher"


class TestWithOtherSwitches:
    """LOGIN_FIELD=email and a password asked for twice change the same bodies."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, login_field="email", user_create_password_retype=True)

    async def test_registration_and_sign_in_take_the_role_all_the_same(self, client: Client) -> None:
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


class TestWithARoleThatIsGone:
    """The file has no role of this name any more, or its schema asks for more than before."""

    async def test_it_shows_as_it_is_and_its_fields_cannot_be_edited(self, tess: Person, database: Any) -> None:
        database.execute("insert into role_fields (user_id, role, fields) values (%s, 'gone', '{\"a\": 1}')", [tess.id])
        database.execute("update users set role = 'gone' where id = %s", [tess.id])
        profile = await tess.profile()
        assert (profile["role"], profile["fields"]) == ("gone", {"a": 1})
        assert (await tess.get("/auth/users/me/"))[1]["role"] == "gone"
        for method in ("PUT", "PATCH"):
            refused = await tess.ask(method, await path_of(tess), json={"fields": {"a": 2}})
            assert refused == (400, {"fields": ["The role of this account has no fields any more."]})
            assert (await tess.ask(method, await path_of(tess), json={"location": "Rome"}))[0] == 200
        assert await fields_of(tess) == {"a": 1}

    async def test_fields_that_fitted_once_are_shown_and_asked_for_at_the_next_edit(
        self, tess: Person, database: Any
    ) -> None:
        database.execute("update role_fields set fields = '{}'")
        assert await fields_of(tess) == {}
        assert (await tess.patch(await path_of(tess), {"location": "Rome"}))[0] == 200
        faults = {"fields": {"school": REQUIRED}}
        assert await tess.patch(await path_of(tess), {"fields": {"subjects": []}}) == (400, faults)


class TestTheDocument:
    """OpenAPI names the roles' fields."""

    @pytest.fixture
    def described(self, settings: Settings) -> dict[str, Any]:
        return document(create_app(settings))

    def test_it_is_valid_and_holds_each_roles_schema(self, described: dict[str, Any], school: Roles) -> None:
        validate(described)
        schemas = described["components"]["schemas"]
        teacher = schemas["fields.teacher"]
        assert teacher["required"] == ["school"]
        subject = teacher["properties"]["subjects"]["items"]
        assert subject == {"$ref": "#/components/schemas/fields.teacher/$defs/subject"}
        assert school.by_name["teacher"].fields["properties"]["subjects"]["items"] == {"$ref": "#/$defs/subject"}

    def test_objects_keep_their_names_and_show_the_role(self, described: dict[str, Any]) -> None:
        schemas = described["components"]["schemas"]
        assert schemas["User"]["properties"]["role"]["type"] == ["string", "null"]
        assert schemas["Profile"]["properties"]["fields"]["type"] == "object"
        assert set(schemas["Registration"]["properties"]["role"]["enum"]) == {"teacher", "student", None}
        assert set(schemas["UserEditByStaff"]["properties"]["role"]["enum"]) == {
            *("teacher", "student", "principal", None),
        }
        whole = described["paths"]["/api/accounts/profile/{id}"]["put"]["requestBody"]["content"]["application/json"]
        name = whole["schema"]["$ref"].rpartition("/")[2]
        assert [each["$ref"].rpartition("/")[2] for each in schemas[name]["properties"]["fields"]["anyOf"]] == [
            *("fields.teacher", "fields.student", "fields.principal"),
        ]


class TestWithoutRoles:
    """No ROLES_FILE: objects are the contract's, key for key, whatever the database holds."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, roles_file=Roles())

    async def test_nothing_shows_that_there_could_be_roles(self, anna: Person, staff: Person, database: Any) -> None:
        database.execute("update users set role = 'teacher'")
        path = f"/auth/users/{anna.id}/"
        own = {"email": "anna@example.com", "id": anna.id, "username": "anna"}
        assert await anna.get("/auth/users/me/") == (200, own)
        assert await staff.patch(path, {"role": "student"}) == (200, own)
        assert (await staff.get("/auth/users/"))[1][0] == own
        profile = await anna.profile()
        assert list(profile) == PROFILE_SHAPE[:-2]
        edited = (await anna.put(await path_of(anna), {"fields": 7, "role": 8}))[1]
        assert list(edited) == PROFILE_SHAPE[:-2]
        assert database.execute("select distinct role from users").fetchall() == [{"role": "teacher"}]

    async def test_signing_in_ignores_the_role_and_tokens_do_not_show_it(self, anna: Person) -> None:
        status, pair = await post(
            anna.client, "/auth/jwt/create/", username="anna", password=PASSWORD, role=["anything"]
        )
        assert status == 200
        assert all("role" not in claims_of(token) for token in pair.values())

    async def test_the_list_of_roles_is_empty(self, client: Client) -> None:
        response = await client.get("/api/roles/")
        assert (response.status, await response.json()) == (200, [])
