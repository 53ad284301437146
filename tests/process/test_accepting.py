"""New connections are accepted while others are busy."""

import asyncio
import os
import socket
from typing import Any

import pytest

from server.app import create_app
from server.process import http_server, serving, sockets
from server.settings.settings import Settings


async def test_a_turn_of_the_event_loop_accepts_many_connections(settings: Settings) -> None:
    runner, turns = http_server.make_runner(create_app(settings)), 0
    await runner.setup()
    ((listening,),) = sockets.bind("127.0.0.1", 0, 1)
    address, clients = listening.getsockname(), 8 * http_server.HANDLES
    try:
        await serving.listen(runner, [listening])
        opened = [socket.create_connection(address) for _ in range(clients)]
        while len(runner.connections) < clients and turns < clients:
            await asyncio.sleep(0)
            turns += 1
        assert turns < clients / 4
        for each in opened:
            each.close()
    finally:
        await runner.cleanup()


async def test_a_socket_that_another_process_serves_is_never_made_to_block(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    ((listening,),) = sockets.bind("127.0.0.1", 0, 1)
    inherited = socket.socket(fileno=os.dup(listening.fileno()))
    first, second = (http_server.make_runner(create_app(settings)) for _ in range(2))
    await first.setup()
    await second.setup()
    blocking = list[bool]()
    set_timeout = socket.socket.settimeout

    def record(self: socket.socket, seconds: Any) -> None:
        set_timeout(self, seconds)
        blocking.append(os.get_blocking(listening.fileno()))

    try:
        await serving.listen(first, [listening])
        monkeypatch.setattr(socket.socket, "settimeout", record)
        await serving.listen(second, [inherited])
        assert set(blocking) == {False}
    finally:
        await first.cleanup()
        await second.cleanup()
