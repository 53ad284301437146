"""Registration in one call: account, profile and the role's fields, all of them or nothing."""

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

REQUIRED = ["This field is required."]
NO_CHOICE = ["Not a valid choice."]
NULL = ["This field may not be null."]
ACCOUNT = {"username": "tess", "password": PASSWORD, "email": "tess@example.com"}
FIELDS = {"school": "Lyceum", "subjects": ["latin"], "address": {"city": "Rome"}}
PROFILE = {"description": "I teach.", "location": "Rome", "is_creator": True}
TEACHER = ACCOUNT | {"role": "teacher", "profile": PROFILE | {"fields": FIELDS}}


@pytest.fixture
def settings(settings: Settings, school: Roles) -> Settings:
    return replace(settings, roles_file=school)


async def register(client: Client, given: Any) -> tuple[int, Any]:
    return await post(client, "/auth/users/", **given)


def everything(database: Any) -> list[int]:
    return [
        len(database.execute(f"select * from {table}").fetchall()) for table in ("users", "profiles", "role_fields")
    ]


async def test_one_call_makes_account_profile_and_fields(client: Client, database: Any) -> None:
    status, user = await register(client, TEACHER)
    assert (status, list(user)) == (201, ["email", "username", "id", "role"])
    assert (user["username"], user["role"], everything(database)) == ("tess", "teacher", [1, 1, 1])
    tess = await Person(client, "tess", user["id"]).sign_in()
    assert (await tess.profile()).items() >= (PROFILE | {"role": "teacher", "fields": FIELDS}).items()


@pytest.mark.parametrize("more", [{}, {"role": None}, {"profile": {}}, {"profile": PROFILE}, {"profile": {"x": 1}}])
async def test_a_role_and_a_profile_may_be_left_out(client: Client, database: Any, more: Any) -> None:
    status, user = await register(client, ACCOUNT | more)
    assert (status, user["role"], everything(database)) == (201, None, [1, 1, 0])
    tess = await Person(client, "tess", user["id"]).sign_in()
    profile = await tess.profile()
    blank = {"description": None, "location": "", "is_creator": False}
    assert profile.items() >= (blank | (more.get("profile") or {}) | {"role": None}).items() - {("x", 1)}
    assert profile["fields"] == {}


async def test_a_role_without_required_fields_needs_no_profile(client: Client, database: Any) -> None:
    assert (await register(client, ACCOUNT | {"role": "student"}))[0] == 201
    assert database.execute("select role, fields from role_fields").fetchone() == {"role": "student", "fields": {}}


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
async def test_only_roles_that_are_open_to_all_can_be_taken(
    client: Client, database: Any, role: Any, faults: Any
) -> None:
    assert await register(client, TEACHER | {"role": role}) == (400, {"role": faults})
    assert everything(database) == [0, 0, 0]


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
async def test_all_faults_of_all_parts_are_told_together_and_nothing_is_made(
    client: Client, database: Any, monkeypatch: pytest.MonkeyPatch, given: Any, faults: Any
) -> None:
    monkeypatch.setattr(bcrypt, "hashpw", None)  # no hash is run for what is refused
    assert await register(client, ACCOUNT | given) == (400, faults)
    assert everything(database) == [0, 0, 0]


async def test_a_name_that_is_taken_is_told_beside_the_faults_of_the_fields(client: Client) -> None:
    assert (await register(client, TEACHER))[0] == 201
    assert await register(client, ACCOUNT | {"role": "teacher", "email": ""}) == (
        400,
        {"username": ["A user with that username already exists."], "profile": {"fields": {"school": REQUIRED}}},
    )


async def test_fields_that_are_not_the_callers_to_set_change_nothing(client: Client, database: Any) -> None:
    hostile = {"user_id": 1, "user": "anna", "id": 77, "updated_on": "x", "role": "principal"}
    given = TEACHER | {"is_staff": True, "profile": PROFILE | {"fields": FIELDS} | hostile}
    assert (await register(client, given))[1]["role"] == "teacher"
    assert database.execute("select is_staff from users").fetchone() == {"is_staff": False}


