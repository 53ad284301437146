"""Long arriving data waits for its turn of the event loop, so that nobody else waits for it (security 32)."""

import asyncio
import contextlib
import json
import re
import time
from typing import Any

import pytest

from server.process import http_server
from server.web import turns
from server.web.arriving import Arriving
from server.web.turns import SHORT_BYTES, Turns
from tests.conftest import PASSWORD, Client
from tests.web.connections import bounds_of, head, opened, response_to, server_side, until

PIPELINE = (b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 100 + b"\r\n") * 60
LAST = b"GET /healthz HTTP/1.0\r\n\r\n"
READ_MAX_BYTES = 256 * 1024  # that the event loop reads of a connection at once


@pytest.fixture
def turns_end_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first slice that is read uses a turn up."""
    monkeypatch.setattr(turns, "TURN_SECONDS", 1e-9)


def waiting(client: Client) -> int:
    """How many connections of the service wait for their turn."""
    return sum(connection._waits_for_turn for connection in server_side(client))


async def test_what_is_long_has_no_time_in_a_turn_that_is_used_up_and_what_is_short_has() -> None:
    shared = Turns()
    assert shared.has_time(1_000_000)
    shared.spend(turns.TURN_SECONDS)
    assert not shared.has_time(SHORT_BYTES + 1)
    assert shared.has_time(SHORT_BYTES)
    await asyncio.sleep(0)
    assert shared.has_time(1_000_000)


async def test_readers_go_on_in_their_order_until_the_turn_is_used_up() -> None:
    shared, read = Turns(), list[str]()

    def reader(name: str, times: int) -> None:
        def read_on() -> None:
            read.append(name)
            shared.spend(turns.TURN_SECONDS / 2)
            if read.count(name) < times:
                shared.wait(name, read_on)

        shared.wait(name, read_on)

    for name, times in (("a", 3), ("b", 1), ("c", 1)):
        reader(name, times)
    await asyncio.sleep(0)
    assert read == ["a", "b"]
    assert shared.is_waiting("a")
    await asyncio.sleep(0)
    assert read == ["a", "b", "c", "a"]
    shared.forget("a")
    await asyncio.sleep(0)
    assert read == ["a", "b", "c", "a"]


async def test_a_reader_that_another_one_has_forgotten_is_not_called() -> None:
    shared, read = Turns(), list[str]()
    shared.wait("a", lambda: shared.forget("b"))
    shared.wait("b", lambda: read.append("b"))
    shared.wait("c", lambda: read.append("c"))
    await asyncio.sleep(0)
    assert read == ["c"]


async def test_a_reader_that_fails_does_not_hold_up_the_others() -> None:
    shared, read = Turns(), list[str]()
    failures: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))

    def fail() -> None:
        raise ValueError("a fault of the service")

    shared.wait("a", fail)
    shared.wait("b", lambda: read.append("b"))
    await until(lambda: read)
    assert [str(each) for each in failures] == ["a fault of the service"]


@pytest.mark.usefixtures("turns_end_at_once")
async def test_a_short_request_is_answered_while_long_ones_wait(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Turns, "_next", lambda self: None)  # no other turn comes
    async with asyncio.timeout(30), opened(client, PIPELINE), opened(client, PIPELINE), opened(client, PIPELINE):
        await until(lambda: waiting(client) == 3)
        assert (await client.get("/healthz")).status == 200
        assert waiting(client) == 3


@pytest.mark.usefixtures("turns_end_at_once")
async def test_what_waits_for_its_turn_is_read_whole_and_in_order(client: Client) -> None:
    status, text = await response_to(client, PIPELINE + b"nonsense\r\n\r\n")
    assert re.findall(rb"HTTP/1\.\d (\d+) ", text) == [b"200"] * 60 + [b"400"]
    body = json.dumps({"username": "long", "password": PASSWORD, "x": "y" * 900_000}).encode()
    status, text = await response_to(client, head("/auth/users/", len(body)) + body + LAST)
    assert status == 201, text
    assert text.endswith(b'{"status":"ok"}')


@pytest.mark.usefixtures("turns_end_at_once")
async def test_a_client_that_stops_sending_while_it_waits_gets_its_responses(client: Client) -> None:
    status, text = await response_to(client, PIPELINE, half_close=True)
    assert (status, text.count(b'{"status":"ok"}')) == (200, 60)


@pytest.mark.usefixtures("turns_end_at_once")
async def test_a_client_that_leaves_while_it_waits_is_forgotten_at_once(client: Client) -> None:
    bounds = bounds_of(client)
    async with opened(client, PIPELINE * 20):
        await until(lambda: waiting(client))
        server_side(client)[0].connection_lost(None)
        assert (bounds.turns._waiting, bounds.arriving.total) == ({}, 0)


@pytest.mark.usefixtures("turns_end_at_once")
async def test_nothing_more_is_read_of_a_client_that_waits(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    held = list[int]()
    hold = Arriving._hold

    def record(self: Arriving) -> None:
        held.append(len(self._rest))
        hold(self)

    monkeypatch.setattr(Arriving, "_hold", record)
    async with asyncio.timeout(30), opened(client, PIPELINE * 60 + LAST) as (reader, _):
        await until(lambda: waiting(client) and server_side(client)[0]._buffer_paused)
        text = await reader.read()
    assert text.count(b'{"status":"ok"}') == 60 * 60 + 1
    assert max(held) <= 2 * READ_MAX_BYTES  # what the event loop reads at once, after what was there


@pytest.mark.usefixtures("turns_end_at_once")
async def test_bytes_of_a_body_that_gave_way_are_not_read_as_a_request(client: Client) -> None:
    evil = b"GET /other HTTP/1.1\r\nHost: x\r\n\r\n"
    sent = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" + head("/auth/users/", 9000 + len(evil)) + b"x" * 9000
    bounds_of(client).arriving.limit = 5000
    text = b""
    async with asyncio.timeout(10), opened(client, sent) as (reader, writer):
        await until(lambda: server_side(client))
        await until(lambda: not waiting(client))
        writer.write(evil)
        with contextlib.suppress(ConnectionError):
            text = await reader.read()
    assert b" 404 " not in text


@pytest.mark.usefixtures("turns_end_at_once")
async def test_a_request_that_waits_for_its_turn_is_answered_by_a_service_that_stops(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    next_turn = Turns._next

    def slow(self: Turns) -> None:
        time.sleep(0.04)
        next_turn(self)

    monkeypatch.setattr(Turns, "_next", slow)
    body = b'{"token": "' + b"x" * 12_000 + b'"}'
    async with contextlib.AsyncExitStack() as flood, asyncio.timeout(30):
        for _ in range(30):
            await flood.enter_async_context(opened(client, PIPELINE))
        await until(lambda: waiting(client) == 30)
        reader, _ = await flood.enter_async_context(opened(client, head("/auth/jwt/verify/", len(body)) + body))
        await until(lambda: waiting(client) == 31)
        assert client.server.runner is not None
        await http_server.stop(client.server.runner, asyncio.Event())  # type: ignore[arg-type]
        assert (await reader.readline()).split()[1] == b"401"


@pytest.mark.usefixtures("turns_end_at_once")
async def test_a_client_whose_body_waits_for_its_turn_is_not_idle(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Turns, "_next", lambda self: None)  # no other turn comes
    async with opened(client, head("/auth/users/", 200_000) + b" " * 200_000):
        await until(lambda: waiting(client))
        assert not server_side(client)[0].waits_for_client
