"""One process serves, until SIGHUP: then a worker with its sockets takes over, and it becomes the worker's supervisor.

Until then nothing of a supervisor runs. The process id stays: systemd and containers watch it.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Iterator

import uvloop

from server.process import http_server, sockets
from server.process.renewals import Renewals
from server.process.serving import (
    DatabaseSource,
    StopRequests,
    announce,
    bind,
    bind_metrics,
    listen,
    say,
    service,
    showing,
    stop_requests,
)
from server.process.supervisor import Supervisor
from server.process.worker_starter import WorkerStarter
from server.process.workers import NotReadyError
from server.settings.settings import Settings
from server.telemetry import instruments
from server.telemetry.cells import Row

log = logging.getLogger(__name__)

NAME = "worker-1"  # in the label `process` of the metrics, while it serves alone
FINISHING_NAME = "worker-0"  # while it finishes its requests beside the worker


def serve(settings: Settings, database: DatabaseSource) -> None:
    """Serve until SIGINT or SIGTERM. Raises CannotListen, Unavailable."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(_serve(settings, database))


async def _serve(settings: Settings, database: DatabaseSource) -> None:
    requested = stop_requests()
    alone = _Alone(bind(settings)[0], requested, Renewals(requested))
    async with contextlib.AsyncExitStack() as own, contextlib.AsyncExitStack() as end:
        # Before the service stops: new connections are refused. Also when the database cannot be used.
        end.callback(sockets.close, alone.opened)
        runner = await own.enter_async_context(service(settings, database.revive, alone.row, requested))
        await listen(runner, [each.dup() for each in alone.opened])
        metrics_sockets = alone.metrics_sockets = bind_metrics(settings)
        async with showing(metrics_sockets, alone.sources):
            announce(http_server.url_of(alone.opened[0].getsockname()), settings, database, metrics_sockets)
            if await alone.is_succeeded():
                await alone.supervise(own.pop_all())
            else:
                say("Frontdesk stops: it finishes the requests in progress.")


class _Alone:
    """The process that serves alone, and what becomes of it."""

    def __init__(self, opened: list[socket.socket], requested: StopRequests, renewals: Renewals) -> None:
        self.opened = opened
        self.row = Row.private()
        self._requested = requested
        self._renewals = renewals
        self.metrics_sockets: list[socket.socket] = []
        self._is_serving = True
        self._supervisor: Supervisor | None = None

    def sources(self) -> Iterator[tuple[str, int, Row]]:
        """The name, process id and row of each process whose metrics are shown."""
        if self._supervisor:
            yield from self._supervisor.start.sources()
        if self._is_serving:
            yield FINISHING_NAME if self._supervisor else NAME, os.getpid(), self.row

    async def is_succeeded(self) -> bool:
        """Wait until a stop is requested, or a renewal, whose worker then is ready; return whether it is the latter."""
        while True:
            await _first(self._requested.stop, self._renewals.workers, self._renewals.supervisor)
            if self._requested.stop.is_set():
                return False
            self._renewals.workers.clear()
            supervisor = self._supervisor = self._supervisor or self._make_supervisor()
            try:
                await supervisor.begin()
            except NotReadyError as failure:
                log.error("%s; process %d serves on as before", failure, os.getpid())
                self._renewals.supervisor.clear()
            else:
                if not self._requested.stop.is_set():
                    return True
            await supervisor.stop_workers()

    async def supervise(self, own: contextlib.AsyncExitStack) -> None:
        """Stop the own service, which `own` ends, and keep the worker until a stop is requested."""
        assert self._supervisor
        self._supervisor.only_supervises.clear()
        finishing = asyncio.create_task(self._finish(own, self._supervisor))
        try:
            await self._supervisor.keep()
            say("Frontdesk stops: it finishes the requests in progress.")
        finally:
            await self._supervisor.stop()
            await finishing

    def _make_supervisor(self) -> Supervisor:
        return Supervisor(WorkerStarter([self.opened]), self._requested, self._renewals, self.metrics_sockets)

    async def _finish(self, own: contextlib.AsyncExitStack, supervisor: Supervisor) -> None:
        await own.aclose()
        self._is_serving = False
        instruments.keep_ended(self.row, supervisor.start.own_row)
        instruments.use(supervisor.start.own_row)
        supervisor.only_supervises.set()
        log.info("a worker serves; process %d supervises it", os.getpid())


async def _first(*events: asyncio.Event) -> None:
    """Wait until one of `events` is set."""
    waiting = [asyncio.create_task(each.wait()) for each in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for each in waiting:
        each.cancel()
