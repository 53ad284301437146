"""Keeps several processes running: replaces those that end, renews all one by one, stops all. Contains no HTTP.

Each process has one end of a channel. It writes a byte when it is ready, and from then on one each second, from its
event loop: without this sign of life it hangs, and is killed. The kernel closes the channel when one of the two
processes ends, however it ends, and so the other one knows.
"""

import asyncio
import contextlib
import logging
import math
import os
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Self

from server.telemetry.metrics import WORKERS_REPLACED

log = logging.getLogger(__name__)

READY_SECONDS = 60.0  # a worker that is not ready by then is killed
EXIT_POLL_SECONDS = 0.002
REST_POLL_SECONDS = 0.05
PAUSE_SECONDS = 0.1  # before a dead worker is replaced; doubled each time its successor dies too
LONGEST_PAUSE_SECONDS = 5.0
STABLE_SECONDS = 10.0  # after a longer life, the start was not the cause of the end

READY, ALIVE = b"!", b"."  # what a worker writes to its channel
ALIVE_SECONDS = 1.0  # between two signs of life
LOOK_SECONDS = 2.0  # how long the supervisor waits for a sign of life at a time
HANG_SECONDS = 20.0  # without one; no work of ours keeps the event loop from its turn for a tenth of this
RECEIVE_BYTES = 4096  # more than the kernel keeps of single bytes


async def give_signs_of_life(channel: int) -> None:
    """Tell the supervisor, at the other end of `channel`, that this process is ready and then that it is alive."""
    os.set_blocking(channel, False)  # a supervisor that is stopped for minutes reads nothing
    signs = READY + ALIVE
    while True:
        with contextlib.suppress(BrokenPipeError, BlockingIOError):
            os.write(channel, signs)
        signs = ALIVE
        await asyncio.sleep(ALIVE_SECONDS)


class NotReadyError(Exception):
    """A process ended before it was ready. It has reported the reason itself."""


class _Adopted:
    """A child process of ours that another program started, before it was replaced in this process."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._status: int | None = None

    def poll(self) -> int | None:
        """Its status if it has ended, as Popen has it."""
        if self._status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def send_signal(self, number: int) -> None:
        """Send a signal, if it is alive."""
        if self.poll() is None:
            os.kill(self.pid, number)


class Worker:
    """One process and our end of its channel.

    `ready`: True when the process is ready, False if it ended before. `ended`: its status when it has ended.
    `hangs`: it was killed because it gave no sign of life.
    """

    def __init__(
        self, process: "subprocess.Popen[bytes] | _Adopted", channel: socket.socket, *, is_ready: bool
    ) -> None:
        """`is_ready`: the process has already written that it is ready."""
        channel.setblocking(False)
        self._process = process
        self._channel = channel
        self._is_stopping = False
        self._began = time.monotonic()
        self.pid = process.pid
        self.hangs = False
        self.ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        if is_ready:
            self.ready.set_result(True)
        self.ended = asyncio.create_task(self._watch())

    @classmethod
    def start(cls, command: Sequence[str], fds: Sequence[int]) -> Self:
        """Start `command`; its last argument is the number of its end of the channel. Raises OSError."""
        ours, theirs = socket.socketpair()
        try:
            process = subprocess.Popen(  # noqa: S603  no shell
                [*command, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[*fds, theirs.fileno()],
                process_group=0,  # Ctrl-C in a terminal reaches the supervisor only, which stops each worker once
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        return cls(process, ours, is_ready=False)

    @classmethod
    def adopt(cls, pid: int, channel: int) -> Self:
        """Take over a ready child of the program that this process ran before. `channel`: our end, an open file."""
        return cls(_Adopted(pid), socket.socket(fileno=channel), is_ready=True)

    @property
    def channel(self) -> int:
        """Our end of the channel."""
        return self._channel.fileno()

    @property
    def is_ready(self) -> bool:
        """Whether it is ready now; False also before, and if it ended before."""
        return self.ready.done() and self.ready.result()

    @property
    def is_stable(self) -> bool:
        """Whether it has lived for so long that its start cannot be the cause of its death."""
        return time.monotonic() - self._began > STABLE_SECONDS

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if the process is alive."""
        self._process.send_signal(number)

    async def stop(self, limit: float) -> None:
        """Send SIGTERM, and SIGKILL after `limit` seconds; return when the process has ended."""
        self._is_stopping = True
        self.send(signal.SIGTERM)
        done, _ = await asyncio.wait({self.ended}, timeout=limit)
        if not done:
            log.error("worker %d did not stop within %.0f s and is killed", self.pid, limit)
            self.send(signal.SIGKILL)
            await asyncio.wait({self.ended})

    async def _watch(self) -> int:
        if not self.ready.done():
            self.ready.set_result(await self._is_ready())
        if self.ready.result():
            await self._listen()
        self._channel.close()
        # The channel closes a moment before the process has ended.
        while (status := self._process.poll()) is None:  # noqa: ASYNC110
            await asyncio.sleep(EXIT_POLL_SECONDS)
        return status

    async def _is_ready(self) -> bool:
        try:
            return bool(await asyncio.wait_for(self._receive(len(READY)), READY_SECONDS))
        except TimeoutError:
            log.error("worker %d was not ready after %.0f s and is killed", self.pid, READY_SECONDS)
            self.send(signal.SIGKILL)
            return False

    async def _listen(self) -> None:
        """Read signs of life until the channel closes, and kill the process when they stay away.

        Turns are counted, not seconds: after a pause of this process, or of the machine, one turn has passed.
        """
        silent, limit = 0, math.inf  # a worker of an earlier release gives no signs
        while True:
            try:
                received = await asyncio.wait_for(self._receive(RECEIVE_BYTES), LOOK_SECONDS)
            except TimeoutError:
                silent += 1
                if silent >= limit and not self._is_stopping and not self.hangs:
                    self.hangs = True
                    log.error("worker %d hangs: no sign of life for %.0f s; it is killed", self.pid, HANG_SECONDS)
                    self.send(signal.SIGKILL)
                continue
            if not received:
                return
            silent, limit = 0, HANG_SECONDS / LOOK_SECONDS

    async def _receive(self, most: int) -> bytes:
        try:
            return await asyncio.get_running_loop().sock_recv(self._channel, most)
        except ConnectionError:  # it was killed before it read everything
            return b""


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
