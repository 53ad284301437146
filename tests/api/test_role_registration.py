"""Registration creates the account, its profile and the fields of its role in one call, or nothing."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import bcrypt
import psycopg
import pytest
from aiohttp import FormData

from server.settings.roles import Roles
from server.settings.settings import Settings
from tests.conftest import PASSWORD, Client, Person, post
from tests.rows import Connection, count, only_row

REQUIRED = ["This field is required."]
NO_CHOICE = ["Not a valid choice."]
NULL = ["This field may not be null."]
ACCOUNT = {"username": "tess", "password": PASSWORD, "email": "tess@example.com"}
FIELDS = {"school": "Lyceum", "subjects": ["latin"], "address": {"city": "Rome"}}
PROFILE = {"description": "I teach.", "location": "Rome", "is_creator": True}
TEACHER = ACCOUNT | {"role": "teacher", "profile": PROFILE | {"fields": FIELDS}}


@pytest.fixture
def settings(settings: Settings, school_roles: Roles) -> Settings:
    return replace(settings, roles_file=school_roles)


async def register(client: Client, given: Any) -> tuple[int, Any]:
    return await post(client, "/auth/users/", **given)


def counts(database: Connection) -> list[int]:
    """How many accounts, profiles and role fields there are."""
    return [count(database, table) for table in ("users", "profiles", "role_fields")]


async def test_one_call_creates_the_account_its_profile_and_its_fields(client: Client, database: Connection) -> None:
    status, user = await register(client, TEACHER)
    assert (status, list(user)) == (201, ["email", "username", "id", "role"])
    assert (user["username"], user["role"], counts(database)) == ("tess", "teacher", [1, 1, 1])
    tess = await Person(client, "tess", user["id"]).sign_in()
    assert (await tess.profile()).items() >= (PROFILE | {"role": "teacher", "fields": FIELDS}).items()


@pytest.mark.parametrize("more", [{}, {"role": None}, {"profile": {}}, {"profile": PROFILE}, {"profile": {"x": 1}}])
async def test_the_role_and_the_profile_may_be_omitted(client: Client, database: Connection, more: Any) -> None:
    status, user = await register(client, ACCOUNT | more)
    assert (status, user["role"], counts(database)) == (201, None, [1, 1, 0])
    tess = await Person(client, "tess", user["id"]).sign_in()
    profile = await tess.profile()
    empty = {"description": None, "location": "", "is_creator": False}
    assert profile.items() >= (empty | (more.get("profile") or {}) | {"role": None}).items() - {("x", 1)}
    assert profile["fields"] == {}


async def test_a_role_without_required_fields_needs_no_profile(client: Client, database: Connection) -> None:
    assert (await register(client, ACCOUNT | {"role": "student"}))[0] == 201
    assert only_row(database, "select role, fields from role_fields") == {"role": "student", "fields": {}}


@pytest.mark.parametrize(
    ("role", "faults"),
    [
        ("principal", NO_CHOICE),
        ("nobody", NO_CHOICE),
        ("Teacher", NO_CHOICE),
        ("", ["This field may not be blank."]),
        ([], ["Not a valid string."]),
        ("x\0", [*NO_CHOICE, "Null characters are not allowed."]),
    ],
)
async def test_only_a_role_that_is_open_to_registration_can_be_chosen(
    client: Client, database: Connection, role: Any, faults: Any
) -> None:
    assert await register(client, TEACHER | {"role": role}) == (400, {"role": faults})
    assert counts(database) == [0, 0, 0]


@pytest.mark.parametrize(
    ("given", "faults"),
    [
        ({"role": "teacher"}, {"profile": {"fields": {"school": REQUIRED}}}),
        ({"role": "teacher", "profile": {}}, {"profile": {"fields": {"school": REQUIRED}}}),
        ({"role": "teacher", "profile": {"fields": {}}}, {"profile": {"fields": {"school": REQUIRED}}}),
        ({"profile": {"fields": {"school": "x"}}}, {"profile": {"fields": ["Without a role there are no fields."]}}),
        ({"profile": None}, {"profile": NULL}),
        (
            {"profile": []},
            {"profile": {"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]}},
        ),
        ({"role": "teacher", "profile": {"fields": None}}, {"profile": {"fields": NULL}}),
        (
            {"role": "teacher", "profile": {"fields": "x"}},
            {"profile": {"fields": {"non_field_errors": ["Invalid data. Expected a dictionary, but got str."]}}},
        ),
        (
            {
                "username": "",
                "email": "x",
                "role": "teacher",
                "profile": {
                    "location": "x" * 31,
                    "is_creator": "maybe",
                    "fields": {"school": "", "subjects": ["latin", "7"], "address": {}, "more": 1},
                },
            },
            {
                "username": ["This field may not be blank."],
                "email": ["Enter a valid email address."],
                "profile": {
                    "location": ["Ensure this field has no more than 30 characters."],
                    "is_creator": ["Must be a valid boolean."],
                    "fields": {
                        "school": ["This field may not be blank."],
                        "subjects": {"1": ["This value does not match the required pattern."]},
                        "address": {"city": REQUIRED},
                        "more": ["Unknown field."],
                    },
                },
            },
        ),
        (
            {"password": "12345678", "role": "teacher"},
            {
                "password": ["This password is too common.", "This password is entirely numeric."],
                "profile": {"fields": {"school": REQUIRED}},
            },
        ),
        (
            {"role": "student", "profile": {"location": None, "fields": {"grade": 2**70, "nick": "a\0b"}}},
            {
                "profile": {
                    "location": NULL,
                    "fields": {
                        "grade": ["Ensure this number has no more than 64 bits."],
                        "nick": ["Null characters are not allowed."],
                    },
                }
            },
        ),
        (
            {"role": "student", "profile": {"fields": {"nick": "\ud800"}}},
            {"profile": {"fields": {"nick": ["Surrogate characters are not allowed: U+D800."]}}},
        ),
    ],
)
async def test_the_faults_of_all_parts_are_reported_together_and_nothing_is_stored(
    client: Client, database: Connection, monkeypatch: pytest.MonkeyPatch, given: Any, faults: Any
) -> None:
    monkeypatch.setattr(bcrypt, "hashpw", None)  # a refused registration runs no hash
    assert await register(client, ACCOUNT | given) == (400, faults)
    assert counts(database) == [0, 0, 0]


async def test_a_taken_username_is_reported_together_with_faults_of_the_fields(client: Client) -> None:
    assert (await register(client, TEACHER))[0] == 201
    assert await register(client, ACCOUNT | {"role": "teacher", "email": ""}) == (
        400,
        {"username": ["A user with that username already exists."], "profile": {"fields": {"school": REQUIRED}}},
    )


async def test_fields_that_the_caller_may_not_set_are_ignored(client: Client, database: Connection) -> None:
    hostile = {"user_id": 1, "user": "anna", "id": 77, "updated_on": "x", "role": "principal"}
    given = TEACHER | {"is_staff": True, "profile": PROFILE | {"fields": FIELDS} | hostile}
    assert (await register(client, given))[1]["role"] == "teacher"
    assert only_row(database, "select is_staff from users") == {"is_staff": False}


@pytest.mark.parametrize("multipart", [False, True])
async def test_a_form_names_the_fields_of_the_profile_with_a_dot(client: Client, multipart: bool) -> None:
    form = {**ACCOUNT, "role": "teacher", "profile.location": "Rome", "profile.fields": '{"school": " Lyceum "}'}
    status, user = await send_form(client, form, multipart)
    assert status == 201, user
    tess = await Person(client, "tess", user["id"]).sign_in()
    expected = {"location": "Rome", "description": None, "is_creator": False, "fields": {"school": "Lyceum"}}
    assert (await tess.profile()).items() >= expected.items()


@pytest.mark.parametrize("text", ["{broken", "[1]", "", '"x"', "{" * 5000, '{"a":1,"a":2}'])
async def test_role_fields_in_a_form_must_be_a_json_object(client: Client, text: str) -> None:
    status, faults = await send_form(client, {**ACCOUNT, "role": "student", "profile.fields": text}, False)
    assert (status, list(faults), list(faults["profile"]["fields"])) == (400, ["profile"], ["non_field_errors"])


async def send_form(client: Client, form: dict[str, str], multipart: bool) -> tuple[int, Any]:
    async with client.post("/auth/users/", data=FormData(form, default_to_multipart=multipart)) as response:
        return response.status, await response.json()


@pytest.fixture
def broken_fields(database: Connection) -> Iterator[None]:
    """A database in which the last of the three inserts fails."""
    database.execute(
        "create function fail() returns trigger language plpgsql as $$ begin raise 'no'; end $$;"
        "create trigger fail before update on role_fields for each row execute function fail()"
    )
    yield
    database.execute("drop trigger fail on role_fields; drop function fail()")


@pytest.mark.breaks_the_service
async def test_a_failure_at_the_last_insert_stores_nothing(
    client: Client, database: Connection, broken_fields: None
) -> None:
    assert (await register(client, TEACHER))[0] == 500
    assert counts(database) == [0, 0, 0]


async def test_of_many_registrations_of_one_username_at_once_one_is_stored_completely(
    client: Client, database: Connection
) -> None:
    def given(number: int) -> Any:
        profile = {"location": str(number), "fields": {"school": str(number)}}
        return TEACHER | {"username": "TESS" if number % 2 else "tess", "email": "", "profile": profile}

    responses = await asyncio.gather(*(register(client, given(number)) for number in range(20)))
    assert sorted(status for status, _ in responses) == [201] + [400] * 19
    assert [body for status, body in responses if status == 400] == [
        {"username": ["A user with that username already exists."]}
    ] * 19
    assert counts(database) == [1, 1, 1]
    row = only_row(database, "select location, fields ->> 'school' as school from profiles, role_fields")
    assert row["location"] == row["school"]


async def test_an_account_inserted_by_psql_has_a_row_for_its_role_fields(database: Connection) -> None:
    database.execute("insert into users (username, role) values ('anna', 'teacher')")
    assert counts(database) == [1, 1, 1]
    for role in ("Teacher", "", "1", "a" * 32, "a b"):
        with pytest.raises(psycopg.errors.CheckViolation):
            database.execute("update users set role = %s", [role])
    with pytest.raises(psycopg.errors.CheckViolation):
        database.execute("update role_fields set fields = '[]'")


class TestWithoutRoles:
    """No ROLES_FILE: `role` is an unknown field and is ignored; a profile can still be sent."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, roles_file=Roles())

    async def test_the_profile_is_stored_and_no_role_is_shown(self, client: Client, database: Connection) -> None:
        status, user = await register(client, TEACHER | {"role": ["anything"]})
        assert (status, list(user)) == (201, ["email", "username", "id"])
        tess = await Person(client, "tess", user["id"]).sign_in()
        profile = await tess.profile()
        assert list(profile) == [
            *("id", "user", "description", "location", "date_joined", "updated_on", "is_creator"),
        ]
        assert profile.items() >= PROFILE.items()
        assert counts(database) == [1, 1, 0]

    async def test_faults_of_the_profile_are_reported_together_with_those_of_the_account(self, client: Client) -> None:
        given = {"username": "", "password": PASSWORD, "profile": {"location": "x" * 31}}
        assert await register(client, given) == (
            400,
            {
                "username": ["This field may not be blank."],
                "profile": {"location": ["Ensure this field has no more than 30 characters."]},
            },
        )
