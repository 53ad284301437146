"""Clients that do not read their responses: dropped, and bounded in memory (security 37)."""

import asyncio
import functools
import logging
from typing import Any

import pytest

from server.web import readers
from server.web.bounds import Budget
from server.web.connections import Bounds
from server.web.pieces import PIECE_BYTES
from server.web.protocol import Protocol
from tests.conftest import Client, Person
from tests.web.connections import opened, server_side, until

BUNDLE = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n"


class Stuck(asyncio.Transport):
    """A client that takes `taken` bytes of what is written at each look, and the rest never."""

    def __init__(self, taken: list[int]) -> None:
        super().__init__()
        self.unsent = 0
        self.writes = 0
        self.looks = 0
        self.is_closed = False
        self.is_aborted = False
        self.high: int | None = None
        self._taken = taken
        self.protocol: Protocol | None = None

    def write(self, data: Any) -> None:
        self.writes += 1
        self.unsent += len(data)
        if self.protocol is not None:
            self.protocol.pause_writing()

    def get_write_buffer_size(self) -> int:
        if self.looks:
            self.unsent -= self._taken[self.looks - 1] if self.looks <= len(self._taken) else 0
        self.looks += 1
        return self.unsent

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = high

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def is_closing(self) -> bool:
        return self.is_aborted

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_aborted = True


async def connected(client: Client, transport: Stuck) -> Protocol:
    """A connection of the service with this transport."""
    assert client.server.runner is not None
    made: Any = client.server.runner.server()  # type: ignore[misc]
    made.connection_made(transport)
    transport.protocol = made
    return made  # type: ignore[no-any-return]


