"""A batch connection is kept while it is usable, and never used again when it may not be."""

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg
import pytest

from server.database import batch_connections as module
from server.database.batch_connections import BATCH_SESSION_SETTINGS, BatchConnections

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]

PROCESS = "select pg_backend_pid() as pid"


class Opener:
    """Opens connections for a test, which sees each of them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.opened: list[Connection] = []
        self.is_refused = False

    async def connect(self) -> "Connection":
        if self.is_refused:
            raise ConnectionRefusedError
        connection = await asyncpg.connect(self.url, server_settings=BATCH_SESSION_SETTINGS, command_timeout=10)
        self.opened.append(connection)
        return connection

    @property
    def still_open(self) -> "list[Connection]":
        return [connection for connection in self.opened if not connection.is_closed()]


@pytest.fixture
def opener(database_url: str, database: Any) -> Opener:
    return Opener(database_url)


@pytest.fixture
async def connections(opener: Opener) -> AsyncIterator[BatchConnections]:
    """At most two."""
    made = BatchConnections(opener.connect, 2)
    yield made
    await made.close()


async def process_of(connections: BatchConnections) -> int:
    """The id of the server process that the next batch runs in."""
    return int((await connections.rows(PROCESS, []))[0]["pid"])


async def test_batches_that_follow_each_other_run_on_one_connection(connections: BatchConnections) -> None:
    assert len({await process_of(connections) for _ in range(5)}) == 1


async def test_a_statement_has_one_plan_for_any_number_of_keys(connections: BatchConnections) -> None:
    for keys in ([1], [1, 2], list(range(100))):
        await connections.rows("select id from users where id = any($1::bigint[])", [keys])
    (plans,) = await connections.rows(
        "select generic_plans, custom_plans from pg_prepared_statements where statement like 'select id from users%'",
        [],
    )
    assert (plans["generic_plans"], plans["custom_plans"]) == (3, 0)


async def test_after_a_refused_row_the_connection_is_used_again(connections: BatchConnections) -> None:
    before = await process_of(connections)
    with pytest.raises(asyncpg.CheckViolationError):
        await connections.rows("insert into users (username) values ($1)", [None])
    with pytest.raises(asyncpg.DivisionByZeroError):
        await connections.rows("select 1 / $1::int", [0])
    assert await process_of(connections) == before


@pytest.mark.parametrize("statement", ["select nothing", "select pg_terminate_backend(pg_backend_pid())"])
async def test_after_any_other_error_no_connection_is_used_again(
    connections: BatchConnections, opener: Opener, statement: str
) -> None:
    await asyncio.gather(process_of(connections), process_of(connections))
    assert len(opener.opened) == 2
    with pytest.raises((asyncpg.PostgresError, asyncpg.ConnectionDoesNotExistError)):
        await connections.rows(statement, [])
    assert opener.still_open == []
    assert await process_of(connections)
    assert len(opener.opened) == 3


async def test_after_one_failed_change_no_other_is_sent_to_a_read_only_server(
    connections: BatchConnections, opener: Opener
) -> None:
    await asyncio.gather(process_of(connections), process_of(connections))
    for connection in opener.opened:
        await connection.execute("set default_transaction_read_only = on")
    change = "insert into users (username) values ($1) returning id"
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await connections.rows(change, ["anna"])
    assert await connections.rows(change, ["anna"])


async def test_an_old_connection_is_replaced(
    connections: BatchConnections, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await process_of(connections)
    monkeypatch.setattr(module, "CONNECTION_MAX_AGE_SECONDS", 0.0)
    assert await process_of(connections) != before
    assert opener.still_open == opener.opened[1:]
    assert len(opener.opened) == 2


async def test_the_connection_of_a_cancelled_batch_is_closed(connections: BatchConnections, opener: Opener) -> None:
    await process_of(connections)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await connections.rows("select pg_sleep(10)", [])
    assert opener.still_open == []


async def test_a_connection_that_the_server_closed_is_replaced(
    connections: BatchConnections, opener: Opener, database: Any
) -> None:
    before = await process_of(connections)
    database.execute("select pg_terminate_backend(%s, 5000)", [before])
    async with asyncio.timeout(5):
        while opener.still_open:
            await asyncio.sleep(0)
    assert await process_of(connections) != before
    assert len(opener.opened) == 2


async def test_connections_are_bounded(connections: BatchConnections) -> None:
    asked = [asyncio.ensure_future(process_of(connections)) for _ in range(2)]
    assert not connections.are_all_in_use
    await asyncio.sleep(0)
    assert connections.are_all_in_use
    assert len(set(await asyncio.gather(*asked))) == 2
    assert not connections.are_all_in_use


async def test_a_failed_connect_does_not_count_as_a_connection(connections: BatchConnections, opener: Opener) -> None:
    opener.is_refused = True
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            await process_of(connections)
    opener.is_refused = False
    assert await process_of(connections)


@pytest.mark.parametrize("end", ["close", "terminate"])
async def test_after_close_no_connection_is_opened(connections: BatchConnections, opener: Opener, end: str) -> None:
    await process_of(connections)
    if end == "close":
        await connections.close()
    else:
        connections.terminate()
    assert opener.still_open == []
    with pytest.raises(asyncpg.InterfaceError, match="closed"):
        await process_of(connections)
    assert len(opener.opened) == 1


async def test_a_connection_that_opens_during_close_is_closed(opener: Opener) -> None:
    async def connect() -> "Connection":
        connection = await opener.connect()
        opening.terminate()
        return connection

    opening = BatchConnections(connect, 2)
    with pytest.raises(asyncpg.InterfaceError, match="closed"):
        await process_of(opening)
    assert len(opener.opened) == 1
    assert opener.still_open == []
