"""One process serves: alone, or as a worker, one of several that `supervisor.py` started on one port."""

import asyncio
import contextlib
import dataclasses
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Self, TypeAlias

import uvloop
from aiohttp import web

from server import __version__
from server.app import create_app
from server.process import http_server, signals, sockets
from server.process.http_server import CannotListen
from server.settings.settings import Settings
from server.telemetry.metrics import Metrics
from server.web.metrics_app import create_metrics_app
from server.web.protocol import Runner

Revive: TypeAlias = Callable[[], bool]
"""Starts the bundled database again if it died; blocks."""


def say(text: str) -> None:
    """Tell whoever started the service, on standard output."""
    print(text, flush=True)


@dataclasses.dataclass(frozen=True)
class Inherited:
    """What a worker has from who started it: numbers of open files, and its row in the table of the metrics."""

    listen: list[int]
    metrics: list[int]
    table: int
    row: int

    def __str__(self) -> str:
        return json.dumps(dataclasses.asdict(self), separators=(",", ":"))

    @classmethod
    def read(cls, text: str) -> Self:
        """The worker's own, from its command line."""
        return cls(**json.loads(text))

    @property
    def files(self) -> list[int]:
        """All that is open."""
        return [*self.listen, *self.metrics, self.table]


def serve_alone(settings: Settings, which: str, revive: Revive | None) -> None:
    """Serve until a signal asks to stop; `which` names the database. Raises CannotListen, Unavailable."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(_serve_alone(settings, which, revive))


def send_letters(settings: Settings, which: str, revive: Revive | None) -> None:
    """Do what is done beside serving, and listen nowhere, until SIGINT or SIGTERM. Raises Unavailable."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(_send_letters(settings, which, revive))


def serve_as_worker(settings: Settings, inherited: Inherited, channel: int, revive: Revive | None) -> None:
    """Serve until SIGINT, SIGTERM, or the end of who holds the other end of `channel`."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a terminal sends it to everybody; it is not ours to answer
    for fd in (*inherited.files, channel):
        os.set_inheritable(fd, False)  # a database that we start anew is not to hold them
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(_serve_as_worker(settings, inherited, channel, revive))


async def _serve_alone(settings: Settings, which: str, revive: Revive | None) -> None:
    asked = asked_to_stop()
    async with _service(settings, revive, Metrics.alone(), asked) as (running, beside):
        address = await http_server.listen(running)
        watched = bind_metrics(settings)
        await _listen(beside, watched)
        announce(address, which, watched)
        await asked.stop.wait()
        say("Frontdesk stops: it finishes what is under way.")


async def _send_letters(settings: Settings, which: str, revive: Revive | None) -> None:
    asked = asked_to_stop()
    async with _service(settings, revive, Metrics.alone(), asked):
        say(f"Frontdesk {__version__} sends letters.")
        say(f"  Database    {which}")
        await asked.stop.wait()
        say("Frontdesk stops: it finishes what is under way.")


async def _serve_as_worker(settings: Settings, inherited: Inherited, channel: int, revive: Revive | None) -> None:
    asked = asked_to_stop()
    metrics = Metrics.shared(inherited.table, inherited.row)
    async with _service(settings, revive, metrics, asked) as (running, beside):
        await _listen(running, [socket.socket(fileno=fd) for fd in inherited.listen])
        await _listen(beside, [socket.socket(fileno=fd) for fd in inherited.metrics])
        asyncio.get_running_loop().add_reader(channel, asked.stop.set)  # nobody writes there: it can only have ended
        with contextlib.suppress(BrokenPipeError):
            os.write(channel, b"!")
        await asked.stop.wait()
        asyncio.get_running_loop().remove_reader(channel)


@contextlib.asynccontextmanager
async def _service(
    settings: Settings, revive: Revive | None, metrics: Metrics, asked: "Asked"
) -> AsyncIterator[tuple[Runner, Runner]]:
    """The service, and beside it what shows its metrics; at the end both stop, and no request is cut."""
    running = http_server.make_runner(create_app(settings, revive, metrics))
    beside = http_server.make_runner(create_metrics_app(metrics))
    try:
        await running.setup()
        await beside.setup()
        http_server.tune_garbage_collection()
        yield running, beside
    finally:
        await http_server.stop(running, asked.at_once)
        await beside.cleanup()


async def _listen(running: Runner, opened: Iterable[socket.socket]) -> None:
    for each in opened:
        await web.SockSite(running, each, backlog=http_server.BACKLOG).start()


@dataclasses.dataclass(frozen=True)
class Asked:
    """What signals ask: to stop, and once more, to stop without waiting for anybody."""

    stop: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    at_once: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)

    def ask(self) -> None:
        """The first, or the second."""
        (self.at_once if self.stop.is_set() else self.stop).set()


def asked_to_stop() -> Asked:
    """Asked by SIGINT and SIGTERM. A terminal that closes asks too, often twice without meaning anything by it."""
    asked = Asked()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked.ask)
    for number in {signal.SIGHUP, signal.SIGQUIT} & {*signals.heard()}:
        loop.add_signal_handler(number, asked.stop.set)
    return asked


def bind_metrics(settings: Settings) -> list[socket.socket]:
    """The sockets of METRICS, if it is set. Raises CannotListen."""
    if not settings.metrics:
        return []
    host, _, port = settings.metrics.rpartition(":")
    try:
        return sockets.bind(host.strip("[]"), int(port), 1)[0]
    except OSError as failure:
        raise CannotListen(f"METRICS {settings.metrics}: {failure.strerror}") from None


def announce(address: str, which: str, watched: list[socket.socket]) -> None:
    """Say where everything is."""
    say(f"Frontdesk {__version__} listens on {address}")
    say(f"  Swagger UI  {address}docs")
    say(f"  Database    {which}")
    for each in watched[:1]:
        say(f"  Metrics     {http_server.url_of(each.getsockname())}metrics")
