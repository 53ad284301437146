"""The deletion of an account makes its events anonymous, in bounded bites: some at once, the others by the sweep."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from server import background
from server.database.database import Database
from server.settings.settings import Settings
from tests.conftest import PASSWORD, Person
from tests.locks import until_blocked
from tests.rows import Connection, count
from tests.test_background import Sleeps, is_sweep_pause, serving

PERSONAL = "(address is not null or device <> '' or request_id <> '')"
AT_ONCE = 10_000  # of the trigger


@pytest.fixture
async def db(database_url: str, database: Connection) -> AsyncIterator[Database]:
    connected = await Database.connect(database_url)
    yield connected
    await connected.close()


def insert_events(database: Connection, rows: int, *, user_id: int | None, actor_id: int | None) -> None:
    database.execute(
        "insert into events (kind, user_id, actor_id, address, device, request_id, details)"
        " select 'deactivated', %s, %s, '192.0.2.1', 'a device', 'a request', '{\"a\": 1}' from generate_series(1, %s)",
        [user_id, actor_id, rows],
    )


def personal(database: Connection) -> int:
    return len(database.execute(f"select from events where {PERSONAL}".encode()).fetchall())


async def test_what_a_deleted_account_did_to_others_is_told_without_its_address(
    anna: Person, boris: Person, database: Connection
) -> None:
    database.execute("delete from events")
    insert_events(database, 2, user_id=boris.id, actor_id=anna.id)
    insert_events(database, 2, user_id=anna.id, actor_id=boris.id)
    insert_events(database, 2, user_id=boris.id, actor_id=boris.id)
    assert (await anna.delete("/auth/users/me/", {"current_password": PASSWORD}))[0] == 204
    left = database.execute(f"select user_id, actor_id from events where {PERSONAL} and details is not null".encode())
    assert left.fetchall() == [{"user_id": boris.id, "actor_id": boris.id}] * 2
    acts = database.execute("select details from events where user_id = %s and actor_id = %s", [boris.id, anna.id])
    assert acts.fetchall() == [{"details": {"a": 1}}] * 2
    assert count(database, "deleted_accounts") == 0


async def test_a_deletion_changes_a_bounded_number_of_events_and_the_sweep_the_others(
    anna: Person, settings: Settings, database: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute("delete from events")
    insert_events(database, AT_ONCE - 3, user_id=anna.id, actor_id=None)
    insert_events(database, 10, user_id=None, actor_id=anna.id)
    assert (await anna.delete("/auth/users/me/", {"current_password": PASSWORD}))[0] == 204
    assert personal(database) == 7
    monkeypatch.setattr(background, "SWEEP_ROWS", 2)
    sleeps = Sleeps(monkeypatch, is_sweep_pause, rounds=1)
    async with serving(settings), asyncio.timeout(10):
        while count(database, "deleted_accounts"):
            await asyncio.sleep(0.001)
    assert personal(database) == 0
    assert len(sleeps.recorded) == 1


async def test_the_events_after_the_deletion_stay_and_a_bite_begins_where_the_last_ended(
    db: Database, database: Connection
) -> None:
    database.execute("delete from events")
    insert_events(database, 3, user_id=1, actor_id=None)
    first = database.execute("select min(id) as id from events").fetchone()
    assert first is not None
    database.execute("insert into deleted_accounts values (1, 0, %s)", [first["id"] + 1])
    bites = [await db.row("events/clear_deleted", 1) for _ in range(4)]
    assert [bite and bite["cleared_to"] for bite in bites] == [first["id"], first["id"] + 1, None, None]
    assert personal(database) == 1
    assert count(database, "deleted_accounts") == 0


async def test_old_events_that_are_swept_meanwhile_do_not_end_the_work_on_the_others(
    db: Database, database: Connection, database_url: str
) -> None:
    database.execute("delete from events")
    insert_events(database, 5, user_id=1, actor_id=None)
    database.execute("insert into deleted_accounts select 1, 0, max(id) from events")
    with psycopg.connect(database_url) as sweep:
        sweep.execute("delete from events where id = (select min(id) from events)")
        clearing = asyncio.ensure_future(db.row("events/clear_deleted", 2))
        await until_blocked(clearing, database)
        sweep.commit()
        await clearing
    while await db.row("events/clear_deleted", 2):
        pass
    assert personal(database) == 0
    assert count(database, "deleted_accounts") == 0


async def test_an_account_with_the_number_of_one_that_is_being_forgotten_can_be_deleted(
    anna: Person, database: Connection
) -> None:
    database.execute("insert into deleted_accounts (user_id, after_id, last_id) values (%s, 5, 7)", [anna.id])
    insert_events(database, AT_ONCE + 1, user_id=anna.id, actor_id=None)
    assert (await anna.delete("/auth/users/me/", {"current_password": PASSWORD}))[0] == 204
    (left,) = database.execute("select after_id, last_id from deleted_accounts").fetchall()
    assert left["after_id"] == 5
    assert left["last_id"] > 7
    database.execute("delete from deleted_accounts")
