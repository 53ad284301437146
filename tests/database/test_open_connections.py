"""A connection is kept while it is usable, never used again when it may not be, and waited for when it is in use."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from server.database import connections as module
from server.database.connecting import Connection, Connector
from server.database.connections import Connections
from server.database.database import BATCH_SESSION_SETTINGS
from server.database.failures import NoFreeConnection
from server.errors import Busy
from server.settings.database_url import DatabaseUrl

PROCESS = "select pg_backend_pid() as pid"


class Opener:
    """Opens connections for a test, which sees each of them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.opened: list[Connection] = []
        self.is_refused = False

    async def connect(self) -> Connection:
        if self.is_refused:
            raise ConnectionRefusedError
        connection = await Connector(DatabaseUrl.read(self.url), command_timeout=10).opener(BATCH_SESSION_SETTINGS)()
        self.opened.append(connection)
        return connection

    @property
    def still_open(self) -> list[Connection]:
        return [connection for connection in self.opened if not connection.is_closed()]


@pytest.fixture
def opener(database_url: str, database: Any) -> Opener:
    return Opener(database_url)


@pytest.fixture
async def connections(opener: Opener) -> AsyncIterator[Connections]:
    """At most two."""
    made = Connections(opener.connect, 2)
    yield made
    await made.close()


async def process_of(connections: Connections) -> int:
    """The id of the server process that the next batch runs in."""
    return int((await connections.rows(PROCESS, [], 5))[0]["pid"])


async def test_batches_that_follow_each_other_run_on_one_connection(connections: Connections) -> None:
    assert len({await process_of(connections) for _ in range(5)}) == 1


async def test_a_statement_has_one_plan_for_any_number_of_keys(connections: Connections) -> None:
    for keys in ([1], [1, 2], list(range(100))):
        await connections.rows("select id from users where id = any($1::bigint[])", [keys], 5)
    (plans,) = await connections.rows(
        "select generic_plans, custom_plans from pg_prepared_statements where statement like 'select id from users%'",
        [],
        5,
    )
    assert (plans["generic_plans"], plans["custom_plans"]) == (3, 0)


async def test_after_a_refused_row_the_connection_is_used_again(connections: Connections) -> None:
    before = await process_of(connections)
    with pytest.raises(asyncpg.CheckViolationError):
        await connections.rows("insert into users (username) values ($1)", [None], 5)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await connections.rows("select 1 / $1::int", [0], 5)
    assert await process_of(connections) == before


async def test_a_statement_that_the_schema_does_not_know_costs_no_connection(
    connections: Connections, opener: Opener
) -> None:
    for _ in range(3):
        with pytest.raises(asyncpg.UndefinedColumnError):
            await connections.rows("select nothing", [], 5)
    assert len(opener.opened) == len(opener.still_open) == 1


async def test_a_connection_that_ends_during_a_statement_is_not_used_again(
    connections: Connections, opener: Opener
) -> None:
    with pytest.raises((asyncpg.PostgresError, asyncpg.ConnectionDoesNotExistError)):
        await connections.rows("select pg_terminate_backend(pg_backend_pid())", [], 5)
    assert await process_of(connections)
    assert len(opener.opened) == 2


async def test_expired_connections_are_not_used_again(connections: Connections, opener: Opener) -> None:
    used = await connections.acquire(5)
    await process_of(connections)
    connections.expire()
    connections.release(used)
    assert await process_of(connections)
    async with asyncio.timeout(5):
        while len(opener.still_open) > 1:
            await asyncio.sleep(0)
    assert opener.still_open == opener.opened[2:]


