"""Statements on a real PostgreSQL: shared edits undo nothing, a locked row holds up nobody, a lost connection heals."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import asyncpg
import psycopg
import pytest

from server.database import database as module
from server.database.database import Database, is_away
from server.errors import StartError, Unavailable


@pytest.fixture
async def db(database_url: str, database: Any) -> AsyncIterator[Database]:
    connected = await Database.connect(database_url)
    yield connected
    await connected.close()


@pytest.fixture
def ids(database: Any) -> list[int]:
    """Ten profiles."""
    database.execute("insert into users (username) select 'p' || n from generate_series(1, 10) n")
    return [row["id"] for row in database.execute("select id from profiles order by id").fetchall()]


def edit(db: Database, profile_id: int, given: dict[str, Any]) -> Awaitable[asyncpg.Record | None]:
    return db.change("profiles/edit", profile_id, given, lock="profiles/lock")


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the statements that are sent."""
    names: list[str] = []
    run = Database._patiently

    async def noted(self: Database, how: Any, name: str, arguments: Any) -> Any:
        names.append(name)
        return await run(self, how, name, arguments)

    monkeypatch.setattr(Database, "_patiently", noted)
    return names


async def test_whoever_asks_at_once_shares_a_statement(db: Database, ids: list[int], sent: list[str]) -> None:
    rows = await asyncio.gather(*(db.find("profiles/find", each) for each in ids * 10))
    assert [row and row["id"] for row in rows] == ids * 10
    assert sent == ["profiles/find"]
    assert await db.find("profiles/find", 0) is None


async def test_edits_of_one_row_keep_their_order_and_undo_nothing(db: Database, ids: list[int]) -> None:
    edits = [edit(db, ids[0], {"description": str(number)}) for number in range(100)]
    others = [edit(db, ids[0], {"location": str(number)}) for number in range(100)]
    rows = await asyncio.gather(*edits, *others)
    assert [row and row["description"] for row in rows[:100]] == [str(number) for number in range(100)]
    assert (rows[-1]["description"], rows[-1]["location"]) == ("99", "99")  # type: ignore[index]


async def test_absent_is_not_null(db: Database, ids: list[int]) -> None:
    await edit(db, ids[0], {"description": "here", "is_creator": True})
    row = await edit(db, ids[0], {})
    assert row is not None
    assert (row["description"], row["is_creator"]) == ("here", True)
    row = await edit(db, ids[0], {"description": None})
    assert row is not None
    assert row["description"] is None
    assert await edit(db, 0, {"description": "nobody's"}) is None


async def test_a_row_the_database_refuses_fails_its_owner_alone(db: Database, ids: list[int]) -> None:
    good = [edit(db, each, {"location": "Rome"}) for each in ids[1:]]
    bad = edit(db, ids[0], {"location": "x" * 31})
    *rows, failure = await asyncio.gather(*good, bad, return_exceptions=True)
    assert [row["location"] for row in rows] == ["Rome"] * 9  # type: ignore[index]
    assert isinstance(failure, asyncpg.CheckViolationError)


async def test_a_locked_row_goes_alone_and_holds_up_nobody(db: Database, ids: list[int], database_url: str) -> None:
    with psycopg.connect(database_url) as holder:
        holder.execute("select from profiles where id = %s for update", [ids[0]])
        waiting = asyncio.ensure_future(edit(db, ids[0], {"location": "later"}))
        rows = await asyncio.gather(*(edit(db, each, {"location": "now"}) for each in ids[1:]))
        assert [row and row["location"] for row in rows] == ["now"] * 9
        assert not waiting.done()
        holder.rollback()
        row = await waiting
    assert row is not None
    assert row["location"] == "later"


