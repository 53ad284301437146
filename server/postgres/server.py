"""One data folder and the server on it: whether it lives is asked of a lock that its processes hold, never of a pid.

The lock is a flock on the data folder itself. The postmaster inherits it, so it lasts exactly as long as any process of
the server. Every method here is called under the start lock of `bundled.py`.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from server.postgres.binaries import (
    Binaries,
    BundledPostgresError,
    SystemUser,
    find_binaries,
    is_ours,
    remove_runtime,
    settle_runtime,
    system_user_for,
)
from server.postgres.file_locks import Record, open_own, take, take_within
from server.postgres.unix_socket import PORT, RefusedError, ask, peer

START = 60  # seconds, recovery included
STOP = 20.0  # seconds for a fast shutdown, before the immediate one
HARDER = 5.0  # seconds for each of the harder ones
LOG_BYTES = 5_000_000
NAME = "frontdesk"  # the role and its database


class PostgresServer:
    """The server of `data_dir/postgres`: `bring_up` and `stop`."""

    def __init__(self, data_dir: Path, *, durable: bool, say: Callable[[str], None]) -> None:
        self.data_dir = data_dir
        self.home = data_dir / "postgres"
        self.log = data_dir / "postgres.log"
        self.durable = durable
        self.say = say
        self._child: int | None = None

    def bring_up(self, record: Record) -> bool:
        """Make the server answer; True if it had to be started. Raises BundledPostgresError, OSError."""
        started, why = False, ""
        for _attempt in range(5):  # somebody may kill the server between two steps
            try:
                if not self._runs(record):
                    started = True
                    self._start(record)
                self._create_database(record.socket_dir)
                return started
            except (ConnectionError, TimeoutError) as error:
                why = str(error)
        raise BundledPostgresError(f"PostgreSQL on {self.home} starts but cannot be used ({why}): see {self.log}.")

    def stop(self, record: Record) -> None:
        """Stop the server if it runs, and remove its runtime folder. Raises BundledPostgresError, OSError."""
        fd = self._open() if self._made else None
        try:
            if fd is not None and not take(fd):
                record.write(record.runtime, stopping=True)
                self._signal(fd, record.socket_dir)
            self._reap()
        finally:
            if fd is not None:
                os.close(fd)
        if record.runtime is not None:
            remove_runtime(record.runtime, self._account())
        record.write(None)

    @property
    def _made(self) -> bool:
        return (self.home / "PG_VERSION").exists()

    def _account(self) -> SystemUser:
        return system_user_for(self.home if self._made else None, self.data_dir)

    def _open(self) -> int:
        return os.open(self.home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def _runs(self, record: Record) -> bool:
        if not self._made:
            return False
        account = self._account()
        if record.runtime is not None and not is_ours(record.runtime, account):
            record.runtime = None
        fd = self._open()
        try:
            if record.stopping and not take(fd):  # whoever began to stop it was killed meanwhile
                self._signal(fd, record.socket_dir)
            return self._answers(fd, record.socket_dir)
        finally:
            os.close(fd)

    def _answers(self, fd: int, socket_dir: Path) -> bool:
        """Wait until the server answers (True), or none of its processes lives and the lock is ours (False)."""
        deadline = time.monotonic() + START
        while not take(fd):
            try:
                ask(socket_dir, "select 1")
                return True
            except OSError as error:
                why, hopeless = str(error), time.monotonic() > deadline
            except RefusedError as error:
                why, hopeless = str(error), True
            if hopeless:
                raise BundledPostgresError(
                    f"PostgreSQL on {self.home} runs but cannot be used from here ({why}): see {self.log}, "
                    "and if another machine or container started it, end it there."
                )
            time.sleep(0.005)
        return False

    def _signal(self, fd: int, socket_dir: Path) -> None:
        for number, limit in ((signal.SIGINT, STOP), (signal.SIGQUIT, HARDER), (signal.SIGKILL, HARDER)):
            if postmaster := self._postmaster(socket_dir):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(postmaster, number)
            if take_within(fd, limit):
                return
            self.say(f"PostgreSQL on {self.home} did not stop within {limit:.0f} s of {number.name}.")
        raise BundledPostgresError(f"PostgreSQL on {self.home} cannot be stopped: end its processes by hand.")

    def _postmaster(self, socket_dir: Path) -> int | None:
        """Whom to signal: who listens on the socket, as the kernel tells; else the pid file's, if a postgres.

        Else our child, which has neither yet in its first milliseconds.
        """
        if pid := peer(socket_dir):
            return pid
        with contextlib.suppress(OSError, ValueError, IndexError):
            pid = int((self.home / "postmaster.pid").read_text().splitlines()[0])
            if pid > 1 and self._is_postgres(pid):
                return pid
        return self._child

    def _is_postgres(self, pid: int) -> bool:
        process = Path(f"/proc/{pid}")
        if Path("/proc/self").exists():
            return process.stat().st_uid == self.home.stat().st_uid and (process / "comm").read_text() == "postgres\n"
        command = ["/bin/ps", "-o", "comm=", "-p", str(pid)]
        return "postgres" in subprocess.run(command, capture_output=True, text=True, timeout=5, check=False).stdout  # noqa: S603

    def _start(self, record: Record) -> None:
        account = self._account()
        programs = find_binaries(int((self.home / "PG_VERSION").read_text()) if self._made else None)
        runtime, programs = settle_runtime(record.runtime, account, programs, record.write)
        if not self._made:
            self._create(account, programs)
        fd = self._open()
        try:
            if not take_within(fd, START):
                raise BundledPostgresError(f"Processes of an ended PostgreSQL still use {self.home}: end them.")
            self._reap()
            self._forget_pid()
            written = self._spawn(fd, account, programs, record.socket_dir)
        finally:
            os.close(fd)
        self.say(f"PostgreSQL {programs.version} starts on {self.home} as {account.name}, runtime folder {runtime}.")
        self._wait_started(record.socket_dir, written)

    def _forget_pid(self) -> None:
        """Remove the pid file of a dead server: its pid may be anybody's by now, and postgres would believe it."""
        file = self.home / "postmaster.pid"
        with contextlib.suppress(FileNotFoundError, ValueError):
            lines = file.read_text().splitlines() + [""] * 5
            if lines[4] and peer(Path(lines[4]), int(lines[3])) == int(lines[0]):
                raise BundledPostgresError(f"A PostgreSQL that was started by hand runs on {self.home}: stop it.")
        file.unlink(missing_ok=True)

    def _wait_started(self, socket_dir: Path, written: int) -> None:
        fd = self._open()
        try:
            if self._answers(fd, socket_dir):
                return
        finally:
            os.close(fd)
        if self._reap():
            raise ConnectionAbortedError("it was killed")
        with self.log.open("rb") as log:
            log.seek(written)
            tail = log.read()[-1500:].decode(errors="replace").strip()
        raise BundledPostgresError(f"PostgreSQL did not start on {self.home}. The end of {self.log}:\n{tail}")

    def _create(self, account: SystemUser, programs: Binaries) -> None:
        """Make the cluster in a folder beside and rename it, so that a kill leaves nothing half made."""
        if self.home.exists() and any(self.home.iterdir()):
            raise BundledPostgresError(f"{self.home} is no cluster of PostgreSQL: move away what lies there.")
        new = self.home.with_name("postgres.new")
        if new.exists():
            fd = os.open(new, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            free = take_within(fd, START)  # the initdb of a killed process may still be writing
            os.close(fd)
            if not free:
                raise BundledPostgresError(f"An initdb still writes to {new}: end it.")
            shutil.rmtree(new)
        self.say(f"initdb makes a new PostgreSQL {programs.version} in {self.home}.")
        fd = os.open(account.own(new), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            take(fd)
            self._initdb(fd, new, account, programs)
            new.rename(self.home)
        finally:
            os.close(fd)
            shutil.rmtree(new, ignore_errors=True)
        parent = os.open(self.data_dir, os.O_RDONLY)
        os.fsync(parent)
        os.close(parent)

    def _initdb(self, fd: int, new: Path, account: SystemUser, programs: Binaries) -> None:
        command: list[str | Path] = [
            programs.folder / "initdb",
            "-D",
            self._reach(fd, new, account),
            "--username=postgres",
        ]
        locale = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        access = ["--auth-local=trust", "--auth-host=reject"]
        # Errors of statements carry personal data, and the service reports them itself: the log tells of the server.
        logged = ["-c", "log_min_messages=log", "-c", "log_checkpoints=off"]
        sync = [] if self.durable else ["--no-sync"]
        status, written = account.run(*command, *locale, *access, *logged, *sync, limit=START, fds=(fd,))
        if status:
            lines = [line for line in written.splitlines() if re.search("error:|(ERROR|FATAL|PANIC): ", line)]
            raise BundledPostgresError(
                f"initdb could not make the database in {self.home}: {' '.join(lines) or written}"
            )

    def _reach(self, fd: int, path: Path, account: SystemUser) -> str:
        """A name under which the account reaches an open folder, even below parents that are closed to it."""
        for name in (str(path), f"/proc/self/fd/{fd}"):  # a magic link asks no permission of the parents
            if not account.switch or account.may("-w", name, (fd,)):
                return name
        raise BundledPostgresError(
            f"PostgreSQL runs as {account.name}, who cannot reach {path}: "
            "move the data folder, open its parents (chmod o+x), or do not run as root."
        )

    def _spawn(self, fd: int, account: SystemUser, programs: Binaries, socket_dir: Path) -> int:
        """Start the postmaster in a session of its own, away from Ctrl-C; how much its log held before."""
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_name("postgres.log.1"))
        quoted = str(socket_dir).replace('"', '""')
        settings = {"unix_socket_directories": f'"{quoted}"', "unix_socket_permissions": "0700", "port": str(PORT)}
        settings |= {"listen_addresses": "", "logging_collector": "off", "log_destination": "stderr"}
        settings |= {"lc_messages": "C"}  # `unix_socket.py` reads the texts of some errors
        if not self.durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        command: list[str | Path] = [programs.folder / "postgres", "-D", self._reach(fd, self.home, account)]
        command += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        log = open_own(self.log)
        try:
            written = os.lseek(log, 0, os.SEEK_END)
            options = account.options | {"stdout": log, "stderr": log, "pass_fds": (fd,)}
            process = subprocess.Popen(command, **options)  # noqa: S603  no shell
        finally:
            os.close(log)
        process.returncode = 0  # disowned: it may outlive us, which Popen would complain of
        self._child = process.pid
        return written

    def _reap(self) -> bool:
        """Once none of its processes lives: leave no zombie where it was our child; whether a signal had ended it."""
        child, self._child = self._child, None
        deadline = time.monotonic() + 1
        with contextlib.suppress(ChildProcessError):
            while child is not None and time.monotonic() < deadline:
                pid, status = os.waitpid(child, os.WNOHANG)
                if pid:
                    return os.WIFSIGNALED(status)
                time.sleep(0.001)
        return False

    def _create_database(self, socket_dir: Path) -> None:
        there = "select exists (select from pg_roles where rolname = '{0}'), "
        there += "exists (select from pg_database where datname = '{0}')"
        try:
            role, database = ask(socket_dir, there.format(NAME))
            if role == "f":
                ask(socket_dir, f"create role {NAME} login createdb", START)
            if database == "f":
                ask(socket_dir, f"create database {NAME} owner {NAME}", START)
        except RefusedError as error:
            raise BundledPostgresError(
                f"PostgreSQL on {self.home} has no database {NAME}: {error}. See {self.log}."
            ) from error
