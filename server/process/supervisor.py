"""Several workers serve one port. The supervisor starts them and serves no request itself.

It holds what must outlive each worker: the sockets and the table of metrics. Workers share nothing else but the
database. Each worker attaches to the bundled PostgreSQL itself, so the last one stops it, even after a kill.
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
from server.process.serving import DatabaseSource, Inherited, announce, bind_metrics, say, stop_requests
from server.process.workers import Worker, Workers
from server.settings.settings import Settings
from server.telemetry.metrics import ENDED_PROCESSES_ROW, Metrics, make_table

WORKER_STOP_SECONDS = http_server.STOP_SECONDS + 15  # a worker that has not ended by then hangs
SPARE_ROWS = 4  # of the table of metrics, for new workers while the old ones finish their requests


def serve(settings: Settings, database: DatabaseSource) -> None:
    """Have `settings.workers` processes serve until SIGINT or SIGTERM; SIGHUP renews them one by one.

    Raises CannotListen, Unavailable, NotReadyError.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(_serve(settings, database))


async def _serve(settings: Settings, database: DatabaseSource) -> None:
    requested = stop_requests()
    # An error is reported here, not by every worker.
    await (await Database.connect(settings.database_url, pooler=settings.database_pooler)).close()
    opened = _bind(settings)
    metrics_sockets = bind_metrics(settings)
    start = _WorkerStarter(opened, metrics_sockets)
    workers = Workers(settings.workers, start, limit=WORKER_STOP_SECONDS)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, workers.renew)
    try:
        await _unless(requested.stop, workers.begin())
        if not requested.stop.is_set():
            announce(http_server.url_of(opened[0][0].getsockname()), database, metrics_sockets)
            say(f"  Workers     {settings.workers}; SIGHUP to process {os.getpid()} renews them one by one")
            await _unless(requested.stop, workers.keep())
        say("Frontdesk stops: it finishes the requests in progress.")
    finally:
        start.close()  # first: new connections are refused, instead of waiting until a worker accepts them
        await _unless(requested.at_once, workers.stop())
        if requested.at_once.is_set():
            await workers.stop()  # the second SIGTERM has each worker cut its requests


def _bind(settings: Settings) -> list[list[socket.socket]]:
    try:
        return sockets.bind(settings.host, settings.port, settings.workers)
    except OSError as failure:
        raise CannotListen(f"HOST {settings.host}, PORT {settings.port}: {failure.strerror}") from None


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Run `work` until it ends or `stop` is set. Raises what `work` raises."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if working.done():
        working.result()
    working.cancel()


class _WorkerStarter:
    """Starts the worker with a number: our interpreter and environment, its sockets, a row of the table of metrics."""

    def __init__(self, opened: list[list[socket.socket]], metrics_sockets: list[socket.socket]) -> None:
        self._opened = opened
        self._metrics_sockets = metrics_sockets
        rows = len(opened) + SPARE_ROWS
        self._table = make_table(rows)
        self._metrics = Metrics.shared(self._table, ENDED_PROCESSES_ROW)
        self._free_rows = set(range(1, rows + 1))

    def __call__(self, number: int) -> Worker:
        row = min(self._free_rows)
        listen = [each.fileno() for each in self._opened[number]]
        inherited = Inherited(listen, [each.fileno() for each in self._metrics_sockets], self._table, row)
        worker = Worker([sys.executable, "-m", "server", "serve", "--worker", str(inherited)], inherited.files)
        self._free_rows.remove(row)
        worker.ended.add_done_callback(lambda _: self._free(row))
        return worker

    def _free(self, row: int) -> None:
        self._metrics.end(row)
        self._free_rows.add(row)

    def close(self) -> None:
        """Close every socket."""
        sockets.close([each for opened in (*self._opened, self._metrics_sockets) for each in opened])
