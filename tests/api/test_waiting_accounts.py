"""An account that waits for its activation holds its name and address until its link has expired (contract 11.34)."""

import asyncio
from typing import Any

import psycopg
import pytest

from server.web.app_keys import DB
from tests.conftest import Client, Letters, in_mode, post
from tests.links import ACTIVATION, ASKED_AT, DONE, INVALID_UID, activated, confirm, link, register
from tests.locks import until_blocked
from tests.rows import Connection, only_row

in_activation = in_mode("activation")

NEW = {"username": "anna", "email": "anna@example.com", "password": "correct horse battery"}
TAKEN_NAME = ["A user with that username already exists."]
TAKEN_EMAIL = ["A user with that email already exists."]
EXPIRE = "update one_time_tokens set expires_at = now() where purpose = 'activation'"


def ids(database: Connection) -> list[int]:
    return [row["id"] for row in database.execute("select id from users order by id").fetchall()]


@in_activation
async def test_a_waiting_account_holds_its_name_and_address_while_its_link_is_valid(client: Client) -> None:
    await register(client)
    assert await post(client, "/auth/users/", **NEW) == (400, {"username": TAKEN_NAME, "email": TAKEN_EMAIL})


@in_activation
@pytest.mark.parametrize("taken", [{"username": "ANNA", "email": "b@example.com"}, {"username": "boris"}])
async def test_a_waiting_account_gives_way_to_a_registration_when_its_link_has_expired(
    client: Client, database: Connection, letters: Letters, taken: dict[str, str]
) -> None:
    old = await register(client)
    given = await link(letters, old["email"])
    database.execute(EXPIRE)
    new = await register(client, **{"username": "anna", "email": "Anna@example.com"} | taken)
    assert ids(database) == [new["id"]]
    assert await confirm(client, ACTIVATION, given) == INVALID_UID
    assert await confirm(client, ACTIVATION, await link(letters, new["email"])) == DONE


@in_activation
async def test_a_waiting_account_gives_way_to_a_change_of_address_and_of_name(
    client: Client, database: Connection, letters: Letters
) -> None:
    boris = await activated(client, letters, "boris")
    await register(client)
    await register(client, "clara")
    await letters()
    database.execute(EXPIRE)
    assert (await boris.patch("/auth/users/me/", {"email": "anna@example.com"}))[0] == 200
    assert await confirm(client, "email_change", await link(letters, "anna@example.com")) == DONE
    body = {"new_username": "Clara", "current_password": NEW["password"]}
    assert await boris.post("/auth/users/set_username/", body) == DONE
    assert only_row(database, "select id, username, email from users") == {
        "id": boris.id,
        "username": "Clara",
        "email": "anna@example.com",
    }


@in_activation
async def test_an_account_whose_link_was_asked_for_again_holds_its_name(
    client: Client, database: Connection, letters: Letters
) -> None:
    await register(client)
    database.execute(EXPIRE)
    await letters()
    assert await post(client, ASKED_AT[ACTIVATION], email="anna@example.com") == DONE
    await letters()
    assert (await post(client, "/auth/users/", **NEW))[0] == 400


@pytest.mark.parametrize("columns", ["is_active", "awaits_activation"])
def test_an_account_without_an_expired_link_gives_way_to_none(database: Connection, columns: str) -> None:
    waits = columns == "awaits_activation"
    database.execute("insert into users (username, is_active, awaits_activation) values ('anna', false, %s)", [waits])
    with pytest.raises(psycopg.errors.UniqueViolation):
        database.execute("insert into users (username) values ('anna')")


@in_activation
async def test_of_two_registrations_at_the_moment_of_expiry_one_gets_the_name(
    client: Client, database: Connection
) -> None:
    old = await register(client)
    database.execute(EXPIRE)
    asked = [post(client, "/auth/users/", **NEW) for _ in range(6)]
    statuses = sorted(status for status, _ in await asyncio.gather(*asked))
    assert statuses == [201, *[400] * 5]
    (new,) = ids(database)
    assert new != old["id"]


@in_activation
async def test_a_link_that_is_renewed_at_the_moment_of_expiry_keeps_the_account(
    client: Client, database: Connection, database_url: str
) -> None:
    old = await register(client)
    database.execute(EXPIRE)
    with psycopg.connect(database_url) as renewing:
        renewing.execute("select from users for no key update")
        renewing.execute("update one_time_tokens set expires_at = now() + interval '1 day'")
        registering = asyncio.ensure_future(post(client, "/auth/users/", **NEW))
        await until_blocked(registering, database)
        renewing.commit()
    assert (await registering)[0] == 400
    assert ids(database) == [old["id"]]


@in_activation
async def test_accounts_that_were_never_activated_are_swept_in_small_bites(
    client: Client, database: Connection, database_url: str
) -> None:
    for name in ("anna", "boris", "clara", "dora", "emil"):
        await register(client, name)
    database.execute("update users set is_active = true where username = 'dora'")
    database.execute(EXPIRE)
    database.execute(
        "update one_time_tokens set expires_at = now() + interval '1 hour'"
        " where user_id = (select id from users where username = 'emil')"
    )
    db = client.app[DB]
    swept: list[Any] = [len(await db.rows("one_time_tokens/sweep", 9))]  # dora's: the others say that accounts give way
    with psycopg.connect(database_url) as busy:
        busy.execute("select from one_time_tokens where user_id = (select min(id) from users) for update")
        swept += [len(await db.rows("users/sweep", 1)), len(await db.rows("users/sweep", 9))]
    swept += [len(await db.rows("users/sweep", 9))]
    assert swept == [1, 1, 1, 1]
    names = {row["username"] for row in database.execute("select username from users").fetchall()}
    assert names == {"dora", "emil"}


@in_activation
async def test_the_letter_says_which_account_it_is_for(client: Client, letters: Letters) -> None:
    await register(client)
    (letter,) = await letters()
    assert "anna\n" in letter.text
    assert ": anna</p>" in letter.html
