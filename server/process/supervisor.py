"""Several workers serve one port. The supervisor starts them and serves no request itself.

It holds what must outlive each worker: the sockets and the table of metrics. Workers share nothing else but the
database. Each worker attaches to the bundled PostgreSQL itself, so the last one stops it, even after a kill.
"""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Coroutine, Iterator
from typing import Any

import uvloop

from server.database.database import Database
from server.process import http_server, sockets
from server.process.http_server import CannotListen
from server.process.serving import DatabaseSource, Inherited, announce, bind_metrics, say, showing, stop_requests
from server.process.workers import Worker, Workers
from server.settings.settings import Settings
from server.telemetry import instruments
from server.telemetry.cells import Row, make_table

WORKER_STOP_SECONDS = http_server.STOP_SECONDS + 15  # a worker that has not ended by then hangs
OWN_ROW = 0  # of the supervisor, which keeps the counters of ended workers in it
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
    start = _WorkerStarter(opened)
    workers = Workers(settings.workers, start, limit=WORKER_STOP_SECONDS)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, workers.renew)
    try:
        await _unless(requested.stop, workers.begin())
        if not requested.stop.is_set():
            async with showing(metrics_sockets, start.sources):
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

    def __init__(self, opened: list[list[socket.socket]]) -> None:
        self._opened = opened
        rows = len(opened) + SPARE_ROWS
        self._table = make_table(1 + rows)
        self._own_row = Row.shared(self._table, OWN_ROW)
        instruments.use(self._own_row)
        self._free_rows = set(range(1, rows + 1))
        self._workers: dict[int, Worker] = {}  # by row

    def __call__(self, number: int) -> Worker:
        row = min(self._free_rows)
        listen = [each.fileno() for each in self._opened[number]]
        inherited = Inherited(listen, self._table, row)
        worker = Worker([sys.executable, "-m", "server", "serve", "--worker", str(inherited)], inherited.files)
        self._free_rows.remove(row)
        self._workers[row] = worker
        worker.ended.add_done_callback(lambda _: self._free(row))
        return worker

    def sources(self) -> Iterator[tuple[str, int, Row]]:
        """The name, process id and row of the supervisor and of each worker."""
        yield "supervisor", os.getpid(), self._own_row
        for row, worker in sorted(self._workers.items()):
            yield f"worker-{row}", worker.pid, Row.shared(self._table, row)

    def _free(self, row: int) -> None:
        instruments.keep_ended(Row.shared(self._table, row), self._own_row)
        del self._workers[row]
        self._free_rows.add(row)

    def close(self) -> None:
        """Close every socket."""
        sockets.close([each for opened in self._opened for each in opened])
