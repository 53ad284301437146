"""What a process that serves does, alone or as one of several workers on one port; `--worker` is the latter."""

import asyncio
import contextlib
import dataclasses
import logging
import os
import platform
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from typing import TypeAlias

import uvloop
from aiohttp import web

from server import __version__
from server.app import create_app
from server.process import http_server, interpreter, open_files, signals, sockets
from server.process.arguments import Argument
from server.process.http_server import CannotListen
from server.process.worker import give_signs_of_life
from server.settings.settings import Settings
from server.telemetry import instruments, metrics
from server.telemetry.cells import Row, Sources
from server.telemetry.logs import line_of
from server.web.protocol import Runner

Revive: TypeAlias = Callable[[], bool]
"""Starts the bundled PostgreSQL again if it died; blocks."""


def say(text: str, level: int = logging.INFO, **fields: str) -> None:
    """Write a text for the operator to standard output, in the form of the log; arguments are those of `line_of`."""
    print(line_of(text, level, **fields), flush=True)


@dataclasses.dataclass(frozen=True)
class DatabaseSource:
    """Where the database of the settings comes from: a name for the operator, and `revive` for the bundled one."""

    name: str
    revive: Revive | None


@dataclasses.dataclass(frozen=True)
class Inherited(Argument):
    """What a worker inherits from the supervisor: numbers of open files, and its row in the table of metrics."""

    listen: list[int]
    table: int
    row: int

    @property
    def files(self) -> list[int]:
        """All inherited files."""
        return [*self.listen, self.table]


def send_letters(settings: Settings, database: DatabaseSource) -> None:
    """Send letters and do the other periodic work until SIGINT or SIGTERM; open no port. Raises Unavailable."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(_send_letters(settings, database))


def serve_as_worker(settings: Settings, inherited: Inherited, channel: int, revive: Revive | None) -> None:
    """Serve until SIGINT, SIGTERM, or until the supervisor, which holds the other end of `channel`, has ended."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a closing terminal sends it to all processes
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # it is for the supervisor, and would end this process
    for fd in (*inherited.files, channel):
        os.set_inheritable(fd, False)  # a PostgreSQL that this worker starts must not keep them open
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(_serve_as_worker(settings, inherited, channel, revive))


async def _send_letters(settings: Settings, database: DatabaseSource) -> None:
    requested = stop_requests()
    async with service(settings, database.revive, Row.private(), requested):
        say(f"Frontdesk {__version__} sends letters.")
        say(f"  Database    {database.name}")
        await requested.stop.wait()
        say("Frontdesk stops: it finishes the letters in progress.")


async def _serve_as_worker(settings: Settings, inherited: Inherited, channel: int, revive: Revive | None) -> None:
    requested = stop_requests()
    row = Row.shared(inherited.table, inherited.row, empty=True)
    async with service(settings, revive, row, requested) as runner:
        await listen(runner, [socket.socket(fileno=fd) for fd in inherited.listen])
        # The supervisor writes nothing to the channel: it becomes readable when the supervisor has ended.
        asyncio.get_running_loop().add_reader(channel, requested.stop.set)
        signs = asyncio.create_task(give_signs_of_life(channel))
        await requested.stop.wait()
        signs.cancel()
        asyncio.get_running_loop().remove_reader(channel)


@contextlib.asynccontextmanager
async def service(
    settings: Settings, revive: Revive | None, row: Row, requested: "StopRequests"
) -> AsyncIterator[Runner]:
    """Set up the service, which counts in `row`. At the end it stops, and no request is cut."""
    instruments.use(row)
    runner = http_server.make_runner(create_app(settings, revive), open_files.max_connections(settings))
    try:
        await runner.setup()
        http_server.tune_garbage_collection()
        metrics.PROCESSES.add()
        metrics.BUILD_INFO.set(1, __version__, platform.python_version())
        yield runner
    finally:
        await http_server.stop(runner, requested.at_once)


@contextlib.asynccontextmanager
async def showing(opened: list[socket.socket], sources: Sources) -> AsyncIterator[None]:
    """Show the sums over `sources` at the bound sockets of METRICS for the block; without a socket, do nothing."""
    if not opened:
        yield
        return
    # Here: prometheus_client takes 25 ms of a start, and most processes show nothing.
    from server.web.metrics_app import create_metrics_app

    runner = http_server.make_runner(create_metrics_app(sources))
    await runner.setup()
    try:
        await listen(runner, opened, handles=1)
        yield
    finally:
        await runner.cleanup()


async def listen(runner: Runner, opened: Iterable[socket.socket], *, handles: int = http_server.HANDLES) -> None:
    """Serve at bound sockets, which belong to the runner from then on.

    `handles` of each socket: the event loop accepts one connection of each handle in a turn.
    """
    for each in opened:
        # Before dup(), which gives the copy the mode that this object has: all processes that share the socket have one
        # mode, and one that accepts from a socket that blocks hangs.
        each.setblocking(False)
        for handle in [each, *(each.dup() for _ in range(handles - 1))]:
            await web.SockSite(runner, handle, backlog=http_server.BACKLOG).start()


@dataclasses.dataclass(frozen=True)
class StopRequests:
    """What signals request: `stop` after the requests in progress, or `at_once`."""

    stop: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    at_once: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)

    def add(self) -> None:
        """Count a signal: the first requests a stop, the second a stop at once."""
        (self.at_once if self.stop.is_set() else self.stop).set()


def stop_requests() -> StopRequests:
    """Handle the signals of this process from now on; return what they request.

    SIGHUP and SIGQUIT never request a stop at once: a terminal that closes often sends SIGHUP twice.
    """
    requested = StopRequests()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, requested.add)
    for number in {signal.SIGHUP, signal.SIGQUIT} & {*signals.heard()}:
        loop.add_signal_handler(number, requested.stop.set)
    return requested


def bind_metrics(settings: Settings) -> list[socket.socket]:
    """Return the bound sockets of METRICS, none if it is not set. Raises CannotListen."""
    if not settings.metrics:
        return []
    host, _, port = settings.metrics.rpartition(":")
    try:
        return sockets.bind(host.strip("[]"), int(port), 1)[0]
    except OSError as failure:
        raise CannotListen(f"METRICS {settings.metrics}: {failure.strerror}") from None


def bind(settings: Settings) -> list[list[socket.socket]]:
    """Return the bound sockets of HOST and PORT for each worker. Raises CannotListen."""
    try:
        return sockets.bind(settings.host, settings.port, settings.workers)
    except OSError as failure:
        raise CannotListen(f"HOST {settings.host}, PORT {settings.port}: {failure.strerror}") from None


def announce(address: str, settings: Settings, database: DatabaseSource, metrics_sockets: list[socket.socket]) -> None:
    """Tell the operator the addresses of the service."""
    say(f"Frontdesk {__version__} listens on {address}")
    if settings.docs:
        say(f"  Swagger UI  {address}docs")
    say(f"  Database    {database.name}")
    if interpreter.is_optimised() is False:
        say(f"  Python      {interpreter.describe()}")
    for each in metrics_sockets[:1]:
        say(f"  Metrics     {http_server.url_of(each.getsockname())}metrics")