async def test_a_client_that_reads_nothing_is_dropped_and_its_response_freed(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(readers, "STALL_SECONDS", 0.05)
    caplog.set_level(logging.INFO)
    async with opened(client, BUNDLE):
        await until(lambda: server_side(client))
        await until(lambda: not server_side(client))
    assert [record.levelname for record in caplog.records if "dropped a client that read" in record.getMessage()] == [
        "INFO"
    ]
    assert [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == []


@pytest.mark.parametrize("last", [0, 1, readers.STALL_MIN_BYTES - 1])
async def test_a_client_that_takes_enough_each_time_is_not_dropped_until_it_takes_less(
    client: Client, monkeypatch: pytest.MonkeyPatch, last: int
) -> None:
    monkeypatch.setattr(readers, "STALL_SECONDS", 0.001)
    enough = readers.STALL_MIN_BYTES
    transport = Stuck([0, enough, enough, last, enough])
    made = await connected(client, transport)
    transport.unsent = 10 * enough
    made.pause_writing()
    await until(lambda: transport.is_aborted)
    assert transport.unsent == 8 * enough - last


async def test_what_the_kernel_has_not_sent_counts_as_not_taken(client: Client) -> None:
    async with asyncio.timeout(10), opened(client, BUNDLE) as (reader, _):
        await until(lambda: server_side(client) and server_side(client)[0]._reader.is_on)
        socket = server_side(client)[0]._socket
        assert socket is not None
        before = readers.unsent_bytes(socket)
        assert before > socket.get_write_buffer_size() + 1000
        await reader.readexactly(8000)
        await until(lambda: readers.unsent_bytes(socket) <= before - 4000)


async def test_a_connection_that_closes_with_unsent_bytes_is_watched_too(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readers, "STALL_SECONDS", 0.001)
    transport = Stuck([])
    made = await connected(client, transport)
    assert transport.high == 0  # any unsent byte is watched, not only 64 KiB of them
    transport.write(b"x")
    made.force_close()
    await until(lambda: transport.is_aborted)


async def test_a_client_that_reads_again_is_not_watched(client: Client) -> None:
    transport = Stuck([])
    made = await connected(client, transport)
    transport.write(b"x")
    assert made._bounds.unsent.total == 1
    made.resume_writing()
    assert made._bounds.unsent.total == 0
    assert not made._reader.is_on


async def test_a_long_response_waits_after_each_piece(client: Client) -> None:
    transport = Stuck([])
    made = await connected(client, transport)
    made.data_received(BUNDLE)
    await until(lambda: transport.unsent)
    await asyncio.sleep(0)
    assert transport.unsent < PIECE_BYTES + 2000  # head and one piece
    assert made._bounds.unsent.total == transport.unsent  # the bundle itself is in memory once for all
    made.connection_lost(None)
    assert made._bounds.unsent.total == 0


async def test_short_responses_wait_for_the_one_before_to_be_taken(client: Client) -> None:
    transport = Stuck([])
    made = await connected(client, transport)
    made.data_received(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 5)
    await until(lambda: transport.unsent)
    await asyncio.sleep(0.05)  # enough for all five
    of_one = transport.unsent
    assert transport.writes == 1
    for taken in range(1, 5):
        made.resume_writing()
        await until(lambda: transport.writes == taken + 1)  # noqa: B023  awaited in the loop
        await asyncio.sleep(0.01)
        assert transport.writes == taken + 1
    assert transport.unsent == 5 * of_one
    made.connection_lost(None)


async def test_a_client_that_leaves_while_its_short_response_waits_ends_its_other_requests(client: Client) -> None:
    transport = Stuck([])
    made = await connected(client, transport)
    made.data_received(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 5)
    await until(lambda: transport.unsent)
    task = made._task_handler
    assert task is not None
    made.connection_lost(ConnectionResetError())
    async with asyncio.timeout(5):
        await asyncio.wait([task])
    assert task.cancelled() or task.exception() is None
    assert transport.writes == 1


async def test_a_client_that_stops_sending_while_its_short_response_waits_gets_the_end_after_it(client: Client) -> None:
    transport = Stuck([])
    made = await connected(client, transport)
    made.data_received(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    await until(lambda: transport.unsent)
    assert made.eof_received()  # the connection stays open for the response
    assert not transport.is_closed
    made.resume_writing()
    await until(lambda: transport.is_closed)
    made.connection_lost(None)


async def test_a_response_of_its_own_counts_whole(anna: Person, database: Any) -> None:
    database.execute("update profiles set description = %s", ["x" * 500_000])
    transport = Stuck([])
    made = await connected(anna.client, transport)
    head = f"GET /api/accounts/all-profiles HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {anna.tokens['access']}"
    made.data_received(f"{head}\r\n\r\n".encode())
    await until(lambda: transport.unsent)
    assert made._bounds.unsent.total > 500_000
    made.connection_lost(None)


async def test_a_long_response_is_whole_and_its_head_the_same(client: Client) -> None:
    async with client.get("/docs/swagger-ui-bundle.js") as got, client.head("/docs/swagger-ui-bundle.js") as asked:
        body = await got.read()
        assert len(body) == int(got.headers["Content-Length"]) == int(asked.headers["Content-Length"]) > 1_000_000
        assert asked.headers["Content-Type"] == got.headers["Content-Type"] == "text/javascript; charset=utf-8"
        assert await asked.read() == b""


async def test_the_reader_that_waits_longest_gives_way_when_all_together_hold_too_much(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.web.connections.UNSENT_MAX_BYTES", 3 * PIECE_BYTES)
    bounds = Bounds()
    dropped: list[int] = []
    for number in range(5):
        transport = Stuck([])
        made = await connected(client, transport)
        made._bounds = bounds
        monkeypatch.setattr(transport, "abort", functools.partial(dropped.append, number))
        made.data_received(BUNDLE)
        await until(lambda: transport.unsent)  # noqa: B023  awaited in the loop
    assert dropped == [0, 1, 2]
    assert bounds.unsent.total <= bounds.unsent.limit


class Held:
    """A holder that gives way."""

    def __init__(self) -> None:
        self.gave = 0

    def give_way(self) -> None:
        self.gave += 1


def test_a_budget_never_exceeds_its_limit() -> None:
    budget, holders = Budget(100), [Held() for _ in range(10)]
    for holder in holders:
        budget.hold(holder, 30)
        assert budget.total <= 100
    assert [holder.gave for holder in holders] == [1] * 7 + [0] * 3
    for holder in holders:
        budget.hold(holder, 0)
    assert budget.total == 0


class Small:
    """A holder that tells its budget itself that it has given way, as a connection does."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.gave = 0

    def give_way(self) -> None:
        self.gave += 1
        self._budget.hold(self, 0)


def test_thousands_of_small_holders_give_way_for_a_large_one() -> None:
    budget = Budget(10_000)
    small = [Small(budget) for _ in range(5_000)]
    for each in small:
        budget.hold(each, 2)
    large = Small(budget)
    budget.hold(large, 9_000)
    assert [each.gave for each in small] == [1] * 4_500 + [0] * 500
    assert (large.gave, budget.total) == (0, 10_000)
