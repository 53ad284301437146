"""Keeps several processes running: replaces those that end, renews all one by one, stops all. Contains no HTTP."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable, Sequence

from server.process.worker import Worker
from server.telemetry.metrics import WORKERS_REPLACED

log = logging.getLogger(__name__)

REST_POLL_SECONDS = 0.05
PAUSE_SECONDS = 0.1  # before a dead worker is replaced; doubled each time its successor dies too
LONGEST_PAUSE_SECONDS = 5.0


class NotReadyError(Exception):
    """A process ended before it was ready. It has reported the reason itself."""


class Workers:
    """`count` processes, numbered from 0; `start` starts the one with a number."""

    def __init__(self, count: int, start: Callable[[int], Worker], *, limit: float) -> None:
        """`limit`: the seconds that a process has to end after SIGTERM."""
        self._count = count
        self._start = start
        self._limit = limit
        self._alive: set[Worker] = set()
        self._current: list[Worker] = []
        self._renewal = asyncio.Event()
        self._renewing = asyncio.Lock()

    async def begin(self) -> None:
        """Start all of them, and return when they are ready. Raises NotReadyError."""
        try:
            self._current = [self._begin(number) for number in range(self._count)]
        except OSError as failure:
            raise NotReadyError(f"a worker cannot be started: {failure}") from None
        for worker in self._current:
            await asyncio.wait({worker.ready})  # not `await worker.ready`: cancelling this would cancel the future
            if not worker.ready.result():
                raise NotReadyError(f"worker {worker.pid} ended before it was ready")

    def adopt(self, workers: Sequence[Worker]) -> None:
        """Keep ready workers that were started before, in the order of their numbers, instead of starting them."""
        self._current = [self._add(worker) for worker in workers]

    async def keep(self) -> None:
        """Replace each one that ends, and renew all after `renew`. Runs until it is cancelled."""
        await asyncio.gather(self._renew(), *(self._keep(number) for number in range(self._count)))

    def renew(self) -> None:
        """Have `keep` replace every process by a new one, one after the other."""
        self._renewal.set()

    @contextlib.asynccontextmanager
    async def resting(self) -> AsyncIterator[list[Worker]]:
        """Yield the current workers when all of them are ready and no renewal runs; none begins in the block."""
        async with self._renewing:
            while not all(each.is_ready and not each.ended.done() for each in self._current):  # noqa: ASYNC110
                await asyncio.sleep(REST_POLL_SECONDS)
            yield [*self._current]

    async def stop(self) -> None:
        """Stop all of them at the same time."""
        await asyncio.gather(*(worker.stop(self._limit) for worker in list(self._alive)))

    def _begin(self, number: int) -> Worker:
        return self._add(self._start(number))

    def _add(self, worker: Worker) -> Worker:
        self._alive.add(worker)
        worker.ended.add_done_callback(lambda _: self._alive.discard(worker))
        return worker

    async def _keep(self, number: int) -> None:
        failures = 0
        while True:
            worker = self._current[number]
            await asyncio.wait({worker.ended})
            failures = 0 if worker.is_stable else failures + 1
            if self._current[number] is not worker:  # a renewal replaced it
                continue
            if not worker.hangs:  # which has been reported
                log.error("worker %d ended (%s) and is replaced", worker.pid, _reason(worker.ended.result()))
            WORKERS_REPLACED.add()
            await _pause(failures)
            while self._current[number] is worker and not self._replace(number):
                failures += 1
                await _pause(failures)

    def _replace(self, number: int) -> bool:
        """Start a new process with this number; return whether it could be started."""
        try:
            self._current[number] = self._begin(number)
        except OSError as failure:
            log.error("a worker cannot be started, the supervisor tries again: %s", failure)
            return False
        return True

    async def _renew(self) -> None:
        while True:
            await self._renewal.wait()
            self._renewal.clear()
            async with self._renewing:
                await self._renew_all()

    async def _renew_all(self) -> None:
        for number in range(self._count):
            if not await self._renew_one(number):
                log.error("the renewal stops; the other workers are not replaced")
                return
        log.info("all workers are new")

    async def _renew_one(self, number: int) -> bool:
        """Start a new process, and stop the old one when the new one is ready; return whether it became ready."""
        try:
            new = self._begin(number)
        except OSError as failure:
            log.error("a worker cannot be started: %s", failure)
            return False
        await asyncio.wait({new.ready})
        if not new.ready.result():
            log.error("worker %d ended before it was ready", new.pid)
            return False
        old, self._current[number] = self._current[number], new
        await old.stop(self._limit)
        return True


async def _pause(failures: int) -> None:
    await asyncio.sleep(min(PAUSE_SECONDS * 2 ** min(failures, 10), LONGEST_PAUSE_SECONDS))


def _reason(status: int) -> str:
    return f"status {status}" if status >= 0 else signal.Signals(-status).name
