"""The bundled PostgreSQL: each user holds a share, which the kernel drops with the process; the last to leave stops it.

Two locks in the data folder. `postgres.lock`: whoever holds it starts or stops the server, and nobody else does.
`postgres.users`: a shared lock for each user. Both close on exec, or the postmaster would keep them for ever.
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

from server.postgres.binaries import BundledPostgresError
from server.postgres.file_locks import Record, open_own, take, take_within
from server.postgres.server import NAME, START, STOP, PostgresServer
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


MOMENT = 0.2  # seconds


@dataclass(frozen=True)
class BundledPostgres:
    """A running cluster that this process holds a share of."""

    data_dir: Path
    socket_dir: Path
    _share: "_Share" = field(repr=False, compare=False)

    def url(self, database: str = NAME, *, user: str = NAME) -> str:
        """The address of a database, for asyncpg and libpq alike."""
        user, database, host = (quote(part, safe="") for part in (user, database, str(self.socket_dir)))
        return f"postgresql://{user}@/{database}?host={host}&port={PORT}"  # without the port, PGPORT would be taken

    def revive(self) -> bool:
        """Start the server again if it died, at the same URL; True if it had. Blocks. Raises BundledPostgresError."""
        with _told(self.data_dir):
            return self._share.revive()

    def release(self) -> None:
        """Give the share back, once; the last to leave stops the server. What goes wrong is said, not raised."""
        self._share.leave()


def attach(data_dir: Path, *, durable: bool = True, say: Callable[[str], None] = logger.info) -> BundledPostgres:
    """Start the cluster of `data_dir/postgres`, or join it if it runs; it has role and database `frontdesk`.

    `say` is told in a sentence what happens. `durable=False` is for tests: nothing waits for the disk. A SIGTERM before
    this returns ends the process as a `kill -9` would, unless the handler raises. Raises BundledPostgresError.
    Removes libpq's variables (PGOPTIONS, PGSERVICE, PGTZ and so on) from this process's environment: they would change
    each connection to the server, and a connection parameter cannot override all of them.
    """
    for name in [each for each in os.environ if re.match("PG[A-Z]", each)]:
        del os.environ[name]
    folder = Path(data_dir).absolute()
    with _told(folder):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = folder.resolve()
        share = _Share(folder, PostgresServer(folder, durable=durable, say=say), say)
        return BundledPostgres(folder, share.join(), share)


@contextlib.contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        advice = ADVICE.get(error.errno or 0, "see that it can be used")
        where = error.filename or folder
        raise BundledPostgresError(
            f"The database in {folder} cannot be used ({where}: {error.strerror}): {advice}."
        ) from error


class _Share:
    """One user's part in the cluster: locks, and the way in and out."""

    def __init__(self, folder: Path, cluster: PostgresServer, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._cluster = cluster
        self._say = say
        self._held: list[int] = []
        self._turn = threading.RLock()  # a signal handler that releases during a release comes from the same thread
        self._left = False
        self._process = os.getpid()

    def join(self) -> Path:
        """Hold a share of a running server; the folder of its socket."""
        with self._start_lock() as record:
            self._held.append(open_own(self._folder / "postgres.users"))
            try:
                fcntl.flock(self._held[0], fcntl.LOCK_SH)
                self._cluster.bring_up(record)
                self._keep(record)
            except BaseException:
                self._depart(record)
                raise
            return record.socket_dir

    def revive(self) -> bool:
        """Bring the server up again."""
        with self._turn, self._start_lock() as record:
            if self._left:
                raise BundledPostgresError(f"The share of the database in {self._folder} was given back.")
            started = self._cluster.bring_up(record)
            self._keep(record)
            return started

    def leave(self) -> None:
        """Give the share back; stop the server if nobody is left."""
        with self._turn:
            if self._left or self._process != os.getpid():  # a forked child has our share, not one of its own
                return
            self._left = True
            try:
                with self._start_lock() as record:
                    self._depart(record)
            except (BundledPostgresError, OSError) as error:
                self._say(str(error))
            finally:
                self._drop()

    def _depart(self, record: Record) -> None:
        try:
            # Who was killed is known to be dead a moment before the kernel has closed all of its files.
            if take_within(self._held[0], MOMENT):
                self._cluster.stop(record)
        finally:
            self._drop()

    def _keep(self, record: Record) -> None:
        # systemd-tmpfiles removes what lies in the temp folder for ten days, except below a folder with a lock.
        assert record.runtime is not None
        for stale in self._held[1:]:
            os.close(stale)
        self._held[1:] = [os.open(record.runtime, os.O_RDONLY | os.O_CLOEXEC)]
        take(self._held[1], fcntl.LOCK_SH)

    def _drop(self) -> None:
        while self._held:
            os.close(self._held.pop())

    @contextlib.contextmanager
    def _start_lock(self) -> Iterator[Record]:
        fd = open_own(self._folder / "postgres.lock")
        try:
            if not take_within(fd, START + STOP):
                raise BundledPostgresError(
                    f"Another process starts or stops the database in {self._folder} for too long: end it."
                )
            yield Record(fd)
        finally:
            os.close(fd)
