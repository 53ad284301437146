"""One worker process, as its supervisor sees it, and the signs of life that it gives.

A worker has one end of a channel. It writes a byte when it is ready, and from then on one each second, from its event
loop: without this sign of life it hangs, and is killed. The kernel closes the channel when one of the two processes
ends, however it ends, and so the other one knows.
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
from collections.abc import Sequence
from typing import Self

log = logging.getLogger(__name__)

READY_SECONDS = 60.0  # a worker that is not ready by then is killed
EXIT_POLL_SECONDS = 0.002
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
        except ConnectionError:  # an end too
            return b""
