"""A real replica of the PostgreSQL of the tests: a copy that streams, made by the bundled programs."""

import contextlib
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from server.postgres.bundled import BundledPostgres, attach
from server.postgres.system_user import system_user_for
from server.postgres.unix_socket import PORT
from tests.drill.processes import send
from tests.load.processes import tree

CATCH_UP_SECONDS = 20.0
# The primary of the tests does not wait for its disk: this transaction does, so everything before it is on disk, too.
FLUSH = "begin; set local synchronous_commit = on; select pg_logical_emit_message(true, 'tests', ''); commit"
POSITION = "select (pg_current_wal_flush_lsn() - '0/0')::bigint"
REPLAYED = "select (pg_last_wal_replay_lsn() - '0/0')::bigint"


class Streaming:
    """A replica that runs, and its primary."""

    def __init__(self, primary: BundledPostgres, copy: BundledPostgres) -> None:
        self._primary = primary
        self._copy = copy

    def url(self, database_url: str) -> str:
        """The URL at the replica of the database that has `database_url` at the primary."""
        sockets = [quote(str(each.socket_dir), safe="") for each in (self._primary, self._copy)]
        return database_url.replace(sockets[0], sockets[1])

    def run(self, statement: str) -> Any:
        """Run a statement on the replica, as superuser: the value of its row, if it has one."""
        return _run(self._copy, statement)

    def flush(self) -> None:
        """Have the primary write everything to its disk, which it does not wait for otherwise."""
        _run(self._primary, FLUSH)

    def catch_up(self) -> None:
        """Wait until it has replayed everything that the primary has now."""
        _run(self._primary, FLUSH)
        position, deadline = _run(self._primary, POSITION), time.monotonic() + CATCH_UP_SECONDS
        while _run(self._copy, REPLAYED) < position:
            assert time.monotonic() < deadline, "the replica does not catch up"
            time.sleep(0.005)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """In the block it replays nothing: what is changed now is not there."""
        self.catch_up()
        self.run("select pg_wal_replay_pause()")
        while self.run("select pg_get_wal_replay_pause_state()") != "paused":
            time.sleep(0.001)
        try:
            yield
        finally:
            self.run("select pg_wal_replay_resume()")
            self.catch_up()

    def kill(self) -> None:
        """Kill every process of it at the same moment."""
        send(signal.SIGKILL, tree(_postmaster(self._copy)))

    def revive(self) -> None:
        """Start it again. Waits until it responds."""
        self._copy.revive()

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """In the block none of its processes runs, and no connection is closed."""
        processes = tree(_postmaster(self._copy))
        send(signal.SIGSTOP, processes)
        try:
            yield
        finally:
            send(signal.SIGCONT, processes)


def _run(server: BundledPostgres, statement: str) -> Any:
    with psycopg.connect(server.url("postgres", user="postgres"), autocommit=True) as connection:
        cursor = connection.execute(statement.encode())
        row = cursor.fetchone() if cursor.description else None
        return row and row[0]


@contextlib.contextmanager
def streaming(primary: BundledPostgres) -> Iterator[Streaming]:
    """A replica of `primary`, stopped and removed at the end."""
    with tempfile.TemporaryDirectory(prefix="replica-") as folder:
        place = Path(folder)
        place.chmod(0o755)  # PostgreSQL may run as another user
        user = system_user_for(primary.data_dir / "postgres", primary.data_dir)
        made = user.make_folder(place / "postgres")
        source = ["-h", str(primary.socket_dir), "-p", str(PORT), "-U", "postgres"]
        command = [str(_programs(primary) / "pg_basebackup"), *source, "-D", str(made), "-R", "-X", "stream"]
        # A replica has no slot: what it has not read yet must not be removed.
        _run(primary, "alter system set wal_keep_size = '1GB'")
        _run(primary, "select pg_reload_conf()")
        status, said = user.run(*command, "-c", "fast", "--no-sync", limit=60)
        if status:
            raise RuntimeError(said)
        copy = attach(place, durable=False, say=lambda text: None)
        try:
            yield Streaming(primary, copy)
        finally:
            copy.release()


def _programs(server: BundledPostgres) -> Path:
    """The folder of the programs that `server` runs: its user can run the others, too."""
    return Path(f"/proc/{_postmaster(server)}/exe").readlink().parent


def _postmaster(server: BundledPostgres) -> int:
    return int((server.data_dir / "postgres" / "postmaster.pid").read_text().split()[0])


@pytest.fixture(scope="session")
def copy(postgres: BundledPostgres, database_url: str) -> Iterator[Streaming]:
    """A replica of the PostgreSQL of the tests, for the modules that import this fixture."""
    with streaming(postgres) as running:
        yield running