async def test_a_row_that_stays_locked_is_unavailable(
    monkeypatch: pytest.MonkeyPatch, database_url: str, ids: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(module.SESSION, "lock_timeout", "20ms")
    impatient = await Database.connect(database_url)
    with psycopg.connect(database_url) as holder:
        holder.execute("select from profiles where id = %s for update", [ids[0]])
        with pytest.raises(Unavailable):
            await edit(impatient, ids[0], {"location": "never"})
    assert not impatient.lost.is_set(), "a locked row made the database look dead"
    assert [record.getMessage() for record in caplog.records] == [
        "database held up: LockNotAvailableError: canceling statement due to lock timeout"
    ]
    await impatient.close()


async def test_whoever_wants_the_same_page_now_shares_it(
    db: Database, ids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = []
    rows = db.rows

    async def counted(name: str, *arguments: Any) -> Any:
        sent.append(arguments)
        return await rows(name, *arguments)

    def make(found: Any, after: int, limit: int, is_staff: bool) -> list[int]:
        return [row["id"] for row in found]

    monkeypatch.setattr(db, "rows", counted)
    wanted = [(0, 3, False), (0, 3, False), (ids[4], 3, False), (0, 3, False), (0, 3, True)]
    pages = await asyncio.gather(*(db.share("profiles/list", make, *page) for page in wanted))
    assert pages == [ids[:3], ids[:3], ids[5:8], ids[:3], ids[:3]]
    assert sorted(sent) == sorted(set(wanted))


async def test_a_page_is_as_fresh_as_if_it_were_asked_alone(db: Database, ids: list[int], database: Any) -> None:
    def make(found: Any, *asked: Any) -> int:
        return len(found)

    assert await db.share("profiles/list", make, 0, 100, False) == 10
    database.execute("insert into users (username) values ('one more')")
    assert await db.share("profiles/list", make, 0, 100, False) == 11


async def test_two_functions_over_one_statement_each_get_their_own_result(db: Database, ids: list[int]) -> None:
    def count(found: Any, *asked: Any) -> int:
        return len(found)

    def first(found: Any, *asked: Any) -> int:
        return int(found[0]["id"])

    page = (0, 3, False)
    assert await asyncio.gather(*(db.share("profiles/list", each, *page) for each in (count, first))) == [3, ids[0]]
    assert await db.share("profiles/list", count, *page) == 3


async def test_a_statement_can_be_shared_and_be_asked_by_key(db: Database, ids: list[int]) -> None:
    def count(found: Any, *asked: Any) -> int:
        return len(found)

    assert await db.share("profiles/find", count, (ids[0], ids[1])) == 2
    row = await db.find("profiles/find", ids[0])
    assert row is not None
    assert row["id"] == ids[0]


async def test_a_deadlock_is_tried_again(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = [asyncpg.DeadlockDetectedError("once"), asyncpg.DeadlockDetectedError("twice")]
    fetch = asyncpg.Connection.fetch

    async def unlucky(self: Any, *arguments: Any) -> Any:
        if failures:
            raise failures.pop()
        return await fetch(self, *arguments)

    monkeypatch.setattr(asyncpg.Connection, "fetch", unlucky)
    assert await db.rows("users/list", 0, 10, True) == []
    assert failures == []


async def test_a_lost_connection_is_unavailable_and_heals_by_itself(
    db: Database, ids: list[int], database: Any, database_url: str
) -> None:
    with psycopg.connect(database_url) as holder:
        holder.execute("lock table profiles")
        asked = [asyncio.ensure_future(db.find("profiles/find", each)) for each in ids]
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


async def test_a_transaction_is_whole_or_not_at_all(db: Database, database: Any) -> None:
    async def half() -> None:
        async with db.transaction() as transaction:
            await transaction.row("users/register", "anna", "", "!", False, None, False, "en")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await half()
    assert database.execute("select * from users").fetchall() == []


async def test_a_server_that_is_too_old_stops_the_start(monkeypatch: pytest.MonkeyPatch, database_url: str) -> None:
    monkeypatch.setattr(module, "MIN_POSTGRES", 99)
    with pytest.raises(StartError, match="is needed; this one is 1"):
        await Database.connect(database_url)


async def test_a_database_that_does_not_exist_stops_the_start(database_url: str) -> None:
    with pytest.raises(StartError, match=r'database "nothing.*" does not exist'):
        await Database.connect(database_url.replace("/test_", "/nothing_"))


async def test_a_deadlock_that_comes_again_and_again_is_unavailable(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unlucky(*arguments: Any) -> Any:
        raise asyncpg.DeadlockDetectedError("once more")

    monkeypatch.setattr(asyncpg.Connection, "fetch", unlucky)
    with pytest.raises(Unavailable):
        await db.rows("users/list", 0, 10, True)


async def test_after_one_failed_statement_none_goes_to_a_server_that_only_reads(
    db: Database, database: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with db._pool.acquire() as first, db._pool.acquire() as second:
        for connection in (first, second):
            await connection.execute("set default_transaction_read_only = on")
    with pytest.raises(Unavailable):
        await db.row("users/register", "anna", "", "!", False, None, False, "en")
    assert "ReadOnlySQLTransactionError" in caplog.text
    for name in ("anna", "boris"):
        async with db.transaction() as transaction:
            assert await transaction.row("users/register", name, "", "!", False, None, False, "en")


async def test_a_change_of_schema_under_a_transaction_is_unavailable_and_no_fault_of_ours(
    db: Database, database: Any
) -> None:
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


async def test_a_time_limit_that_was_passed_says_so(
    db: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def slow(*arguments: Any) -> Any:
        raise TimeoutError

    monkeypatch.setattr(asyncpg.Connection, "fetch", slow)
    with pytest.raises(Unavailable):
        await db.rows("users/list", 0, 10, True)
    assert caplog.records[-1].getMessage().endswith("TimeoutError: no connection, or no answer, within the time limit")


async def test_a_call_with_too_many_arguments_is_a_fault_of_ours(db: Database) -> None:
    with pytest.raises(asyncpg.InterfaceError, match="expects 1 argument"):
        await db.row("users/find", 1, 2)


async def test_a_connection_that_was_closed_is_unavailable(db: Database) -> None:
    await db.close()
    with pytest.raises(Unavailable):
        await db.row("users/find", 1)
    with pytest.raises(Unavailable):
        await db.find("profiles/find", 1)


async def test_parameters_that_only_libpq_knows_do_not_reach_the_server(database_url: str) -> None:
    more = "connect_timeout=5&channel_binding=prefer&keepalives=1&application_name=ours"
    connected = await Database.connect(f"{database_url}&{more}")
    assert await connected.rows("users/list", 0, 10, True) == []
    await connected.close()


@pytest.mark.parametrize("connections", [2, 14])
async def test_a_locked_table_holds_up_no_other_statement(
    database_url: str, ids: list[int], database: Any, connections: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BATCH_CONNECTIONS", 4)
    connected = await Database.connect(database_url, connections=connections)
    most = connected._lanes._most
    with psycopg.connect(database_url) as holder:
        holder.execute("lock table profiles")
        frozen = [asyncio.ensure_future(connected._set("profiles/find", [[each]])) for each in ids[:most]]
        await asyncio.sleep(0)
        assert connected._lanes.are_all_in_use
        async with asyncio.timeout(3):
            assert await connected.find("sessions/explain", 0) is None
        assert not any(each.done() for each in frozen)
        holder.rollback()
        assert [len(rows) for rows in await asyncio.gather(*frozen)] == [1] * most
    await connected.close()


@pytest.mark.parametrize("connections", [2, 5, 14])
async def test_connections_are_bounded(database_url: str, connections: int) -> None:
    connected = await Database.connect(database_url, connections=connections)
    assert connected._lanes._most + connected._pool.get_max_size() == connections
    await connected.close()


async def test_sets_have_one_plan_whatever_their_keys(db: Database, ids: list[int]) -> None:
    await db.find("profiles/find", ids[0])
    (lane,) = db._lanes._made
    assert await lane.fetchval("show plan_cache_mode") == "force_generic_plan"
    assert await lane.fetchval("show statement_timeout") == "14s"


async def test_lanes_that_do_not_close_in_time_are_cut(
    db: Database, ids: list[int], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CLOSE_SECONDS", 0.05)
    with psycopg.connect(database_url) as holder:
        holder.execute("lock table profiles")
        asked = asyncio.ensure_future(db.find("profiles/find", ids[0]))
        while not db._lanes._made:
            await asyncio.sleep(0)
        (lane,) = db._lanes._made
        await db.close()
        assert lane.is_closed()
        with pytest.raises(Unavailable):
            await asked


async def test_few_connections_serve_sets_and_lone_statements(database_url: str, ids: list[int]) -> None:
    connected = await Database.connect(database_url, connections=1)
    assert await connected.find("profiles/find", ids[0])
    assert await connected.rows("users/list", 0, 10, True)
    await connected.close()


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        await Database.connect("postgresql://127.0.0.1:1/nothing")


@pytest.mark.parametrize(
    ("failure", "away"),
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
        (asyncpg.InterfaceError("connection is closed"), True),
        (asyncpg.InterfaceError("pool is closing"), True),
        (asyncpg.InterfaceError("the server expects 1 argument for this query, 2 were passed"), False),
        (asyncpg.UniqueViolationError(), False),
        (asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress"), True),
        (asyncpg.UndefinedTableError(), True),
        (asyncpg.UndefinedColumnError(), True),
        (asyncpg.UndefinedFunctionError(), True),
        (asyncpg.InvalidCachedStatementError(), True),
        (asyncpg.DeadlockDetectedError(), True),
        (ValueError(), False),
    ],
)
def test_away_is_not_the_same_as_no(failure: Exception, away: bool) -> None:
    assert is_away(failure) is away


async def test_a_patient_caller_gets_a_database_that_is_away_and_asks_in_vain_until_it_is_back() -> None:
    away = "postgresql://127.0.0.1:1/x"
    with pytest.raises(Unavailable):
        await Database.connect(away)
    connected = await Database.connect(away, patient=True)
    with pytest.raises(Unavailable):
        await connected.rows("schema/applied")
    await connected.close()
