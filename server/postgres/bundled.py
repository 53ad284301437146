"""The bundled PostgreSQL. Each process that uses it holds a share, and the last one to give it back stops the server.

Two locks in the data folder:

- `postgres.lock`: a process that starts or stops the server holds it; all others wait.
- `postgres.users`: each process that uses the server holds a shared lock. The kernel releases it with the process.
  The name is that of the first release: during an update old and new processes share a data folder.

Both files close on exec. Otherwise the postmaster would inherit the locks and keep them.
"""

import contextlib
import errno
import fcntl
import logging
import os
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from server.postgres.errors import BundledPostgresError
from server.postgres.file_locks import Record, open_own, take, take_within
from server.postgres.server import FAST_STOP_SECONDS, NAME, START_SECONDS, PostgresServer
from server.postgres.system_user import foreign_owner
from server.postgres.unix_socket import PORT

__all__ = ["BundledPostgres", "BundledPostgresError", "attach"]

logger = logging.getLogger(__name__)

ADVICE = {
    errno.ENOSPC: "free some space on that disk",
    errno.EDQUOT: "free some space, the quota is used up",
    errno.EACCES: "run as its owner, or give this user the right to write there",
    errno.EPERM: "run as its owner, or give this user the right to write there",
    errno.EROFS: "choose a data folder that can be written",
    errno.ENOTDIR: "choose a data folder that is not below a file",
    errno.EEXIST: "choose a data folder that is not a file",
}
DENIALS = {errno.EACCES, errno.EPERM}
SHARES_FILE = "postgres.users"
LAST_SHARE_SECONDS = 0.2  # longest wait for the kernel to release the share of a process that was killed


@dataclass(frozen=True)
class BundledPostgres:
    """A running server that this process holds a share of."""

    data_dir: Path
    socket_dir: Path
    _share: "_Share" = field(repr=False, compare=False)

    def url(self, database: str = NAME, *, user: str = NAME) -> str:
        """Return the URL of a database, for asyncpg and for libpq."""
        user, database, host = (quote(part, safe="") for part in (user, database, str(self.socket_dir)))
        return f"postgresql://{user}@/{database}?host={host}&port={PORT}"  # without a port, PGPORT would be used

    @property
    def major(self) -> int:
        """The major version of the server."""
        return int((self.data_dir / "postgres" / "PG_VERSION").read_text())

    def revive(self) -> bool:
        """Start the server again at the same URL if it died; return whether it had. Blocks.

        Raises BundledPostgresError.
        """
        with _os_errors_explained(self.data_dir):
            return self._share.revive()

    def release(self) -> None:
        """Give the share back; the last one stops the server. Failures go to `say`. A second call is safe."""
        self._share.leave()


def attach(data_dir: Path, *, durable: bool = True, say: Callable[[str], None] = logger.info) -> BundledPostgres:
    """Start the server on `data_dir/postgres`, or join it if it runs. It has the role and database `frontdesk`.

    `say` is called with a sentence for each step. `durable=False` is for tests: nothing waits for the disk. A SIGTERM
    before this returns ends the process like SIGKILL, unless the signal handler raises.
    Removes libpq's variables (PGOPTIONS, PGSERVICE, PGTZ and so on) from this process's environment: they would change
    each connection to the server, and a connection parameter cannot override all of them.
    Raises BundledPostgresError.
    """
    for name in [each for each in os.environ if re.match("PG[A-Z]", each)]:
        del os.environ[name]
    folder = Path(data_dir).absolute()
    with _os_errors_explained(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = folder.resolve()
        share = _Share(folder, PostgresServer(folder, durable=durable, say=say), say)
        return BundledPostgres(folder, share.join(), share)


@contextlib.contextmanager
def _os_errors_explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = error.filename or folder
        other_owner = foreign_owner(Path(str(where)), folder) if error.errno in DENIALS else None
        advice = other_owner or ADVICE.get(error.errno or 0, "make it usable")
        raise BundledPostgresError(
            f"The database in {folder} cannot be used ({where}: {error.strerror}): {advice}."
        ) from error


class _Share:
    """This process's share of the server: its locks, and how it joins and leaves."""

    def __init__(self, folder: Path, server: PostgresServer, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._server = server
        self._say = say
        self._locked: list[int] = []  # SHARES_FILE, and then the runtime folder
        self._turn = threading.RLock()  # reentrant: a signal handler may release during a release, in the same thread
        self._left = False
        self._pid = os.getpid()

    def join(self) -> Path:
        """Take a share of the server, which then runs; return the folder of its socket."""
        with self._start_lock() as record:
            self._locked.append(open_own(self._folder / SHARES_FILE))
            try:
                fcntl.flock(self._locked[0], fcntl.LOCK_SH)
                self._server.bring_up(record)
                self._lock_runtime(record)
            except BaseException:
                self._stop_if_last(record)
                raise
            return record.socket_dir

    def revive(self) -> bool:
        """Start the server if it does not run; return whether it was started."""
        with self._turn, self._start_lock() as record:
            if self._left:
                raise BundledPostgresError(f"The share of the database in {self._folder} was given back.")
            started = self._server.bring_up(record, waits=False)
            self._lock_runtime(record)
            return started

    def leave(self) -> None:
        """Give the share back, and stop the server if no other process holds one."""
        with self._turn:
            if self._left or self._pid != os.getpid():  # a forked child has its parent's share, not one of its own
                return
            self._left = True
            try:
                with self._start_lock() as record:
                    self._stop_if_last(record)
            except (BundledPostgresError, OSError) as error:
                self._say(str(error))
            finally:
                self._unlock()

    def _stop_if_last(self, record: Record) -> None:
        try:
            # A killed process ends a moment before the kernel has closed all of its files.
            if take_within(self._locked[0], LAST_SHARE_SECONDS):
                self._server.stop(record)
        finally:
            self._unlock()

    def _lock_runtime(self, record: Record) -> None:
        # systemd-tmpfiles removes files in the temp folder after ten days, except below a folder with a lock.
        assert record.runtime is not None
        for stale in self._locked[1:]:
            os.close(stale)
        self._locked[1:] = [os.open(record.runtime, os.O_RDONLY | os.O_CLOEXEC)]
        take(self._locked[1], fcntl.LOCK_SH)

    def _unlock(self) -> None:
        while self._locked:
            os.close(self._locked.pop())

    @contextlib.contextmanager
    def _start_lock(self) -> Iterator[Record]:
        fd = open_own(self._folder / "postgres.lock")
        try:
            if not take_within(fd, START_SECONDS + FAST_STOP_SECONDS):
                raise BundledPostgresError(
                    f"Another process starts or stops the database in {self._folder} for too long: end it."
                )
            yield Record(fd)
        finally:
            os.close(fd)
