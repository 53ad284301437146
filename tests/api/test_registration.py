"""Registration: what it accepts, stores and refuses (contract 2, 3, 11.4, 11.5)."""

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from server.settings.settings import Settings
from server.web.schemas.fields import NOT_EMAIL, NOT_USERNAME
from tests.conftest import PASSWORD, Client, Person, in_mode, post
from tests.locks import Race
from tests.rows import Connection, count, only_row

REQUIRED = ["This field is required."]
BLANK = ["This field may not be blank."]
NULL = ["This field may not be null."]
TOO_LONG = "Ensure this field has no more than 150 characters."
TOO_MUCH = ["Ensure this field has no more than 4096 bytes."]
TAKEN = {"username": ["A user with that username already exists."]}
TAKEN_EMAIL = {"email": ["A user with that email already exists."]}


async def register(client: Client, **given: Any) -> tuple[int, Any]:
    return await post(client, "/auth/users/", **{"username": "anna", "password": PASSWORD} | given)


@pytest.mark.parametrize(
    ("given", "faults"),
    [
        ({}, {"username": REQUIRED, "password": REQUIRED}),
        ({"username": "", "password": "", "email": ""}, {"username": BLANK, "password": BLANK}),
        ({"username": " ", "password": PASSWORD}, {"username": BLANK}),
        ({"username": None, "password": None, "email": None}, {"username": NULL, "password": NULL, "email": NULL}),
        (
            {"username": True, "password": [], "email": {}},
            {"username": ["Not a valid string."], "password": ["Not a valid string."], "email": [NOT_EMAIL]},
        ),
        ({"username": "a b", "password": PASSWORD}, {"username": [NOT_USERNAME]}),
        ({"username": "a" * 151, "password": PASSWORD}, {"username": [TOO_LONG]}),
        (
            {"username": "! \0" + "a" * 150, "password": PASSWORD},
            {"username": [NOT_USERNAME, TOO_LONG, "Null characters are not allowed."]},
        ),
        ({"username": "anna", "password": "x" * 4097}, {"password": TOO_MUCH}),
        ({"username": "anna", "password": "é" * 2049}, {"password": TOO_MUCH}),
        (
            {"username": "anna", "password": "\ud800" + PASSWORD},
            {"password": ["Surrogate characters are not allowed: U+D800."]},
        ),
        (
            {"username": "anna", "password": PASSWORD, "email": "a" * 9 + "@" + ("b" * 60 + ".") * 4 + "com"},
            {"email": ["Ensure this field has no more than 254 characters."]},
        ),
        (
            # In lower case the dotted capital I is two characters: only then is the address too long.
            {"username": "anna", "password": PASSWORD, "email": "a@" + ("\u0130" * 30 + ".") * 5 + "com"},
            {"email": ["Ensure this field has no more than 254 characters."]},
        ),
        (
            {"username": "anna-kowalska", "password": "kowalskaX1"},
            {"password": ["The password is too similar to the username."]},
        ),
        (
            {"username": "anna", "password": "12345"},
            {
                "password": [
                    "This password is too short. It must contain at least 8 characters.",
                    "This password is too common.",
                    "This password is entirely numeric.",
                ]
            },
        ),
    ],
)
async def test_an_invalid_registration_reports_every_fault_and_stores_nothing(
    client: Client, database: Connection, given: dict[str, Any], faults: dict[str, Any]
) -> None:
    assert await post(client, "/auth/users/", **given) == (400, faults)
    assert database.execute("select * from users").fetchall() == []


async def test_a_taken_username_is_reported_together_with_other_faults(anna: Person, client: Client) -> None:
    status, faults = await register(client, username="ANNA", email="bad", password="")
    assert (status, faults) == (400, TAKEN | {"email": [NOT_EMAIL], "password": BLANK})


@pytest.mark.parametrize("name", ["anna", "ANNA", "Anna", "ａｎｎａ", " anna "])
async def test_all_spellings_of_a_username_are_one_account(anna: Person, client: Client, name: str) -> None:
    assert await register(client, username=name, email="other@example.com") == (400, TAKEN)
    status, tokens = await post(client, "/auth/jwt/create/", username=name, password=PASSWORD)
    assert (status, list(tokens)) == (200, ["refresh", "access"])


@pytest.mark.parametrize("name", ["mario", "MARIO", "Ｍario"])
async def test_a_username_inserted_by_psql_is_taken(client: Client, database: Connection, name: str) -> None:
    database.execute("insert into users (username) values ('Mario')")
    assert await register(client, username=name) == (400, TAKEN)


async def test_the_username_is_stored_as_typed_in_nfkc(client: Client) -> None:
    assert (await register(client, username="ＷｉｄｅStraße"))[1]["username"] == "WideStraße"
    assert (await post(client, "/auth/jwt/create/", username="WIDESTRASSE", password=PASSWORD))[0] == 200


