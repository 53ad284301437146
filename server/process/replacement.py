"""The supervisor replaces its own program: a new interpreter in the same process, which adopts workers and sockets.

Everything that can fail is tried before, in a child process with the new code (`serve --prepare`).
"""

import asyncio
import dataclasses
import logging
import os
import signal
import sys

from server.process import signals
from server.process.arguments import Argument

log = logging.getLogger(__name__)

PREPARE_SECONDS = 600.0  # a migration may take minutes
BLOCKED = {*signals.ENDING, signal.SIGUSR2}  # from the end of the old program until the new one handles them


@dataclasses.dataclass(frozen=True)
class Handed(Argument):
    """What the new program gets: open files, and of each worker its process id, our end of its channel and its row.

    A later release reads what an earlier one wrote.
    """

    listen: list[list[int]]
    metrics: list[int]
    table: int
    workers: list[list[int]]

    @property
    def files(self) -> list[int]:
        """All open files."""
        channels = [channel for _, channel, _ in self.workers]
        return [*(fd for each in self.listen for fd in each), *self.metrics, self.table, *channels]


async def is_prepared(handed: Handed) -> bool:
    """Have the new code check the settings and migrate the schema; return whether it could."""
    child = await asyncio.create_subprocess_exec(*_command("--prepare", handed), stdin=asyncio.subprocess.DEVNULL)
    try:
        async with asyncio.timeout(PREPARE_SECONDS):
            return await child.wait() == 0
    except TimeoutError:
        return False
    finally:
        if child.returncode is None:
            child.kill()


def execute(handed: Handed) -> None:
    """Replace the program of this process; return only if that failed, which is logged."""
    signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED)
    for number in {*signals.ENDING} - {*signals.heard()}:
        signal.signal(number, signal.SIG_IGN)
    try:
        for fd in handed.files:
            os.set_inheritable(fd, True)
        os.execv(sys.executable, _command("--handed", handed))  # noqa: S606  no shell
    except OSError as failure:
        log.error("the supervisor cannot be replaced: %s", failure)
        for fd in handed.files:
            os.set_inheritable(fd, False)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, BLOCKED)


def take_over(handed: Handed) -> None:
    """Be the new program: close the open files on exec, and receive signals. Their handlers are set."""
    for fd in handed.files:
        os.set_inheritable(fd, False)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, BLOCKED)


def _command(option: str, handed: Handed) -> list[str]:
    return [sys.executable, "-m", "server", "serve", option, str(handed)]
