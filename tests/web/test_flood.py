"""Many requests at once, counted instead of timed: requests that wait for nothing are served beside slow ones."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import bcrypt
import pytest

from server.app import create_app
from server.process import http_server, serving
from server.web.app_keys import STOPPING
from tests.conftest import PASSWORD, Person, post

CLIENTS = 50


async def test_other_requests_are_served_while_sign_ins_are_queued(
    anna: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, hashed = threading.Event(), []
    hashpw = bcrypt.hashpw

    def held(*arguments: Any) -> bytes:
        hashed.append(1)
        gate.wait(20)
        return hashpw(*arguments)

    monkeypatch.setattr(bcrypt, "hashpw", held)  # a name without an account costs a hash, too
    signing_in = [
        asyncio.create_task(post(anna.client, "/auth/jwt/create/", username=f"nobody{number}", password=PASSWORD))
        for number in range(CLIENTS)
    ]
    try:
        async with asyncio.timeout(15):
            while not hashed:
                await asyncio.sleep(0.001)
            for _ in range(10):
                assert (await anna.get("/auth/users/me/"))[0] == 200
                assert (await anna.client.get("/healthz")).status == 200
        assert [task for task in signing_in if task.done()] == []
    finally:
        gate.set()
    assert {status for status, _ in await asyncio.gather(*signing_in)} == {401}
    assert len(hashed) == CLIENTS


@pytest.fixture
async def open_idle(anna: Person) -> AsyncIterator[Callable[[bytes], Awaitable[None]]]:
    """A function that opens connections which send the given bytes, and then neither write nor read."""
    opened: list[asyncio.StreamWriter] = []

    async def connect(sent: bytes) -> None:
        for _ in range(CLIENTS):
            _, writer = await asyncio.open_connection(anna.client.host, anna.client.port, limit=1)
            writer.write(sent)
            await writer.drain()
            opened.append(writer)

    yield connect
    for writer in opened:
        writer.transport.abort()


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"GET /auth/users/me/ HTTP/1.1\r\nHost: x\r\nX-", id="half a head"),
        pytest.param(b"POST /auth/jwt/create/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{", id="half a body"),
        pytest.param(b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n" * 3, id="responses not read"),
    ],
)
async def test_idle_clients_do_not_delay_other_clients(
    anna: Person, open_idle: Callable[[bytes], Awaitable[None]], sent: bytes
) -> None:
    await open_idle(sent)
    async with asyncio.timeout(15):
        for _ in range(10):
            assert (await anna.get("/auth/users/me/"))[0] == 200


async def test_a_request_that_arrives_during_the_stop_is_answered_and_its_connection_closed(
    settings: Any, database: Any
) -> None:
    running = http_server.make_runner(create_app(settings))
    await running.setup()
    [opened] = serving.bind(replace(settings, port=0))[0]
    address = opened.getsockname()
    await serving.listen(running, [opened])
    reader, writer = await asyncio.open_connection(*address)
    request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    writer.write(request)
    assert b"keep-alive" not in (first := await reader.readuntil(b'"ok"}'))
    assert b"Connection: close" not in first
    stopping = asyncio.create_task(http_server.stop(running, asyncio.Event()))
    await running.app[STOPPING].wait()
    writer.write(request)
    last = await reader.read()
    writer.close()
    await stopping
    assert last.startswith(b"HTTP/1.1 200 ")
    assert b"Connection: close" in last
