"""LOGIN_FIELD=either: what one account signs in with is no other account's name or address (contract 11.30)."""

import asyncio
from collections.abc import Iterator

import psycopg
import pytest

from server.database import migrate
from tests.conftest import PASSWORD, Client, Letters, Person, in_mode, post
from tests.links import DONE, activated, confirm, link
from tests.rows import Connection

BOSS = "boss@corp.example"
SPELLINGS = [BOSS, "BOSS@CORP.example", "ｂｏｓｓ@corp.example", "boss@ＣＯＲＰ.example"]
TAKEN_NAME = {"username": ["A user with that username already exists."]}
TAKEN_ADDRESS = {"email": ["A user with that email already exists."]}
NO_ADDRESS = {"email": ["Enter a valid email address."]}
EITHER = in_mode("default", login_field="either")


@pytest.fixture(autouse=True)
def one_key_each(database_url: str, database: Connection) -> Iterator[None]:
    """Let the database keep the keys during a test, as LOGIN_FIELD=either does."""
    migrate.migrate(database_url, unique_logins=True)
    yield
    database.execute("delete from users")
    migrate.migrate(database_url)


@EITHER
@pytest.mark.parametrize("address", SPELLINGS)
async def test_a_name_is_not_another_accounts_address(client: Client, address: str) -> None:
    status, _ = await post(client, "/auth/users/", username=BOSS, password=PASSWORD)
    assert status == 201
    taken = await post(client, "/auth/users/", username="boris", password=PASSWORD, email=address)
    assert taken == (400, TAKEN_ADDRESS if address.split("@")[0].isascii() else NO_ADDRESS)
    assert (await post(client, "/auth/jwt/create/", username=BOSS, password=PASSWORD))[0] == 200


@EITHER
async def test_an_address_is_not_another_accounts_name(client: Client) -> None:
    assert (await post(client, "/auth/users/", username="boss", password=PASSWORD, email=BOSS))[0] == 201
    for name in SPELLINGS:
        assert await post(client, "/auth/users/", username=name, password=PASSWORD) == (400, TAKEN_NAME)


@EITHER
async def test_a_change_of_address_or_name_locks_no_account_out(anna: Person, boris: Person) -> None:
    change = {"new_username": BOSS, "current_password": PASSWORD}
    assert await anna.post("/auth/users/set_username/", change) == DONE
    assert await boris.patch("/auth/users/me/", {"email": BOSS}) == (400, TAKEN_ADDRESS)
    assert (await post(anna.client, "/auth/jwt/create/", username=BOSS, password=PASSWORD))[0] == 200
    change = {"new_username": "boris@example.com", "current_password": PASSWORD}
    status, faults = await anna.post("/auth/users/set_username/", change)
    assert (status, faults) == (400, {"new_username": TAKEN_NAME["username"]})


@EITHER
async def test_an_account_may_have_its_own_address_as_its_name(client: Client, database: Connection) -> None:
    assert (await post(client, "/auth/users/", username=BOSS, password=PASSWORD, email=BOSS))[0] == 201
    assert (await post(client, "/auth/jwt/create/", username=BOSS, password=PASSWORD))[0] == 200
    assert len(database.execute("select from sign_in_keys").fetchall()) == 1


@EITHER
async def test_of_two_who_take_it_at_once_one_succeeds(client: Client) -> None:
    as_name = [post(client, "/auth/users/", username=BOSS, password=PASSWORD)]
    as_address = [post(client, "/auth/users/", username="boris", password=PASSWORD, email=BOSS)]
    responses = await asyncio.gather(*as_name, *as_address)
    assert sorted(status for status, _ in responses) == [201, 400]


@EITHER
async def test_a_key_is_free_again_when_its_account_changes_or_goes(anna: Person, boris: Person) -> None:
    assert (await anna.patch("/auth/users/me/", {"email": BOSS}))[0] == 200
    assert (await anna.patch("/auth/users/me/", {"email": "other@example.com"}))[0] == 200
    change = {"new_username": BOSS, "current_password": PASSWORD}
    assert await boris.post("/auth/users/set_username/", change) == DONE
    assert await boris.delete("/auth/users/me/", {"current_password": PASSWORD}) == DONE
    assert (await anna.patch("/auth/users/me/", {"email": BOSS}))[0] == 200


