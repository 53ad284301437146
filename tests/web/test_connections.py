"""The number of open connections is bounded, and memory goes back after a flood (security 31, 32)."""

import asyncio
import contextlib
import logging
from typing import Any

import pytest

from server.web import connections, memory
from server.web.connections import Connections
from server.web.memory import FLOOD_BYTES, Relief
from tests.conftest import Client, Person
from tests.web.connections import bounds_of, head, opened, server_side, until

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


class Made:
    """A connection that waits for its client."""

    waits_for_client = True

    def __init__(self) -> None:
        self.last_used = 0.0
        self.is_dropped = False

    def drop(self) -> None:
        self.is_dropped = True


class Busy(Made):
    """A connection with a request in progress."""

    waits_for_client = False


def add(bound: Connections, connection: Made) -> bool:
    """A new connection: whether there is room for it."""
    if has_room := bound.has_room():
        bound.add(connection)
    return has_room


def test_for_a_new_connection_the_longest_idle_one_is_closed() -> None:
    bound, made = Connections(3), [Made() for _ in range(5)]
    assert [add(bound, each) for each in made] == [True] * 5
    assert [each.is_dropped for each in made] == [True, True, False, False, False]
    assert len(bound) == 3


def test_a_connection_that_was_used_since_the_last_look_is_closed_after_the_others() -> None:
    bound, used, idle = Connections(2), Made(), Made()
    add(bound, used)
    add(bound, idle)
    used.last_used = 1.0
    assert add(bound, Made())
    assert (used.is_dropped, idle.is_dropped) == (False, True)
    assert add(bound, Made())
    assert used.is_dropped


def test_a_new_connection_is_closed_when_all_others_have_a_request_in_progress(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bound, busy = Connections(2), [Busy(), Busy()]
    assert [add(bound, each) for each in busy] == [True, True]
    assert [add(bound, Made()), add(bound, Made())] == [False, False]
    assert not any(each.is_dropped for each in busy)
    assert [record.levelname for record in caplog.records] == ["WARNING"]  # one, however many there are
    bound.remove(busy[0])
    assert add(bound, Made())


def test_a_new_connection_looks_at_few_others(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = list[int]()
    busy = property(lambda made: looks.append(1))
    bound = Connections(1000)
    for _ in range(1000):
        add(bound, Made())
    monkeypatch.setattr(Made, "waits_for_client", busy, raising=False)
    assert not add(bound, Made())
    assert len(looks) == connections.LOOKS


async def test_clients_that_wait_give_way_to_new_ones_and_requests_in_progress_do_not(anna: Person) -> None:
    client = anna.client
    bound = bounds_of(client).connections
    bound.limit = len(bound) + 4
    bundle = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n"
    async with (
        asyncio.timeout(20),
        opened(client, b"") as (silent, _),
        opened(client, b"GET / HTTP/1.1\r\n") as (unfinished, _),
        opened(client, head("/auth/users/", 100) + b"{") as (body, _),
        opened(client, bundle) as (reading, _),
        contextlib.AsyncExitStack() as new,
    ):
        await until(lambda: any(each._reader.is_on for each in server_side(client)))
        for _ in range(5):
            reader, _ = await new.enter_async_context(opened(client, REQUEST))
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        for each in (silent, unfinished, body):
            assert await each.read() == b""
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reading.readexactly(1_700_000)
    await until(lambda: len(bound) == len(server_side(client)))


async def test_a_new_connection_without_room_is_closed_at_once(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    bound = bounds_of(client).connections
    assert len(bound) == 0
    bound.limit = 0
    caplog.set_level(logging.INFO)
    async with asyncio.timeout(10), opened(client) as (reader, _):
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
    bound.limit = 100
    assert (await client.get("/healthz")).status == 200
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_memory_goes_back_once_after_a_flood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "WAIT_SECONDS", 0.0)
    used, gave = [0], list[int]()
    relief = Relief(lambda: used[0], lambda: gave.append(used[0]))

    async def after(*amounts: int) -> list[int]:
        for used[0] in amounts:
            relief.note()
        await asyncio.sleep(0.01)
        return gave

    assert await after(FLOOD_BYTES - 1, 0) == []
    assert await after(FLOOD_BYTES, FLOOD_BYTES // 2) == []
    assert await after(FLOOD_BYTES // 5, FLOOD_BYTES // 6) == [FLOOD_BYTES // 6]
    assert await after(0, 100, 0) == [FLOOD_BYTES // 6]
    assert await after(2 * FLOOD_BYTES, 0, 2 * FLOOD_BYTES) == [FLOOD_BYTES // 6]  # it goes on
    assert await after(5) == [FLOOD_BYTES // 6, 5]


async def test_the_end_of_the_last_connection_is_the_end_of_a_flood(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    gave = list[bool]()
    monkeypatch.setattr(memory, "FLOOD_BYTES", 1000)
    monkeypatch.setattr(memory, "WAIT_SECONDS", 0.0)
    relief = bounds_of(client).relief
    monkeypatch.setattr(relief, "_give_back", lambda: gave.append(True))
    async with opened(client, REQUEST):
        await until(lambda: server_side(client))
        assert gave == []
    await until(lambda: gave)


async def test_requests_that_wait_are_let_go_when_their_connection_is_dropped(client: Client) -> None:
    assert client.server.runner is not None
    made: Any = client.server.runner.server()  # type: ignore[misc]
    made._messages.extend(["the next", "one more", "the last"])
    made.drop()
    assert [*made._messages] == ["the next"]


def test_memory_is_given_back_on_every_system() -> None:
    memory.give_back()
