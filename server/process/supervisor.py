"""Several workers serve one port. The supervisor starts them and serves no request itself.

It holds what must outlive each worker: the sockets and the table of metrics. Workers share nothing else but the
database. Each worker attaches to the bundled PostgreSQL itself, so the last one stops it, even after a kill.
"""

import asyncio
import logging
import os
import socket
from collections.abc import Coroutine
from typing import Any

import uvloop

from server import __version__
from server.database.database import Database
from server.process import http_server, replacement
from server.process.renewals import Renewals
from server.process.replacement import Handed
from server.process.serving import (
    DatabaseSource,
    StopRequests,
    announce,
    bind,
    bind_metrics,
    say,
    showing,
    stop_requests,
)
from server.process.worker_starter import WorkerStarter
from server.process.workers import Workers
from server.settings.settings import Settings
from server.telemetry import instruments

log = logging.getLogger(__name__)

WORKER_STOP_SECONDS = http_server.STOP_SECONDS + 15  # a worker that has not ended by then hangs


def serve(settings: Settings, database: DatabaseSource) -> None:
    """Have `settings.workers` processes serve until SIGINT or SIGTERM; SIGHUP renews them one by one.

    Raises CannotListen, Unavailable, NotReadyError.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(_serve(settings, database))


async def _serve(settings: Settings, database: DatabaseSource) -> None:
    requested = stop_requests()
    renewals = Renewals(requested)
    # An error is reported here, not by every worker.
    await (await Database.connect(settings.database_url, pooler=settings.database_pooler)).close()
    opened = bind(settings)
    metrics_sockets = bind_metrics(settings)
    supervisor = Supervisor(WorkerStarter(opened), requested, renewals, metrics_sockets)
    instruments.use(supervisor.start.own_row)
    try:
        await supervisor.begin()
        if not requested.stop.is_set():
            async with showing(metrics_sockets, supervisor.start.sources):
                announce(http_server.url_of(opened[0][0].getsockname()), settings, database, metrics_sockets)
                say(f"  Workers     {settings.workers}; SIGHUP to process {os.getpid()} renews them one by one")
                await supervisor.keep()
        say("Frontdesk stops: it finishes the requests in progress.")
    finally:
        await supervisor.stop()


def resume(handed: Handed) -> None:
    """Supervise the workers of the program that this process ran before, and renew them, until SIGINT or SIGTERM."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(_resume(handed))


async def _resume(handed: Handed) -> None:
    requested = stop_requests()
    renewals = Renewals(requested)
    replacement.take_over(handed)
    opened = [[socket.socket(fileno=fd) for fd in each] for each in handed.listen]
    metrics_sockets = [socket.socket(fileno=fd) for fd in handed.metrics]
    supervisor = Supervisor(WorkerStarter(opened, handed.table), requested, renewals, metrics_sockets)
    instruments.use(supervisor.start.own_row)
    supervisor.adopt(handed)
    try:
        async with showing(metrics_sockets, supervisor.start.sources):
            say(f"Frontdesk {__version__} supervises the workers now, and renews them.")
            renewals.workers.set()
            await supervisor.keep()
        say("Frontdesk stops: it finishes the requests in progress.")
    finally:
        await supervisor.stop()


class Supervisor:
    """The workers of one port, until a stop is requested."""

    def __init__(
        self, start: WorkerStarter, requested: StopRequests, renewals: Renewals, metrics_sockets: list[socket.socket]
    ) -> None:
        """`metrics_sockets`: a new program of this process shows its metrics there."""
        self.start = start
        self.only_supervises = asyncio.Event()  # until then the program of this process must not be replaced
        self.only_supervises.set()
        self._metrics_sockets = metrics_sockets
        self._requested = requested
        self._renewals = renewals
        self._workers = Workers(start.count, start, limit=WORKER_STOP_SECONDS)

    async def begin(self) -> None:
        """Start the workers; return when they are ready, or a stop is requested. Raises NotReadyError."""
        await _unless(self._requested.stop, self._workers.begin())

    def adopt(self, handed: Handed) -> None:
        """Take over the workers of the program that this process ran before."""
        self._workers.adopt(self.start.adopt(handed.workers))

    async def keep(self) -> None:
        """Replace workers that end, and renew all on request, until a stop is requested."""
        await _unless(self._requested.stop, self._keep())

    async def stop_workers(self) -> None:
        """Stop those that run, after their requests unless a stop at once is requested."""
        await _unless(self._requested.at_once, self._workers.stop())
        if self._requested.at_once.is_set():
            await self._workers.stop()  # the second SIGTERM has each worker cut its requests

    async def stop(self) -> None:
        """Accept nothing more, and stop the workers."""
        self.start.close()  # first: new connections are refused, instead of waiting until a worker accepts them
        await self.stop_workers()

    async def _keep(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._workers.keep())
            tasks.create_task(self._renew())
            tasks.create_task(self._replace())

    async def _renew(self) -> None:
        while True:
            await self._renewals.workers.wait()
            self._renewals.workers.clear()
            self._workers.renew()

    async def _replace(self) -> None:
        while True:
            await self._renewals.supervisor.wait()
            self._renewals.supervisor.clear()
            await self.only_supervises.wait()
            if await replacement.is_prepared(self.start.handed([], self._metrics_sockets)):
                async with self._workers.resting() as workers:
                    replacement.execute(self.start.handed(workers, self._metrics_sockets))
            else:
                log.error("the new code cannot start; the supervisor and the workers are not replaced")


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Run `work` until it ends or `stop` is set. Raises what `work` raises."""
    working, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if working.done():
        working.result()
    working.cancel()