WAITING = in_mode("activation", login_field="either")
EXPIRE = "update one_time_tokens set expires_at = now() where purpose = 'activation'"


@WAITING
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"username": BOSS, "email": "a@example.com"}, {"username": BOSS.upper(), "email": "b@example.com"}),
        ({"username": "anna", "email": BOSS}, {"username": "boris", "email": BOSS.upper()}),
        ({"username": BOSS, "email": "a@example.com"}, {"username": "boris", "email": BOSS}),
        ({"username": "anna", "email": BOSS}, {"username": BOSS, "email": "b@example.com"}),
    ],
    ids=["name by name", "address by address", "name by address", "address by name"],
)
async def test_an_account_that_gives_way_gives_up_its_keys_at_once(
    client: Client, database: Connection, first: dict[str, str], second: dict[str, str]
) -> None:
    assert (await post(client, "/auth/users/", password=PASSWORD, **first))[0] == 201
    assert (await post(client, "/auth/users/", password=PASSWORD, **second))[0] == 400
    database.execute(EXPIRE)
    status, user = await post(client, "/auth/users/", password=PASSWORD, **second)
    assert status == 201, user
    owners = {row["user_id"] for row in database.execute("select user_id from sign_in_keys").fetchall()}
    assert owners == {user["id"]}


@WAITING
async def test_a_change_of_name_or_address_takes_the_key_of_an_account_that_gives_way(
    client: Client, database: Connection, letters: Letters
) -> None:
    boris = await activated(client, letters, "boris")
    given = {"username": BOSS, "email": "a@example.com", "password": PASSWORD}
    assert (await post(client, "/auth/users/", **given))[0] == 201
    await letters()
    database.execute(EXPIRE)
    assert (await boris.patch("/auth/users/me/", {"email": BOSS}))[0] == 200
    assert await confirm(client, "email_change", await link(letters, BOSS)) == DONE
    given = {"username": "c", "email": "clara@example.com", "password": PASSWORD}
    assert (await post(client, "/auth/users/", **given))[0] == 201
    database.execute(EXPIRE)
    change = {"new_username": "clara@example.com", "current_password": PASSWORD}
    assert await boris.post("/auth/users/set_username/", change) == DONE


@WAITING
async def test_of_a_name_and_an_address_that_take_the_key_of_an_expired_account_at_once_one_succeeds(
    client: Client, database: Connection
) -> None:
    assert (await post(client, "/auth/users/", username=BOSS, password=PASSWORD, email="a@example.com"))[0] == 201
    database.execute(EXPIRE)
    as_name = post(client, "/auth/users/", username=BOSS, password=PASSWORD, email="b@example.com")
    as_address = post(client, "/auth/users/", username="boris", password=PASSWORD, email=BOSS)
    responses = await asyncio.gather(as_name, as_address)
    assert sorted(status for status, _ in responses) == [201, 400]


def test_the_database_refuses_it_with_psql_as_well(database: Connection) -> None:
    database.execute("insert into users (username) values (%s)", [BOSS])
    with pytest.raises(psycopg.errors.UniqueViolation) as raised:
        database.execute("insert into users (username, email) values ('b', %s)", [BOSS.upper()])
    assert raised.value.diag.constraint_name == "users_email_key"


def test_accounts_that_collide_already_stop_the_start_with_their_ids(database: Connection, database_url: str) -> None:
    migrate.migrate(database_url)
    database.execute("insert into users (id, username, email) values (11, %s, ''), (12, 'b', %s)", [BOSS, BOSS])
    with pytest.raises(migrate.DuplicateLogins, match=r"^11, 12$"):
        migrate.migrate(database_url, unique_logins=True)
    database.execute("update users set username = 'a' where id = 11")
    migrate.migrate(database_url, unique_logins=True)


def test_other_sites_keep_no_keys(database: Connection, database_url: str) -> None:
    migrate.migrate(database_url)
    database.execute("insert into users (username, email) values (%s, ''), ('b', %s)", [BOSS, BOSS])
    assert database.execute("select from sign_in_keys").fetchall() == []
