"""Changes of an account: the sessions, tokens and links that each ends, and the letters that it queues.

A change and its letters are one transaction (security 29); the former address gets a letter (security 28).
"""

from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import pytest

from tests.conftest import PASSWORD, Client, Letters, Person, in_mode, post
from tests.links import (
    DONE,
    EMAIL_CHANGE,
    NEW_NAME,
    NEW_PASSWORD,
    PASSWORD_RESET,
    USERNAME_RESET,
    activated,
    asked_by,
    confirm,
)
from tests.locks import Race
from tests.rows import Connection

ME = "/auth/users/me/"
OLD = "anna@example.com"
TABLES = ("users", "sessions", "api_tokens", "one_time_tokens", "letters")
ALL_LINKS = {EMAIL_CHANGE, PASSWORD_RESET, USERNAME_RESET}


@dataclass
class Account:
    """Anna's account with two sessions, an API token, a pending address and an unused link of each kind."""

    anna: Person
    other: Person
    api_token: str
    links: dict[str, dict[str, str]]

    async def accepted(self) -> tuple[bool, bool, bool]:
        """Whether the session that makes the change, the other session and the API token are accepted."""
        headers = {"Authorization": f"Token {self.api_token}"}
        by_token = (await self.anna.client.get(ME, headers=headers)).status
        return (await self.anna.get(ME))[0] == 200, (await self.other.get(ME))[0] == 200, by_token == 200


@pytest.fixture
async def account(client: Client, letters: Letters) -> Account:
    anna = await activated(client, letters)
    _, response = await post(client, "/auth/token/login/", username="anna", password=PASSWORD)
    links = {kind: await asked_by(anna, letters, kind) for kind in (PASSWORD_RESET, USERNAME_RESET, EMAIL_CHANGE)}
    return Account(anna, await anna.sign_in(), response["auth_token"], links)


Change: TypeAlias = Callable[[Account], Coroutine[Any, Any, tuple[int, Any]]]


async def set_password(account: Account) -> tuple[int, Any]:
    given = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    return await account.anna.post("/auth/users/set_password/", given)


async def reset_password(account: Account) -> tuple[int, Any]:
    return await confirm(account.anna.client, PASSWORD_RESET, account.links[PASSWORD_RESET])


async def set_username(account: Account) -> tuple[int, Any]:
    given = {"current_password": PASSWORD, "new_username": NEW_NAME}
    return await account.anna.post("/auth/users/set_username/", given)


async def reset_username(account: Account) -> tuple[int, Any]:
    return await confirm(account.anna.client, USERNAME_RESET, account.links[USERNAME_RESET])


async def set_address(account: Account) -> tuple[int, Any]:
    return await account.anna.patch(ME, {"email": "other@example.com"})


async def confirm_address(account: Account) -> tuple[int, Any]:
    return await confirm(account.anna.client, EMAIL_CHANGE, account.links[EMAIL_CHANGE])


async def remove_address(account: Account) -> tuple[int, Any]:
    return await account.anna.patch(ME, {"email": ""})


@dataclass
class Effect:
    """What a change leaves: accepted credentials, unused links, and the queued letters as (kind, address)."""

    own_session: bool
    other_session: bool
    api_token: bool
    links: set[str]
    letters: list[tuple[str, str]]


CHANGES: dict[Change, Effect] = {
    set_password: Effect(True, False, False, set(), [("password_changed", OLD)]),
    reset_password: Effect(False, False, False, set(), [("password_changed", OLD)]),
    set_username: Effect(True, True, True, ALL_LINKS, [("username_changed", OLD)]),
    reset_username: Effect(True, True, True, ALL_LINKS - {USERNAME_RESET}, [("username_changed", OLD)]),
    set_address: Effect(True, True, True, ALL_LINKS, [("email_change", ""), ("email_pending", OLD)]),
    confirm_address: Effect(True, True, True, set(), [("email_changed", OLD)]),
    remove_address: Effect(True, True, True, set(), [("email_changed", OLD)]),
}
every_change = pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)


@every_change
@in_mode("activation")
async def test_a_change_ends_what_it_must_and_queues_its_letters(
    account: Account, database: Connection, change: Change
) -> None:
    expected = CHANGES[change]
    user = {"email": "" if change is remove_address else OLD, "id": account.anna.id, "username": "anna"}
    response = await change(account)
    assert response == ((200, user) if change in (set_address, remove_address) else DONE)
    unused = database.execute("select purpose from one_time_tokens where used_at is null").fetchall()
    queued = database.execute("select kind, address from letters order by id").fetchall()
    assert (
        Effect(
            *await account.accepted(),
            links={row["purpose"] for row in unused},
            letters=[(row["kind"], row["address"]) for row in queued],
        )
        == expected
    )