@pytest.mark.parametrize("multipart", [False, True])
async def test_a_form_names_the_parts_with_a_dot(client: Client, multipart: bool) -> None:
    form = {**ACCOUNT, "role": "teacher", "profile.location": "Rome", "profile.fields": '{"school": " Lyceum "}'}
    status, user = await send_form(client, form, multipart)
    assert status == 201, user
    tess = await Person(client, "tess", user["id"]).sign_in()
    expected = {"location": "Rome", "description": None, "is_creator": False, "fields": {"school": "Lyceum"}}
    assert (await tess.profile()).items() >= expected.items()


@pytest.mark.parametrize("text", ["{broken", "[1]", "", '"x"', "{" * 5000, '{"a":1,"a":2}'])
async def test_fields_of_a_form_that_are_no_json_object_are_a_field_error(client: Client, text: str) -> None:
    status, faults = await send_form(client, {**ACCOUNT, "role": "student", "profile.fields": text}, False)
    assert (status, list(faults), list(faults["profile"]["fields"])) == (400, ["profile"], ["non_field_errors"])


async def send_form(client: Client, form: dict[str, str], multipart: bool) -> tuple[int, Any]:
    async with client.post("/auth/users/", data=FormData(form, default_to_multipart=multipart)) as response:
        return response.status, await response.json()


@pytest.fixture
def broken_fields(database: Any) -> Iterator[None]:
    """A database that fails at the last of the three parts."""
    database.execute(
        "create function fail() returns trigger language plpgsql as $$ begin raise 'no'; end $$;"
        "create trigger fail before update on role_fields for each row execute function fail()"
    )
    yield
    database.execute("drop trigger fail on role_fields; drop function fail()")


async def test_a_failure_in_the_middle_leaves_nothing(client: Client, database: Any, broken_fields: None) -> None:
    assert (await register(client, TEACHER))[0] == 500
    assert everything(database) == [0, 0, 0]


async def test_many_at_once_with_one_name_make_one_account_with_one_whole_profile(
    client: Client, database: Any
) -> None:
    def given(number: int) -> Any:
        profile = {"location": str(number), "fields": {"school": str(number)}}
        return TEACHER | {"username": "TESS" if number % 2 else "tess", "email": "", "profile": profile}

    answers = await asyncio.gather(*(register(client, given(number)) for number in range(20)))
    assert sorted(status for status, _ in answers) == [201] + [400] * 19
    assert [body for status, body in answers if status == 400] == [
        {"username": ["A user with that username already exists."]}
    ] * 19
    assert everything(database) == [1, 1, 1]
    row = database.execute("select location, fields ->> 'school' as school from profiles, role_fields").fetchone()
    assert row["location"] == row["school"]


async def test_a_user_whom_psql_inserts_has_the_part_of_the_role(database: Any) -> None:
    database.execute("insert into users (username, role) values ('anna', 'teacher')")
    assert everything(database) == [1, 1, 1]
    for role in ("Teacher", "", "1", "a" * 32, "a b"):
        with pytest.raises(psycopg.errors.CheckViolation):
            database.execute("update users set role = %s", [role])
    with pytest.raises(psycopg.errors.CheckViolation):
        database.execute("update role_fields set fields = '[]'")


class TestWithoutRoles:
    """No ROLES_FILE: a role is a field like any other that nobody asked for; a profile can be sent all the same."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, roles_file=Roles())

    async def test_a_profile_is_filled_and_nothing_shows_of_roles(self, client: Client, database: Any) -> None:
        status, user = await register(client, TEACHER | {"role": ["anything"]})
        assert (status, list(user)) == (201, ["email", "username", "id"])
        tess = await Person(client, "tess", user["id"]).sign_in()
        profile = await tess.profile()
        assert list(profile) == [
            *("id", "user", "description", "location", "date_joined", "updated_on", "is_creator"),
        ]
        assert profile.items() >= PROFILE.items()
        assert everything(database) == [1, 1, 0]

    async def test_faults_of_the_profile_are_told_beside_those_of_the_account(self, client: Client) -> None:
        given = {"username": "", "password": PASSWORD, "profile": {"location": "x" * 31}}
        assert await register(client, given) == (
            400,
            {
                "username": ["This field may not be blank."],
                "profile": {"location": ["Ensure this field has no more than 30 characters."]},
            },
        )
