"""Locks on files of the data folder. The kernel releases them when their process ends, however it ends."""

import fcntl
import os
import time
from pathlib import Path

POLL_SECONDS = 0.005
RECORD_MAX_BYTES = 4096


def take(fd: int, kind: int = fcntl.LOCK_EX) -> bool:
    """Take a flock without waiting; return whether it was free."""
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def take_within(fd: int, limit: float) -> bool:
    """Wait at most `limit` seconds for an exclusive flock; return whether it was taken."""
    deadline = time.monotonic() + limit
    while not take(fd):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def open_own(path: Path) -> int:
    """Open a file of the data folder to read and append, and make it if it is missing. Raises OSError.

    The file closes on exec: the postmaster must not inherit its lock.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    if os.geteuid() == 0:  # after a start by root, the owner of the folder must be able to start it too
        owner = path.parent.stat()
        os.fchown(fd, owner.st_uid, owner.st_gid)
    return fd


class Record:
    """The text of the start lock's file: the runtime folder, and whether a process was stopping the server."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        lines = os.pread(fd, RECORD_MAX_BYTES, 0).decode(errors="replace").splitlines()
        self.runtime = Path(lines[0]) if lines and lines[0].startswith("/") else None
        self.stopping = "stopping" in lines[1:]

    def write(self, runtime: Path | None, *, stopping: bool = False) -> None:
        """Replace the text."""
        self.runtime, self.stopping = runtime, stopping
        text = f"{runtime or ''}\n{'stopping' if stopping else ''}\n".encode()
        os.ftruncate(self._fd, 0)
        os.write(self._fd, text)

    @property
    def socket_dir(self) -> Path:
        """The folder of the server's socket."""
        return (self.runtime or Path("/nonexistent")) / "socket"
