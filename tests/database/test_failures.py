"""What the service makes of PostgreSQL's errors: unavailable, run again, or the caller's own."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import asyncpg
import psycopg
import pytest

from server.database import outages as module
from server.database.database import Database
from server.database.failures import NoFreeConnection, is_unavailable
from server.errors import Unavailable
from server.resources import statements

DENIED = "select 1 from pg_authid"


async def test_a_deadlock_is_run_again(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = [asyncpg.DeadlockDetectedError("once"), asyncpg.DeadlockDetectedError("twice")]
    fetch = asyncpg.Connection.fetch

    async def fetch_or_fail(self: Any, *arguments: Any) -> Any:
        if failures:
            raise failures.pop()
        return await fetch(self, *arguments)

    monkeypatch.setattr(asyncpg.Connection, "fetch", fetch_or_fail)
    assert await db.rows("users/list", 0, 10, True) == []
    assert failures == []


async def test_a_deadlock_that_comes_every_time_is_unavailable(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*arguments: Any) -> Any:
        raise asyncpg.DeadlockDetectedError("once more")

    monkeypatch.setattr(asyncpg.Connection, "fetch", fail)
    with pytest.raises(Unavailable):
        await db.rows("users/list", 0, 10, True)


async def test_a_lost_connection_is_unavailable_and_is_replaced(
    db: Database, ids: list[int], database: Any, database_url: str
) -> None:
    with psycopg.connect(database_url) as holder:
        holder.execute("lock table profiles")
        asked = [asyncio.ensure_future(db.find("profiles/find", each)) for each in ids]
        async with asyncio.timeout(10):
            while not database.execute(
                "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
            ).fetchall():
                await asyncio.sleep(0)
        database.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where application_name = 'frontdesk' and datname = current_database()"
        )
        failures = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(failure) for failure in failures] == [Unavailable] * 10
    assert db.lost.is_set()
    assert (await db.find("profiles/find", ids[0]))["id"] == ids[0]  # type: ignore[index]


async def test_after_one_failed_statement_no_other_is_sent_to_a_read_only_server(
    db: Database, database: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with db.transaction() as first, db.transaction() as second:
        for transaction in (first, second):
            await transaction.connection.execute("set default_transaction_read_only = on")
    with pytest.raises(Unavailable):
        await db.row("users/register", "anna", "", "!", False, None, False, "en", None)
    assert "ReadOnlySQLTransactionError" in caplog.text
    for name in ("anna", "boris"):
        async with db.transaction() as transaction:
            assert await transaction.row("users/register", name, "", "!", False, None, False, "en", None)


async def test_after_one_failed_batch_no_other_is_sent_to_a_read_only_server(
    db: Database, ids: list[int], database: Any
) -> None:
    await db.find("profiles/find", ids[0])
    database.execute(f"alter database {database.info.dbname} set default_transaction_read_only = on")
    try:
        db.expire()
        with pytest.raises(Unavailable):
            await db.change("profiles/edit", ids[0], {"location": "Rome"}, lock="profiles/lock")
    finally:
        database.execute(f"alter database {database.info.dbname} reset default_transaction_read_only")
    row = await db.change("profiles/edit", ids[0], {"location": "Rome"}, lock="profiles/lock")
    assert row is not None
    assert row["location"] == "Rome"


@pytest.mark.parametrize("error", ["select nothing from users", "select 1 from renamed", "select renamed(1)", DENIED])
async def test_a_statement_that_fails_again_and_again_costs_the_others_no_connection(
    db: Database, monkeypatch: pytest.MonkeyPatch, error: str
) -> None:
    monkeypatch.setitem(statements(), "tests/alone", error)
    monkeypatch.setitem(statements(), "tests/batched", f"select unnest($1::bigint[]), ({error})")
    monkeypatch.setitem(statements(), "tests/batch", "select unnest($1::bigint[]), pg_backend_pid() as pid")

    async def processes() -> list[Any]:
        """The server processes of a single statement and of a batch."""
        alone, batch = await db.row("schema/backend"), await db.find("tests/batch", 1)
        return [row and row["pid"] for row in (alone, batch)]

    async def in_transaction() -> None:
        async with db.transaction() as transaction:
            await transaction.row("tests/alone")

    before = await processes()
    for _ in range(5):
        for fails in (db.row("tests/alone"), db.find("tests/batched", 1), in_transaction()):
            with pytest.raises(Unavailable):
                await fails
    assert await processes() == before
    assert not db.lost.is_set()


async def test_the_log_says_once_what_happens_again_and_again(
    db: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "LOG_PAUSE_SECONDS", 0.0)
    for name in ("one", "two"):
        monkeypatch.setitem(statements(), name, f"select {name}")
    for _ in range(10):
        for name in ("one", "two"):
            with pytest.raises(Unavailable):
                await db.row(name)
    assert [record.getMessage() for record in caplog.records] == [
        f'the database cannot run a statement: UndefinedColumnError: column "{name}" does not exist'
        for name in ("one", "two")
    ]
    monkeypatch.setattr(module, "REPEAT_PAUSE_SECONDS", 0.0)
    with pytest.raises(Unavailable):
        await db.row("one")
    assert len(caplog.records) == 3


async def test_a_schema_that_changes_during_a_transaction_is_unavailable(db: Database, database: Any) -> None:
    async def find() -> None:
        async with db.transaction() as transaction:
            await transaction.row("profiles/find", [0])

    await find()
    database.execute("alter table profiles alter column description type varchar(4000)")
    try:
        with pytest.raises(Unavailable):
            await find()
        await find()
    finally:
        database.execute("alter table profiles alter column description type text")


async def test_the_log_says_that_a_time_limit_was_passed(
    db: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*arguments: Any) -> Any:
        raise TimeoutError

    monkeypatch.setattr(asyncpg.Connection, "fetch", fail)
    with pytest.raises(Unavailable):
        await db.rows("users/list", 0, 10, True)
    assert [record.getMessage() for record in caplog.records] == [
        "the database is unavailable: TimeoutError: no connection, or no response, within the time limit"
    ]


async def test_too_many_arguments_are_an_error_of_the_caller(db: Database) -> None:
    with pytest.raises(asyncpg.InterfaceError, match="expects 1 argument"):
        await db.row("users/find", 1, 2)


@pytest.mark.parametrize(
    ("failure", "unavailable"),
    [
        (OSError(), True),
        (TimeoutError(), True),
        (asyncpg.ConnectionDoesNotExistError(), True),
        (asyncpg.AdminShutdownError(), True),
        (asyncpg.CannotConnectNowError(), True),
        (asyncpg.TooManyConnectionsError(), True),
        (asyncpg.LockNotAvailableError(), True),
        (asyncpg.QueryCanceledError(), True),
        (asyncpg.ReadOnlySQLTransactionError(), True),
        (asyncpg.IdleInTransactionSessionTimeoutError(), True),
        (asyncpg.InterfaceError("connection is closed"), True),
        (asyncpg.InterfaceError("pool is closing"), True),
        (asyncpg.InterfaceError("the server expects 1 argument for this query, 2 were passed"), False),
        (asyncpg.UniqueViolationError(), False),
        (asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress"), True),
        (asyncpg.UndefinedTableError(), True),
        (asyncpg.UndefinedColumnError(), True),
        (asyncpg.UndefinedFunctionError(), True),
        (asyncpg.InvalidCachedStatementError(), True),
        (asyncpg.InsufficientPrivilegeError(), True),
        (asyncpg.InvalidCatalogNameError(), True),
        (asyncpg.InvalidPasswordError(), True),
        (asyncpg.InvalidSQLStatementNameError(), True),
        (asyncpg.DiskFullError(), True),
        (NoFreeConnection(), True),
        (asyncpg.DeadlockDetectedError(), True),
        (ValueError(), False),
    ],
)
def test_unavailable_is_not_the_same_as_refused(failure: Exception, unavailable: bool) -> None:
    assert is_unavailable(failure) is unavailable


@pytest.mark.parametrize(
    ("failure", "outage_seconds", "level"),
    [
        (ConnectionRefusedError(), 3600.0, "WARNING"),
        (ConnectionRefusedError(), 0.0, "ERROR"),
        (asyncpg.DiskFullError("No space left on device"), 3600.0, "ERROR"),
        (asyncpg.LockNotAvailableError("timeout"), 0.0, "WARNING"),
    ],
    ids=["a moment", "long", "disk full", "locks"],
)
async def test_a_database_is_an_error_when_it_is_gone_for_long_or_its_disk_is_full(
    db: Database,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    failure: Exception,
    outage_seconds: float,
    level: str,
) -> None:
    async def fail(*arguments: Any) -> Any:
        raise failure

    monkeypatch.setattr(module, "OUTAGE_SECONDS", outage_seconds)
    monkeypatch.setattr(asyncpg.Connection, "fetch", fail)
    with pytest.raises(Unavailable):
        await db.rows("users/list", 0, 10, True)
    assert [record.levelname for record in caplog.records] == [level]


async def test_a_statement_that_succeeds_ends_an_outage(
    db: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(*arguments: Any) -> Any:
        raise ConnectionRefusedError

    clock = SimpleNamespace(perf_counter=time.perf_counter)
    monkeypatch.setattr(module, "time", clock)
    for moment in (100.0, 200.0):
        clock.monotonic = lambda moment=moment: moment
        with monkeypatch.context() as failing:
            failing.setattr(asyncpg.Connection, "fetch", fail)
            with pytest.raises(Unavailable):
                await db.rows("users/list", 0, 10, True)
        assert await db.rows("users/list", 0, 10, True) == []
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