async def test_an_old_connection_is_replaced(
    connections: Connections, opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await process_of(connections)
    monkeypatch.setattr(module, "CONNECTION_MAX_AGE_SECONDS", 0.0)
    assert await process_of(connections) != before
    assert opener.still_open == opener.opened[1:]
    assert len(opener.opened) == 2


async def test_the_connection_of_a_cancelled_batch_is_closed(connections: Connections, opener: Opener) -> None:
    await process_of(connections)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await connections.rows("select pg_sleep(10)", [], 5)
    async with asyncio.timeout(5):
        while opener.still_open or connections.opened:
            await asyncio.sleep(0)


async def test_a_connection_that_the_server_closed_is_replaced(
    connections: Connections, opener: Opener, database: Any
) -> None:
    before = await process_of(connections)
    database.execute("select pg_terminate_backend(%s, 5000)", [before])
    async with asyncio.timeout(5):
        while opener.still_open:
            await asyncio.sleep(0)
    assert await process_of(connections) != before
    assert len(opener.opened) == 2


async def test_connections_are_bounded(connections: Connections) -> None:
    asked = [asyncio.ensure_future(process_of(connections)) for _ in range(2)]
    assert not connections.are_all_in_use
    await asyncio.sleep(0)
    assert connections.are_all_in_use
    assert len(set(await asyncio.gather(*asked))) == 2
    assert not connections.are_all_in_use


async def test_a_failed_connect_does_not_count_as_a_connection(connections: Connections, opener: Opener) -> None:
    opener.is_refused = True
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            await process_of(connections)
    opener.is_refused = False
    assert await process_of(connections)


@pytest.mark.parametrize("end", ["close", "terminate"])
async def test_after_close_no_connection_is_opened(connections: Connections, opener: Opener, end: str) -> None:
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
    async def connect() -> Connection:
        connection = await opener.connect()
        opening.terminate()
        return connection

    opening = Connections(connect, 2)
    with pytest.raises(asyncpg.InterfaceError, match="closed"):
        await process_of(opening)
    assert len(opener.opened) == 1
    assert opener.still_open == []


async def test_a_connection_that_opens_slowly_is_waited_for(opener: Opener) -> None:
    is_open = asyncio.Event()

    async def connect() -> Connection:
        await is_open.wait()
        return await opener.connect()

    connections = Connections(connect, 1)
    first, second = (asyncio.ensure_future(connections.acquire(0)) for _ in range(2))
    with pytest.raises(NoFreeConnection):  # it waits for the first caller, not for PostgreSQL
        await second
    is_open.set()
    connections.release(await first)
    await connections.close()
    assert opener.still_open == []


async def test_callers_get_a_connection_in_the_order_in_which_they_came(opener: Opener) -> None:
    connections = Connections(opener.connect, 1)
    got: list[int] = []

    async def use(number: int) -> None:
        connection = await connections.acquire(5)
        got.append(number)
        connections.release(connection)

    held = await connections.acquire(5)
    callers = [asyncio.ensure_future(use(number)) for number in range(5)]
    leaving = asyncio.ensure_future(connections.acquire(5))
    await asyncio.sleep(0)
    leaving.cancel()
    connections.release(held)
    await asyncio.gather(*callers)
    assert got == [0, 1, 2, 3, 4]
    assert len(opener.opened) == 1
    await connections.close()


async def test_too_many_waiting_callers_are_refused_at_once(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING_CALLERS", 1)
    connections = Connections(opener.connect, 1)
    held = await connections.acquire(5)
    waiting = asyncio.ensure_future(connections.acquire(5))
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await connections.acquire(5)
    connections.release(held)
    connections.release(await waiting)
    await connections.close()


async def test_close_waits_for_a_connection_in_use(opener: Opener) -> None:
    connections = Connections(opener.connect, 2)
    held = await connections.acquire(5)
    closing = asyncio.ensure_future(connections.close())
    await asyncio.sleep(0)
    assert await held.fetchval("select 1") == 1
    connections.release(held)
    await closing
    assert opener.still_open == []


async def test_free_connections_that_are_old_are_closed(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECTION_MAX_AGE_SECONDS", 0.01)
    connections = Connections(opener.connect, 2)
    connections.release(await connections.acquire(5))
    async with asyncio.timeout(5):
        while connections.opened:
            await asyncio.sleep(0)
    assert opener.still_open == []
