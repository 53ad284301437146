"""Keeps several processes alive: replaces who dies, renews all one by one, stops all; what they do is theirs.

Each process holds one end of a channel. It writes a byte when it is ready. When one side ends, however it ends, the
kernel closes the channel and the other side knows.
"""

import asyncio
import logging
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence

log = logging.getLogger(__name__)

READY_SECONDS = 60.0  # then it is ended as one that hangs
PAUSE_SECONDS = 0.1  # before who died is replaced; doubled while its successors die, too
LONGEST_PAUSE_SECONDS = 5.0
SETTLED_SECONDS = 10.0  # who has lived so long did not die of being started


class NotReadyError(Exception):
    """A process ended before it was ready; it has said why."""


class Worker:
    """One process and our end of its channel. `ready` becomes False when it ended first; `ended` is its status."""

    def __init__(self, command: Sequence[str], fds: Sequence[int]) -> None:
        """Start `command`, with the number of its end of the channel as its last argument. Raises OSError."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            self._process = subprocess.Popen(  # noqa: S603  no shell
                [*command, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[*fds, theirs.fileno()],
                process_group=0,  # Ctrl-C in a terminal is for us alone: we ask each to stop, and only once
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        self._channel = ours
        self._began = time.monotonic()
        self.pid = self._process.pid
        self.ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.ended = asyncio.create_task(self._watch())

    @property
    def is_settled(self) -> bool:
        """Whether it has lived for long enough not to be dying of its start."""
        return time.monotonic() - self._began > SETTLED_SECONDS

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it still lives."""
        self._process.send_signal(number)

    async def stop(self, limit: float) -> None:
        """Ask it to end, and end it after `limit` seconds."""
        self.send(signal.SIGTERM)
        done, _ = await asyncio.wait({self.ended}, timeout=limit)
        if not done:
            log.error("worker %d did not stop within %.0f s and is killed", self.pid, limit)
            self.send(signal.SIGKILL)
            await asyncio.wait({self.ended})

    async def _watch(self) -> int:
        loop = asyncio.get_running_loop()
        said = b""
        try:
            said = await asyncio.wait_for(loop.sock_recv(self._channel, 1), READY_SECONDS)
        except TimeoutError:
            log.error("worker %d was not ready after %.0f s and is killed", self.pid, READY_SECONDS)
            self.send(signal.SIGKILL)
        self.ready.set_result(bool(said))
        while said:
            said = await loop.sock_recv(self._channel, 1)
        self._channel.close()
        while (status := self._process.poll()) is None:  # noqa: ASYNC110  its channel ends a moment before it does
            await asyncio.sleep(0.002)
        return status


class Workers:
    """`count` processes, each in its place; `start` starts the one of a place."""

    def __init__(self, count: int, start: Callable[[int], Worker], *, limit: float) -> None:
        """`limit`: seconds that a process may take to end by itself."""
        self._count = count
        self._start = start
        self._limit = limit
        self._alive: set[Worker] = set()
        self._current: list[Worker] = []
        self._renewal = asyncio.Event()

    async def begin(self) -> None:
        """Start all of them, and return when they are ready. Raises NotReadyError."""
        try:
            self._current = [self._begin(place) for place in range(self._count)]
        except OSError as failure:
            raise NotReadyError(f"a worker cannot be started: {failure}") from None
        for worker in self._current:
            await asyncio.wait({worker.ready})  # who stops waiting must not cancel what the worker itself waits for
            if not worker.ready.result():
                raise NotReadyError(f"worker {worker.pid} ended before it was ready")

    async def keep(self) -> None:
        """Keep them alive, for ever."""
        await asyncio.gather(self._renew(), *(self._keep(place) for place in range(self._count)))

    def renew(self) -> None:
        """Have `keep` put a new process in every place, one after the other."""
        self._renewal.set()

    async def stop(self) -> None:
        """Stop all of them, at the same time."""
        await asyncio.gather(*(worker.stop(self._limit) for worker in list(self._alive)))

    def _begin(self, place: int) -> Worker:
        worker = self._start(place)
        self._alive.add(worker)
        worker.ended.add_done_callback(lambda _: self._alive.discard(worker))
        return worker

    async def _keep(self, place: int) -> None:
        failures = 0
        while True:
            worker = self._current[place]
            await asyncio.wait({worker.ended})
            failures = 0 if worker.is_settled else failures + 1
            if self._current[place] is not worker:  # renewed
                continue
            log.error("worker %d ended (%s): another takes its place", worker.pid, _why(worker.ended.result()))
            await _pause(failures)
            while self._current[place] is worker and not self._replace(place):
                failures += 1
                await _pause(failures)

    def _replace(self, place: int) -> bool:
        """Put a new process in a place; whether it could be started."""
        try:
            self._current[place] = self._begin(place)
        except OSError as failure:
            log.error("no worker can be started, which is tried again: %s", failure)
            return False
        return True

    async def _renew(self) -> None:
        while True:
            await self._renewal.wait()
            self._renewal.clear()
            for place in range(self._count):
                if not await self._succeed(place):
                    log.error("the renewal ends here, the others stay")
                    break
            else:
                log.info("all workers are new")

    async def _succeed(self, place: int) -> bool:
        """Put a new process in the place of one that serves until the new one is ready; whether it came to that."""
        try:
            new = self._begin(place)
        except OSError as failure:
            log.error("no worker can be started: %s", failure)
            return False
        await asyncio.wait({new.ready})
        if not new.ready.result():
            log.error("worker %d ended before it was ready", new.pid)
            return False
        old, self._current[place] = self._current[place], new
        await old.stop(self._limit)
        return True


async def _pause(failures: int) -> None:
    await asyncio.sleep(min(PAUSE_SECONDS * 2 ** min(failures, 10), LONGEST_PAUSE_SECONDS))


def _why(status: int) -> str:
    return f"status {status}" if status >= 0 else signal.Signals(-status).name
