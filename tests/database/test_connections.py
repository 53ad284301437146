"""The connections of a process: how many, with which settings, how they begin and end."""

import asyncio
from typing import Any

import psycopg
import pytest

from server.database import batching, migrate, version
from server.database import database as module
from server.database.database import Database
from server.errors import StartError, Unavailable
from server.resources import statements
from tests.database.batches import turns
from tests.database.conftest import Connect

SETTINGS_OF_SESSION = "select name, current_setting(name) as value from unnest($1::text[]) as asked (name)"


def waiting_for_locks(database: Any) -> int:
    """How many connections of the service wait for a lock."""
    rows = database.execute(
        "select from pg_stat_activity where wait_event_type = 'Lock'"
        " and application_name = 'frontdesk' and datname = current_database()"
    )
    return len(rows.fetchall())


def open_connections(database: Any) -> int:
    """How many connections the service has."""
    rows = database.execute(
        "select from pg_stat_activity where application_name = 'frontdesk' and datname = current_database()"
    )
    return len(rows.fetchall())


async def until_waiting(database: Any, number: int) -> None:
    """Wait until `number` connections of the service wait for a lock."""
    async with asyncio.timeout(10):
        while waiting_for_locks(database) < number:
            await asyncio.sleep(0)


@pytest.mark.parametrize(("connections", "for_batches"), [(2, 1), (5, 1), (8, 2), (14, 4)])
async def test_a_locked_table_does_not_block_other_statements(
    connect: Connect,
    database_url: str,
    ids: list[int],
    database: Any,
    connections: int,
    for_batches: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batching, "SLOW_BATCH_SECONDS", 0.0)
    connected = await connect(connections=connections)
    with psycopg.connect(database_url) as holder:
        holder.execute("lock table profiles")
        blocked = []
        for number in range(for_batches):
            blocked.append(asyncio.ensure_future(connected.find("profiles/find", ids[number])))
            await until_waiting(database, number + 1)
        async with asyncio.timeout(3):
            assert await connected.find("sessions/explain", 0) is None
        assert not any(each.done() for each in blocked)
        holder.rollback()
        rows = await asyncio.gather(*blocked)
    assert [row and row["id"] for row in rows] == ids[:for_batches]


@pytest.mark.parametrize("connections", [2, 5, 14])
async def test_connections_are_bounded(
    connect: Connect,
    database_url: str,
    ids: list[int],
    database: Any,
    connections: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batching, "SLOW_BATCH_SECONDS", 0.0)
    connected = await connect(connections=connections)
    with psycopg.connect(database_url) as holder:
        holder.execute("lock table profiles")
        asked: list[asyncio.Future[Any]] = []
        for each in ids[:6]:  # more slow batches than there may be
            asked.append(asyncio.ensure_future(connected.find("profiles/find", each)))
            await turns()
        asked += [asyncio.ensure_future(connected.rows("profiles/list", 0, 10, False)) for _ in range(20)]
        await until_waiting(database, connections)
        assert open_connections(database) == connections
        holder.rollback()
        await asyncio.gather(*asked)
    assert open_connections(database) == connections


async def test_one_connection_is_made_two(connect: Connect, ids: list[int]) -> None:
    connected = await connect(connections=1)
    assert await connected.find("profiles/find", ids[0])
    assert await connected.rows("users/list", 0, 10, True)


async def test_every_connection_has_the_settings_of_the_session(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(statements(), "tests/settings_of_session", SETTINGS_OF_SESSION)
    expected = {
        "application_name": "frontdesk",
        "jit": "off",
        "timezone": "UTC",
        "lock_timeout": "5s",
        "statement_timeout": "14s",
        "idle_in_transaction_session_timeout": "30s",
    }
    db = await connect()
    names = [*expected, "plan_cache_mode"]
    in_pool = await db.rows("tests/settings_of_session", names)
    in_batch = await asyncio.gather(*(db.find("tests/settings_of_session", name) for name in names))
    async with db.transaction() as transaction:
        in_transaction = await transaction.rows("tests/settings_of_session", names)
    assert {row["name"]: row["value"] for row in in_pool} == {**expected, "plan_cache_mode": "auto"}
    assert {row["name"]: row["value"] for row in in_transaction} == {**expected, "plan_cache_mode": "auto"}
    assert {row["name"]: row["value"] for row in in_batch if row} == {
        **expected,
        "plan_cache_mode": "force_generic_plan",
    }


async def test_a_transaction_that_is_idle_for_too_long_is_ended_and_unavailable(
    connect: Connect, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(module.SESSION_SETTINGS, "idle_in_transaction_session_timeout", "10ms")
    db = await connect()

    async def idle() -> None:
        async with db.transaction() as transaction:
            await transaction.row("users/register", "anna", "", "!", False, None, False, "en", None)
            async with asyncio.timeout(10):
                while not transaction.connection.is_closed():
                    await asyncio.sleep(0)
            await transaction.row("users/register", "boris", "", "!", False, None, False, "en", None)

    with pytest.raises(Unavailable):
        await idle()
    assert database.execute("select * from users").fetchall() == []
    assert await db.rows("users/list", 0, 10, True) == []


async def test_connections_that_do_not_close_in_time_are_cut(
    db: Database, ids: list[int], database: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLOSE_SECONDS", 0.05)
    with psycopg.connect(database_url) as holder:
        holder.execute("lock table profiles")
        asked = asyncio.ensure_future(db.find("profiles/find", ids[0]))
        await until_waiting(database, 1)
        async with asyncio.timeout(3):
            await db.close()
            with pytest.raises(Unavailable):
                await asked


async def test_after_close_statements_are_unavailable(db: Database) -> None:
    await db.close()
    with pytest.raises(Unavailable):
        await db.row("users/find", 1)
    with pytest.raises(Unavailable):
        await db.find("profiles/find", 1)


async def test_parameters_that_only_libpq_knows_do_not_reach_the_server(database_url: str) -> None:
    more = "connect_timeout=5&channel_binding=prefer&keepalives=1&application_name=ours"
    connected = await Database.connect(f"{database_url}&{more}")
    rows = await connected.rows("users/list", 0, 10, True)
    await connected.close()
    assert rows == []


async def test_a_server_that_is_too_old_stops_the_start(monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    monkeypatch.setattr(version, "MIN_POSTGRES", 99)
    with pytest.raises(StartError, match=r"^DATABASE_URL: .* is needed; this one is 1"):
        await Database.connect(database_url)


async def test_a_database_that_cannot_store_every_text_stops_the_start(database_of_bytes: str) -> None:
    said = "The database has the encoding SQL_ASCII, and UTF8 is needed"
    with pytest.raises(StartError, match=said):
        await (
            await Database.connect(database_of_bytes)
        ).close()  # an open connection would hold up the end of the test
    with pytest.raises(StartError, match=said):
        migrate.migrate(database_of_bytes)
    version.check_encoding(None)


async def test_a_database_that_does_not_exist_stops_the_start(database_url: str) -> None:
    with pytest.raises(StartError, match=r'database "nothing.*" does not exist'):
        await Database.connect(database_url.replace("/test_", "/nothing_"))


async def test_a_server_that_cannot_be_reached_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        await Database.connect("postgresql://127.0.0.1:1/nothing")


async def test_a_patient_caller_gets_a_database_whose_statements_are_unavailable() -> None:
    connected = await Database.connect("postgresql://127.0.0.1:1/nothing", patient=True)
    with pytest.raises(Unavailable):
        await connected.rows("schema/state")
    await connected.close()
    await connected.close()
