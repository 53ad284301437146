"""The locks in the data folder are the kernel's: whatever kills a process, what it held is free at that moment."""

import fcntl
import os
import time
from pathlib import Path


def take(fd: int, kind: int = fcntl.LOCK_EX) -> bool:
    """Take a flock if nobody is in the way; whether it was taken."""
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def take_within(fd: int, limit: float) -> bool:
    """Wait at most `limit` seconds for an exclusive flock; whether it was taken."""
    deadline = time.monotonic() + limit
    while not take(fd):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def open_own(path: Path) -> int:
    """A file of the data folder, made where it is missing, to read and append; closes on exec. Raises OSError."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    if os.geteuid() == 0:  # or the folder's owner could not start it after root has once
        owner = path.parent.stat()
        os.fchown(fd, owner.st_uid, owner.st_gid)
    return fd


class Record:
    """The text of the start lock's file: the runtime folder, and whether the server on it was being stopped."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        lines = os.pread(fd, 4096, 0).decode(errors="replace").splitlines()
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
        """Where the server listens."""
        return (self.runtime or Path("/nonexistent")) / "socket"