def rows(database: Connection) -> dict[str, list[str]]:
    """All rows of the tables that a change writes to."""
    return {table: sorted(map(str, database.execute(f"select * from {table}").fetchall())) for table in TABLES}


@pytest.fixture
def refused_letters(database: Connection) -> Iterator[Callable[[], None]]:
    """A function that makes the database refuse to queue letters from now on."""

    def refuse() -> None:
        database.execute(
            "create function fail() returns trigger language plpgsql as $$ begin raise 'no'; end $$;"
            "create trigger fail before insert on letters for each row execute function fail()"
        )

    yield refuse
    database.execute("drop trigger if exists fail on letters; drop function if exists fail()")


@every_change
@in_mode("activation")
@pytest.mark.breaks_the_service
async def test_a_change_whose_letter_cannot_be_queued_is_not_made(
    account: Account, database: Connection, refused_letters: Callable[[], None], change: Change
) -> None:
    before = rows(database)
    refused_letters()
    assert (await change(account))[0] == 500
    assert rows(database) == before
    assert await account.accepted() == (True, True, True)


@in_mode("activation")
@pytest.mark.breaks_the_service
async def test_a_registration_whose_letter_cannot_be_queued_stores_nothing(
    client: Client, database: Connection, refused_letters: Callable[[], None]
) -> None:
    refused_letters()
    given = {"username": "anna", "password": PASSWORD, "email": OLD}
    assert (await post(client, "/auth/users/", **given))[0] == 500
    assert rows(database) == {table: [] for table in TABLES}


REFUSED: list[tuple[str, dict[str, str]]] = [
    ("set_password", {"current_password": "wrong one", "new_password": NEW_PASSWORD}),
    ("set_password", {"current_password": PASSWORD, "new_password": "12345"}),
    ("set_username", {"current_password": "wrong one", "new_username": NEW_NAME}),
    ("set_username", {"current_password": PASSWORD, "new_username": "anna"}),
    ("reset_password_confirm", {"uid": "MQ", "token": "x", "new_password": NEW_PASSWORD}),
    ("reset_username_confirm", {"uid": "MQ", "token": "x", "new_username": NEW_NAME}),
    ("activation", {"uid": "MQ", "token": "x"}),
]


@in_mode("activation")
async def test_a_refused_change_leaves_every_row_unchanged(account: Account, database: Connection) -> None:
    before = rows(database)
    for path, given in REFUSED:
        assert (await account.anna.post(f"/auth/users/{path}/", given))[0] == 400, path
    assert (await account.anna.patch(ME, {"email": "x"}))[0] == 400
    assert rows(database) == before


@in_mode("default")
async def test_a_change_of_an_account_without_an_address_sends_no_letter(client: Client, letters: Letters) -> None:
    assert (await post(client, "/auth/users/", username="anna", password=PASSWORD))[0] == 201
    anna = await Person(client, "anna").sign_in()
    for path, given in (("set_username", {"new_username": NEW_NAME}), ("set_password", {"new_password": NEW_PASSWORD})):
        assert await anna.post(f"/auth/users/{path}/", {"current_password": PASSWORD} | given) == DONE
        assert await letters() == []
    for _ in range(2):
        assert (await anna.patch(ME, {"email": "new@example.com"}))[0] == 200
    assert await letters() == []


DELETED: list[tuple[Change, tuple[int, Any]]] = [
    (set_password, (400, {"current_password": ["Invalid password."]})),
    (set_username, (400, {"current_password": ["Invalid password."]})),
    (set_address, (401, {"detail": "User not found", "code": "user_not_found"})),
    (reset_password, (400, {"token": ["Invalid token for given user."]})),
    (reset_username, (400, {"token": ["Invalid token for given user."]})),
    (confirm_address, (400, {"token": ["Invalid token for given user."]})),
]


@pytest.mark.parametrize(("change", "response"), DELETED, ids=lambda value: getattr(value, "__name__", ""))
@in_mode("activation")
async def test_a_change_of_an_account_that_is_deleted_at_the_same_moment_is_refused(
    account: Account, race: Race, change: Change, response: tuple[int, Any]
) -> None:
    assert await race("delete from users", change(account)) == response
