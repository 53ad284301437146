"""A stop cuts no request, waits for no client for long, and no signal leaves the bundled PostgreSQL behind."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from server.mail import sender
from server.mail.delivery import FolderDelivery
from server.mail.writer import Letter
from server.process import http_server, serving
from server.web.app_keys import DB, LETTER_SENDER
from server.web.protocol import Runner
from tests.conftest import PASSWORD, Client, post
from tests.processes import ROOT, Started, surroundings

BODY = json.dumps({"username": "anna", "password": PASSWORD}).encode()
HEAD = b"POST /auth/users/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


class Connection:
    """A client's connection, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, sent: bytes) -> None:
        self._writer.write(sent)

    async def answer(self) -> bytes:
        """Everything that the server sends until it closes the connection."""
        with contextlib.suppress(ConnectionError):
            return await self._reader.read()
        return b""

    def close(self) -> None:
        self._writer.close()


Connect: TypeAlias = Callable[[], Awaitable[Connection]]


@pytest.fixture
async def connect(client: Client) -> AsyncIterator[Connect]:
    """Opens connections to the service."""
    opened: list[Connection] = []

    async def connected() -> Connection:
        opened.append(Connection(*await asyncio.open_connection(client.host, client.port)))
        return opened[-1]

    yield connected
    for each in opened:
        each.close()


@pytest.fixture
async def half(client: Client, connect: Connect) -> Connection:
    """A request of which the service has read the headers and a part of the body."""
    server = runner_of(client).server
    assert server
    connection = await connect()
    connection.send(HEAD % len(BODY) + BODY[:10])
    while server.requests_count == 0:
        await asyncio.sleep(0)
    return connection


def runner_of(client: Client) -> Runner:
    """The service's own runner, in the test server."""
    runner = client.server.runner
    assert isinstance(runner, Runner)
    return runner


def stopping(client: Client, at_once: asyncio.Event | None = None) -> "asyncio.Task[None]":
    """Stop the service in a task."""
    return asyncio.create_task(http_server.stop(runner_of(client), at_once or asyncio.Event()))


async def test_a_stop_reads_a_body_that_still_arrives(
    client: Client, connect: Connect, half: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "LEAVE_SECONDS", 0.0)
    idle = await connect()
    stop = stopping(client)
    assert await idle.answer() == b""
    half.send(BODY[10:])
    response = await half.answer()
    assert response.startswith(b"HTTP/1.1 201 ")
    assert b"Connection: close" in response
    await stop


async def test_a_stop_waits_for_a_body_that_never_ends_no_longer_than_its_limit(
    client: Client, half: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "STOP_SECONDS", 0.0)
    await stopping(client)
    assert await half.answer() == b""


@pytest.mark.parametrize("settings", [{"send_activation_email": True}], indirect=True)
async def test_letters_under_way_end_at_the_same_time_as_the_last_requests(
    client: Client, half: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = asyncio.Event()

    async def hang(self: FolderDelivery, letter: Letter, kind: str) -> None:
        handed.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    handed = asyncio.Event()
    monkeypatch.setattr(FolderDelivery, "deliver", hang)
    monkeypatch.setattr(sender, "FINISH_SECONDS", 0.0)
    await post(client, "/auth/users/", username="boris", password=PASSWORD, email="boris@example.com")
    draining = asyncio.create_task(client.app[LETTER_SENDER].drain(client.app[DB]))
    await handed.wait()
    stop = stopping(client)
    await ended.wait()
    half.send(BODY[10:])
    assert (await half.answer()).startswith(b"HTTP/1.1 201 ")
    await asyncio.gather(stop, draining)


async def test_a_stop_at_once_cuts_the_requests_under_way(client: Client, half: Connection) -> None:
    at_once = asyncio.Event()
    stop = stopping(client, at_once)
    await asyncio.sleep(0)
    assert not stop.done()
    at_once.set()
    await stop
    assert await half.answer() == b""


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
async def test_the_second_signal_requests_a_stop_at_once(second: int) -> None:
    requested = serving.stop_requests()
    try:
        signal.raise_signal(signal.SIGTERM)
        await requested.stop.wait()
        assert not requested.at_once.is_set()
        signal.raise_signal(second)
        await requested.at_once.wait()
    finally:
        remove_handlers()


async def test_a_terminal_that_closes_requests_a_stop_but_never_at_once() -> None:
    requested = serving.stop_requests()
    try:
        for _ in range(2):
            signal.raise_signal(signal.SIGHUP)
            await requested.stop.wait()
        signal.raise_signal(signal.SIGTERM)
        await requested.at_once.wait()
    finally:
        remove_handlers()


def remove_handlers() -> None:
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
        *((r"(listens) on", each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)),
    ],
)
def test_no_signal_leaves_the_bundled_postgresql_behind(
    start: Callable[..., Started], tmp_path: Path, moment: str, number: int
) -> None:
    service = start(moment, DATABASE_URL="", SIGNING_KEY="", DATA_DIR=str(tmp_path))
    status = service.stop(number)
    assert status == 0 or "listens" not in moment
    assert (tmp_path / "postgres.lock").read_text().strip() == ""
    assert not [each for each in Path("/proc").glob("[0-9]*") if uses(each, tmp_path)]


def uses(process: Path, folder: Path) -> bool:
    """Whether a process has `folder` in its command line."""
    with contextlib.suppress(OSError):
        return os.fsencode(folder) in (process / "cmdline").read_bytes()
    return False


@pytest.mark.slow
def test_ctrl_c_while_the_program_loads_shows_no_traceback(tmp_path: Path) -> None:
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
