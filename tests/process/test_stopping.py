"""To stop: no request is cut, nobody holds it up for long, and no signal leaves the bundled database behind."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from server.mail import sender
from server.process import http_server, serving
from server.web.app_keys import DB, LETTER_SENDER
from tests.conftest import PASSWORD, Client, post
from tests.processes import ROOT, Started, surroundings

BODY = json.dumps({"username": "anna", "password": PASSWORD}).encode()
HEAD = b"POST /auth/users/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class Line:
    """A connection, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, sent: bytes) -> None:
        self._writer.write(sent)

    async def answer(self) -> bytes:
        """All that comes until the other side closes."""
        with contextlib.suppress(ConnectionError):
            return await self._reader.read()
        return b""

    def close(self) -> None:
        self._writer.close()


@pytest.fixture
async def connect(client: Client) -> AsyncIterator[Callable[[], Awaitable[Line]]]:
    lines: list[Line] = []

    async def connected() -> Line:
        lines.append(Line(*await asyncio.open_connection(client.host, client.port)))
        return lines[-1]

    yield connected
    for line in lines:
        line.close()


@pytest.fixture
async def half(client: Client, connect: Any) -> Line:
    """A request whose body is on its way."""
    line: Line = await connect()
    line.send(HEAD % len(BODY) + BODY[:10])
    while client.server.runner.server.requests_count == 0:
        await asyncio.sleep(0)
    return line


def stopping(client: Client, at_once: asyncio.Event | None = None) -> "asyncio.Task[None]":
    return asyncio.create_task(http_server.stop(client.server.runner, at_once or asyncio.Event()))


async def test_a_body_that_still_arrives_is_read_to_its_end(
    client: Client, connect: Any, half: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "LEAVE_SECONDS", 0.0)
    idle = await connect()
    stop = stopping(client)
    assert await idle.answer() == b""
    half.send(BODY[10:])
    answer = await half.answer()
    assert answer.startswith(b"HTTP/1.1 201 ")
    assert b"Connection: close" in answer
    await stop


async def test_a_body_that_never_ends_holds_it_up_for_a_while_only(
    client: Client, half: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "STOP_SECONDS", 0.0)
    await stopping(client)
    assert await half.answer() == b""


@pytest.mark.parametrize("settings", [{"send_activation_email": True}], indirect=True)
async def test_letters_under_way_end_beside_the_last_requests(
    client: Client, half: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = asyncio.Event()

    async def hang(message: Any, kind: str) -> None:
        handed.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    handed = asyncio.Event()
    monkeypatch.setattr(client.app[LETTER_SENDER]._post, "deliver", hang)
    monkeypatch.setattr(sender, "FINISH_SECONDS", 0.0)
    await post(client, "/auth/users/", username="boris", password=PASSWORD, email="boris@example.com")
    draining = asyncio.create_task(client.app[LETTER_SENDER].drain(client.app[DB]))
    await handed.wait()
    stop = stopping(client)
    await ended.wait()
    half.send(BODY[10:])
    assert (await half.answer()).startswith(b"HTTP/1.1 201 ")
    await asyncio.gather(stop, draining)


async def test_asked_once_more_it_waits_for_nobody(client: Client, half: Line) -> None:
    at_once = asyncio.Event()
    stop = stopping(client, at_once)
    await asyncio.sleep(0)
    assert not stop.done()
    at_once.set()
    await stop
    assert await half.answer() == b""


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
async def test_the_second_signal_asks_to_stop_at_once(second: int) -> None:
    asked = serving.asked_to_stop()
    try:
        signal.raise_signal(signal.SIGTERM)
        await asked.stop.wait()
        assert not asked.at_once.is_set()
        signal.raise_signal(second)
        await asked.at_once.wait()
    finally:
        forget()


async def test_a_terminal_that_closes_asks_to_stop_however_often_it_says_so() -> None:
    asked = serving.asked_to_stop()
    try:
        for _ in range(2):
            signal.raise_signal(signal.SIGHUP)
            await asked.stop.wait()
        signal.raise_signal(signal.SIGTERM)
        await asked.at_once.wait()
    finally:
        forget()


def forget() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        asyncio.get_running_loop().remove_signal_handler(number)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "number"),
    [
        (r"(initdb) makes", signal.SIGINT),
        (r"(initdb) makes", signal.SIGHUP),
        (r"(PostgreSQL) .* starts on", signal.SIGTERM),
        (r"(PostgreSQL) .* starts on", signal.SIGQUIT),
        *((r"(listens) on", each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)),
    ],
)
def test_no_signal_leaves_the_bundled_database_behind(
    start: Callable[..., Started], tmp_path: Path, moment: str, number: int
) -> None:
    service = start(moment, DATABASE_URL="", SIGNING_KEY="", DATA_DIR=str(tmp_path))
    status = service.stop(number)
    assert status == 0 or "listens" not in moment
    assert (tmp_path / "postgres.lock").read_text().strip() == ""
    assert not [each for each in Path("/proc").glob("[0-9]*") if uses(each, tmp_path)]


def uses(process: Path, folder: Path) -> bool:
    with contextlib.suppress(OSError):
        return os.fsencode(folder) in (process / "cmdline").read_bytes()
    return False


@pytest.mark.slow
def test_an_interrupt_while_the_program_loads_shows_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "psycopg.py").write_text("import signal; signal.raise_signal(signal.SIGINT)")
    ended = subprocess.run(
        [sys.executable, "-m", "server"],
        cwd=ROOT,
        env=surroundings(PYTHONPATH=str(tmp_path)),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, "")
