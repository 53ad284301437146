"""Behind a real PgBouncer: no session state, no statement of another process, the same results."""

import asyncio
import os
import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import psycopg
import pytest
import trustme

from server.database import connecting, migrate
from server.database.connecting import SILENT_SECONDS, Connector
from server.database.database import SESSION_SETTINGS, Database
from server.errors import StartError, Unavailable
from server.resources import statements
from server.settings.database_url import DatabaseUrl
from tests.database.poolers import pgbouncer
from tests.database.test_connections import SETTINGS_OF_SESSION
from tests.rows import Connection

MakePooler: TypeAlias = Callable[..., str]
"""Starts a PgBouncer in transaction mode in front of a database, with more options; returns its URL."""

IGNORED = {"ignore_startup_parameters": ", ".join([*SESSION_SETTINGS, "plan_cache_mode"])}
PREPARED = "select unnest($1::text[]) as name, (select count(*) from pg_prepared_statements) as count"
LEFT_BEHIND = (
    "select (select count(*) from pg_prepared_statements)"
    " + (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid())"
    " + (select count(*) from pg_settings where source = 'session' and name = any($1)) as things"
)


@pytest.fixture
def make_pooler(tmp_path: Path, database_url: str) -> Iterator[MakePooler]:
    with ExitStack() as running:

        def make(url: str = database_url, **options: str) -> str:
            return running.enter_context(pgbouncer(tmp_path, url, **{"pool_mode": "transaction"} | options))

        yield make


@pytest.fixture
async def nodes(database: Connection) -> Any:
    """Connects processes of the service, as it seems to PostgreSQL; closes all of them."""
    connected: list[Database] = []

    async def connect(url: str, **options: Any) -> Database:
        connected.append(await Database.connect(url, **options))
        return connected[-1]

    yield connect
    for each in connected:
        await each.close()


async def left_behind(url: str) -> int:
    """How many prepared statements, locks and settings the clients of a pool of one connection left there."""
    connection = await asyncpg.connect(url, statement_cache_size=0)
    try:
        return int(await connection.fetchval(LEFT_BEHIND, [name for name in SESSION_SETTINGS if name != "timezone"]))
    finally:
        await connection.close()


@pytest.mark.parametrize("options", [{}, IGNORED, {"pool_mode": "session"}], ids=["refuses", "ignores", "session"])
async def test_statements_of_several_processes_never_meet(
    make_pooler: MakePooler, nodes: Any, ids: list[int], options: dict[str, str], database: Connection
) -> None:
    size = "20" if options.get("pool_mode") else "2"  # in session mode each client keeps its connection
    url = make_pooler(default_pool_size=size, **options)
    processes = [await nodes(url, connections=4) for _ in range(3)]
    names = {each: f"p{number}" for number, each in enumerate(ids, 1)}
    randomly = random.Random(11)

    async def read(process: Database) -> None:
        for _ in range(70):
            key = randomly.choice(ids)
            match randomly.randrange(3):
                case 0:
                    row = await process.find("profiles/find", key)
                    assert row
                    assert (row["id"], row["username"]) == (key, names[key])
                case 1:
                    rows = await process.rows("users/list", 0, 3, True)
                    assert [each["username"] for each in rows] == ["p1", "p2", "p3"]
                case 2:
                    changed = await process.change("profiles/edit", key, {"location": names[key]}, lock="profiles/lock")
                    assert changed
                    assert (changed["id"], changed["location"]) == (key, names[key])

    await asyncio.gather(*(read(process) for process in processes for _ in range(3)))