async def test_of_many_registrations_of_one_username_at_once_one_succeeds(client: Client, database: Connection) -> None:
    names = ["élodie", "ÉLODIE", "e\u0301lodie", "Élodie", "ｅ\u0301lodie"] * 10
    responses = await asyncio.gather(*(register(client, username=name) for name in names))
    assert Counter(status for status, _ in responses) == {201: 1, 400: 49}
    assert all(body == TAKEN for status, body in responses if status == 400)
    assert len(database.execute("select * from profiles").fetchall()) == 1


@pytest.mark.parametrize("email", ["anna@example.com", "ANNA@EXAMPLE.COM", "Anna@Example.com"])
async def test_an_address_belongs_to_one_account_in_any_case(anna: Person, client: Client, email: str) -> None:
    assert await register(client, username="boris", email=email) == (400, TAKEN_EMAIL)


async def test_of_many_registrations_of_one_address_at_once_one_succeeds(client: Client) -> None:
    names = [f"person{number}" for number in range(20)]
    responses = await asyncio.gather(*(register(client, username=name, email="a@example.com") for name in names))
    assert Counter(status for status, _ in responses) == {201: 1, 400: 19}


async def test_several_accounts_may_have_no_address(client: Client) -> None:
    assert [(await register(client, username=name, email=""))[0] for name in ("anna", "boris")] == [201, 201]


async def test_registration_lowers_the_domain_of_the_address_only(client: Client) -> None:
    assert (await register(client, email="Anna.Lee@EXAMPLE.Com"))[1]["email"] == "Anna.Lee@example.com"


async def test_fields_that_the_caller_may_not_set_are_ignored(client: Client, database: Connection) -> None:
    given = {"is_staff": True, "is_superuser": True, "is_active": False, "id": 7777, "date_joined": "2001-01-01"}
    status, user = await register(client, **given)
    assert (status, user["id"] == 7777) == (201, False)
    row = only_row(database, "select is_staff, is_active from users")
    assert row == {"is_staff": False, "is_active": True}


@pytest.mark.parametrize(
    ("row", "faults"),
    [("('Anna', '')", TAKEN), ("('other', 'Anna@example.com')", TAKEN_EMAIL), ("('anna', 'anna@example.com')", TAKEN)],
    ids=["username", "address", "both"],
)
@in_mode("activation")
async def test_a_username_or_address_taken_at_the_last_moment_is_a_field_error_and_stores_nothing(
    client: Client, database: Connection, race: Race, row: str, faults: dict[str, Any]
) -> None:
    registering = register(client, email="anna@example.com", profile={"location": "Rome"})
    assert await race(f"insert into users (username, email) values {row}", registering) == (400, faults)
    assert [count(database, table) for table in ("users", "profiles", "letters", "one_time_tokens")] == [1, 1, 0, 0]


async def test_a_registration_runs_one_hash_and_a_refused_one_none(client: Client, hashes: Counter[str]) -> None:
    assert (await register(client, email="anna@example.com"))[0] == 201
    assert hashes["run"] == 1
    assert (await register(client))[0] == 400
    assert (await register(client, username="boris", email="anna@example.com"))[0] == 400
    assert (await register(client, username="boris", password="12345"))[0] == 400
    assert hashes["run"] == 1


def queued(database: Connection) -> list[tuple[str, str, bool]]:
    """The queued letters: kind, address if it is not the account's own, whether the letter has a link."""
    rows = database.execute("select kind, address, nonce <> '' as has_link from letters order by id").fetchall()
    return [(row["kind"], row["address"], row["has_link"]) for row in rows]


@in_mode("default")
async def test_registration_queues_no_letter(client: Client, database: Connection) -> None:
    assert (await register(client, email="anna@example.com"))[0] == 201
    assert queued(database) == []


@in_mode("default", send_confirmation_email=True)
async def test_registration_queues_a_confirmation_if_it_is_switched_on(client: Client, database: Connection) -> None:
    assert (await register(client, email="anna@example.com"))[0] == 201
    assert queued(database) == [("confirmation", "", False)]


@in_mode("activation")
async def test_registration_queues_one_activation_letter_in_activation_mode(
    client: Client, database: Connection
) -> None:
    assert (await register(client, email="anna@example.com"))[0] == 201
    assert queued(database) == [("activation", "", True)]
    assert only_row(database, "select is_active, awaits_activation from users") == {
        "is_active": False,
        "awaits_activation": True,
    }


class TestWithSharedAddresses:
    """UNIQUE_EMAIL=false."""

    @pytest.fixture
    def settings(self, settings: Settings, shared_addresses: None) -> Settings:
        return replace(settings, unique_email=False)

    async def test_accounts_may_share_an_address(self, anna: Person, client: Client) -> None:
        assert (await register(client, username="boris", email="anna@example.com"))[0] == 201
