"""Long arriving data waits for its turn of the event loop, so that nobody else waits for it (security 32)."""

import asyncio
import json
import re

import pytest

from server.web import turns
from server.web.turns import SHORT_BYTES, Turns
from tests.conftest import PASSWORD, Client
from tests.web.connections import head, opened, response_to, server_side, until

PIPELINE = (b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 100 + b"\r\n") * 60
LAST = b"GET /healthz HTTP/1.0\r\n\r\n"


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


@pytest.mark.usefixtures("turns_end_at_once")
async def test_a_short_request_is_answered_while_long_ones_wait(client: Client) -> None:
    async with asyncio.timeout(30), opened(client, PIPELINE), opened(client, PIPELINE), opened(client, PIPELINE):
        await until(lambda: waiting(client) == 3)
        assert (await client.get("/healthz")).status == 200
        assert waiting(client)


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
async def test_a_client_that_leaves_while_it_waits_is_forgotten(client: Client) -> None:
    assert client.server.runner is not None
    bounds = client.server.runner.server.bounds  # type: ignore[union-attr]
    async with opened(client, PIPELINE * 20):
        await until(lambda: waiting(client))
        server_side(client)[0].drop()
        await until(lambda: not server_side(client))
    assert (bounds.turns._waiting, bounds.arriving.total) == ({}, 0)