async def test_a_statement_of_another_process_has_another_name(
    make_pooler: MakePooler, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if DATABASE_POOLER were wrong: both prepare statements, on the one server connection that they share.
    connect = Connector(
        DatabaseUrl.read(make_pooler(default_pool_size="1")), command_timeout=10, pooler="session"
    ).opener({})
    first, second = await connect(), await connect()
    try:
        assert await first.fetchval("select 'of the first: ' || $1::text", "one") == "of the first: one"
        monkeypatch.setattr(connecting, "_PROCESS", "another")
        monkeypatch.setattr(connecting, "_numbers", iter([1, 2, 3]))
        assert await second.fetchval("select 'of the second: ' || $1::text", "two") == "of the second: two"
        assert await first.fetchval("select 'of the first: ' || $1::text", "three") == "of the first: three"
    finally:
        first.terminate()
        second.terminate()


async def test_the_settings_of_the_session_hold_in_each_transaction(
    make_pooler: MakePooler, nodes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(statements(), "tests/settings_of_session", SETTINGS_OF_SESSION)
    db = await nodes(make_pooler())
    alone = await db.rows("tests/settings_of_session", [*SESSION_SETTINGS])
    async with db.transaction() as transaction:
        in_transaction = await transaction.rows("tests/settings_of_session", [*SESSION_SETTINGS])
    in_batch = await db.find("tests/settings_of_session", "timezone")
    for rows in (alone, in_transaction):
        assert {row["name"].lower(): row["value"] for row in rows} == {
            name: SESSION_SETTINGS[name] for name in SESSION_SETTINGS
        }
    assert in_batch["value"] == "UTC"


async def test_nothing_stays_at_the_pooler(make_pooler: MakePooler, nodes: Any, ids: list[int]) -> None:
    url = make_pooler(default_pool_size="1")
    db = await nodes(url)
    await db.find("profiles/find", ids[0])
    await db.rows("users/list", 0, 3, True)
    async with db.transaction() as transaction:
        await transaction.row("users/find", 1)
    assert await left_behind(url) == 0


async def test_arguments_that_cannot_be_sent_keep_no_connection_of_the_pooler(
    make_pooler: MakePooler, nodes: Any, ids: list[int]
) -> None:
    url = make_pooler(default_pool_size="1")
    first, second = await nodes(url), await nodes(url)
    for call in (first.find("profiles/find", 2**70), first.row("users/find", 2**70)):
        with pytest.raises(asyncpg.DataError):
            await call
    async with asyncio.timeout(5):
        assert await second.find("profiles/find", ids[0])


async def test_a_lock_is_waited_for_as_long_as_without_a_pooler(
    make_pooler: MakePooler, nodes: Any, ids: list[int], database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SESSION_SETTINGS, "lock_timeout", "20ms")
    db = await nodes(make_pooler())
    with psycopg.connect(database_url) as holder:
        holder.execute("select from users for update")
        with pytest.raises(Unavailable) as raised:
            await db.row("users/rehash", *await arguments_of_rehash(db))
    assert isinstance(raised.value.__cause__, asyncpg.LockNotAvailableError)
    assert not db.lost.is_set()


async def arguments_of_rehash(db: Database) -> tuple[Any, ...]:
    users = await db.rows("users/list", 0, 1, True)
    return users[0]["id"], "!", "?"


async def test_a_pooled_connection_knows_the_types_of_every_statement(
    make_pooler: MakePooler, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = await Connector(DatabaseUrl.read(make_pooler()), command_timeout=10).opener(SESSION_SETTINGS)()

    async def look_up(*arguments: Any) -> None:
        raise AssertionError("a type is not in sql/schema/array_types.sql")

    monkeypatch.setattr(asyncpg.Connection, "_introspect_types", look_up)
    try:
        for text in statements().values():
            await connection.prepare(text)
    finally:
        connection.terminate()


@pytest.mark.parametrize("pool_mode", ["transaction", "session"])
def test_the_schema_is_migrated_through_a_pooler(
    make_pooler: MakePooler, make_database: Callable[[str], str], pool_mode: str
) -> None:
    url = make_pooler(make_database("pooled"), pool_mode=pool_mode, default_pool_size="4")
    applied: list[list[str]] = []
    starts = [threading.Thread(target=lambda: applied.append(migrate.migrate(url))) for _ in range(2)]
    for start in starts:
        start.start()
    for start in starts:
        start.join(timeout=50)
    assert sorted(applied) == [[], migrate.names()]
    assert migrate.migrate(url) == []
    migrate.roll_back(url)
    assert migrate.migrate(url) == migrate.names()


async def test_a_migration_leaves_no_lock_at_the_pooler(make_pooler: MakePooler, database: Connection) -> None:
    url = make_pooler(default_pool_size="2")
    await asyncio.to_thread(migrate.migrate, url)
    held = database.execute(
        "select from pg_locks join pg_database d on d.oid = database"
        " where locktype = 'advisory' and datname = current_database() and objid = %s",
        [migrate.ADVISORY_LOCK_ID],
    )
    assert held.fetchall() == []


async def test_sessions_that_are_not_kept_stop_the_start(make_pooler: MakePooler, nodes: Any) -> None:
    with pytest.raises(StartError, match="DATABASE_POOLER is session, but the pooler"):
        await nodes(make_pooler(), pooler="session")


@pytest.mark.parametrize(("pool_mode", "pooler"), [("session", "session"), ("transaction", "transaction")])
async def test_the_setting_says_whether_statements_are_prepared(
    make_pooler: MakePooler, nodes: Any, pool_mode: str, pooler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = "tests/settings_of_session"
    monkeypatch.setitem(statements(), names, SETTINGS_OF_SESSION)
    monkeypatch.setitem(statements(), "tests/prepared", PREPARED)
    db = await nodes(make_pooler(pool_mode=pool_mode), pooler=pooler)
    rows = await db.rows(names, [*SESSION_SETTINGS])
    assert {row["name"].lower(): row["value"] for row in rows} == {
        name: SESSION_SETTINGS[name] for name in SESSION_SETTINGS
    }
    prepared = await db.find("tests/prepared", "x")
    assert prepared["count"] == (1 if pooler == "session" else 0)


async def test_without_a_pooler_statements_are_prepared(
    nodes: Any, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(statements(), "tests/prepared", PREPARED)
    db = await nodes(database_url)
    assert (await db.find("tests/prepared", "x"))["count"] == 1


async def test_a_pooler_that_comes_later_is_found(make_pooler: MakePooler, database_url: str) -> None:
    """The address of the database may be given to a pooler while the service runs."""
    connector = Connector(DatabaseUrl.read(database_url), command_timeout=10)
    before = await connector.opener(SESSION_SETTINGS)()
    pooled = DatabaseUrl.read(make_pooler(**IGNORED)).for_asyncpg()[0]
    connector._hosts[0]._arguments = connector._hosts[0]._arguments | pooled  # type: ignore[operator]
    after = await connector.opener(SESSION_SETTINGS)()
    assert (before.is_pooled, after.is_pooled) == (False, True)
    before.terminate()
    after.terminate()


@pytest.mark.parametrize("sslmode", ["disable", "require"])
async def test_the_kernel_ends_a_connection_whose_machine_does_not_answer(
    make_pooler: MakePooler, tmp_path: Path, sslmode: str
) -> None:
    # Through a pooler: the PostgreSQL of the tests has neither TCP nor TLS.
    issued = trustme.CA().issue_cert("localhost")
    for name, blob in {"key": issued.private_key_pem, "certificate": issued.cert_chain_pems[0]}.items():
        blob.write_to_path(tmp_path / name)
        (tmp_path / name).chmod(0o644)
    files = {"client_tls_key_file": f"{tmp_path}/key", "client_tls_cert_file": f"{tmp_path}/certificate"}
    url = make_pooler(client_tls_sslmode="allow", **files) + f"?sslmode={sslmode}"
    connection = await Connector(DatabaseUrl.read(url), command_timeout=10).opener({})()
    try:
        transport = connection._transport
        assert (transport.get_extra_info("ssl_object") is not None) == (sslmode == "require")
        with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as ours:
            assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            names = ("TCP_USER_TIMEOUT", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT")
            values = [ours.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in names]
        assert values == [SILENT_SECONDS * 1000, 3, 1, 2]
    finally:
        await connection.close()
