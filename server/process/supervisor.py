"""Several workers serve one port; the process that starts them serves nobody, and holds what must outlive each of them.

Workers share nothing but the database and the port. Each attaches to the bundled PostgreSQL for itself, so that it
stops with the last of them, whoever is killed.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Coroutine
from typing import Any

import uvloop

from server.database.database import Database
from server.process import http_server, sockets
from server.process.http_server import CannotListen
from server.process.serving import Inherited, Revive, announce, asked_to_stop, bind_metrics, say
from server.process.workers import Worker, Workers
from server.settings.settings import Settings
from server.telemetry.metrics import ENDED, Metrics, make_table

STOP_SECONDS = http_server.STOP_SECONDS + 15  # then a worker does not stop any more
SPARE_ROWS = 4  # for those that begin while those in whose place they come still finish their work


def serve(settings: Settings, which: str, revive: Revive | None) -> None:
    """Have `settings.workers` processes serve until SIGINT or SIGTERM; SIGHUP renews them, one by one.

    `which` names the database; each worker revives it for itself. Raises CannotListen, Unavailable, NotReadyError.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(_serve(settings, which))


async def _serve(settings: Settings, which: str) -> None:
    asked = asked_to_stop()
    await (await Database.connect(settings.database_url)).close()  # or it is said now, not by every worker
    opened = _bind(settings)
    watched = bind_metrics(settings)
    start = _Start(opened, watched)
    workers = Workers(settings.workers, start, limit=STOP_SECONDS)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, workers.renew)
    try:
        await _unless(asked.stop, workers.begin())
        if not asked.stop.is_set():
            announce(http_server.url_of(opened[0][0].getsockname()), which, watched)
            say(f"  Workers     {settings.workers}; SIGHUP to process {os.getpid()} renews them one by one")
            await _unless(asked.stop, workers.keep())
        say("Frontdesk stops: it finishes what is under way.")
    finally:
        start.close()  # first: whoever comes now is refused, instead of waiting for somebody to accept
        await _unless(asked.at_once, workers.stop())
        if asked.at_once.is_set():
            await workers.stop()  # asked once more, they wait for nobody


def _bind(settings: Settings) -> list[list[socket.socket]]:
    try:
        return sockets.bind(settings.host, settings.port, settings.workers)
    except OSError as failure:
        raise CannotListen(f"HOST {settings.host}, PORT {settings.port}: {failure.strerror}") from None


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Do `work` until it is done or `stop` is set. Raises what it raises."""
    doing, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if doing.done():
        doing.result()
    doing.cancel()


class _Start:
    """Starts the worker of a place: our interpreter and environment, the sockets of the place, a row of its own."""

    def __init__(self, opened: list[list[socket.socket]], watched: list[socket.socket]) -> None:
        self._opened = opened
        self._watched = watched
        rows = len(opened) + SPARE_ROWS
        self._table = make_table(rows)
        self._metrics = Metrics.shared(self._table, ENDED)
        self._rows = set(range(1, rows + 1))

    def __call__(self, place: int) -> Worker:
        row = min(self._rows)
        listen = [each.fileno() for each in self._opened[place]]
        inherited = Inherited(listen, [each.fileno() for each in self._watched], self._table, row)
        worker = Worker([sys.executable, "-m", "server", "serve", "--worker", str(inherited)], inherited.files)
        self._rows.remove(row)
        worker.ended.add_done_callback(lambda _: self._end(row))
        return worker

    def _end(self, row: int) -> None:
        self._metrics.end(row)
        self._rows.add(row)

    def close(self) -> None:
        """Close every socket."""
        sockets.close([each for place in (*self._opened, self._watched) for each in place])
