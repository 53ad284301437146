"""One data folder and its server. A file lock shows whether the server is alive, never a pid.

The lock is a flock on the folder itself. The postmaster and its processes inherit it, so it is held exactly as long as
one of them runs. The caller of each method holds the start lock of `bundled.py`.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from server.postgres import data_folder
from server.postgres.binaries import Binaries, find_binaries
from server.postgres.errors import BundledPostgresError
from server.postgres.file_locks import POLL_SECONDS, Record, open_own, take, take_within
from server.postgres.runtime_folder import is_ours, make_runtime, remove_runtime
from server.postgres.system_user import SystemUser, system_user_for
from server.postgres.unix_socket import PING, PORT, RefusedError, ask, peer, reacts

START_SECONDS = 60  # recovery included
FAST_STOP_SECONDS = 20
REACTION_SECONDS = 2  # a server that says nothing for so long is frozen: its disk hangs, or it was stopped
FORCED_STOP_SECONDS = 5  # for the immediate shutdown, and again for the kill
REAP_SECONDS = 1
BRING_UP_ATTEMPTS = 5
LOG_MAX_BYTES = 5_000_000
LOG_TAIL_BYTES = 1500
MAX_CONNECTIONS = 200  # of 32 workers 5 each, and of commands, backups and restores
NAME = "frontdesk"  # the role and its database


class PostgresServer:
    """The server on `data_dir/postgres`."""

    def __init__(self, data_dir: Path, *, durable: bool, say: Callable[[str], None]) -> None:
        self.data_dir = data_dir
        self.folder = data_dir / "postgres"
        self.log = data_dir / "postgres.log"
        self.durable = durable
        self.say = say
        self._child: int | None = None

    def bring_up(self, record: Record, *, waits: bool = True) -> bool:
        """Start the server if it does not run; return whether it was started. Raises BundledPostgresError, OSError.

        `waits`: for a server that runs and does not react. Otherwise that is an error at once.
        """
        if not waits and self._is_frozen(record):
            raise BundledPostgresError(f"PostgreSQL on {self.folder} runs, but does not react.")
        started, why = False, ""
        for _attempt in range(BRING_UP_ATTEMPTS):  # the server may be killed between two steps
            try:
                if not self._runs(record):
                    started = True
                    self._start(record)
                self._create_database(record.socket_dir)
                return started
            except (ConnectionError, TimeoutError) as error:
                why = str(error)
        raise BundledPostgresError(f"PostgreSQL on {self.folder} starts but cannot be used ({why}): see {self.log}.")

    def stop(self, record: Record) -> None:
        """Stop the server if it runs, and remove its runtime folder. Raises BundledPostgresError, OSError."""
        fd = self._open() if self._exists else None
        try:
            if fd is not None and not take(fd):
                record.write(record.runtime, stopping=True)
                self._end_processes(fd, record.socket_dir)
            self._reap()
        finally:
            if fd is not None:
                os.close(fd)
        if record.runtime is not None:
            remove_runtime(record.runtime, self._user())
        record.write(None)

    def _is_frozen(self, record: Record) -> bool:
        if not self._exists or record.runtime is None or not is_ours(record.runtime, self._user()):
            return False
        fd = self._open()
        try:
            return not take(fd) and not reacts(record.socket_dir, REACTION_SECONDS)
        finally:
            os.close(fd)

    @property
    def _exists(self) -> bool:
        return (self.folder / "PG_VERSION").exists()

    def _user(self) -> SystemUser:
        return system_user_for(self.folder if self._exists else None, self.data_dir)

    def _open(self) -> int:
        return os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def _runs(self, record: Record) -> bool:
        if not self._exists:
            return False
        if record.runtime is not None and not is_ours(record.runtime, self._user()):
            record.runtime = None
        fd = self._open()
        try:
            if record.stopping and not take(fd):  # the process that stopped it was killed before it was done
                self._end_processes(fd, record.socket_dir)
            return self._responds(fd, record.socket_dir)
        finally:
            os.close(fd)

    def _responds(self, fd: int, socket_dir: Path) -> bool:
        """Wait until the server responds (True), or until none of its processes runs and we have the lock (False)."""
        deadline = time.monotonic() + START_SECONDS
        while not take(fd):
            try:
                ask(socket_dir, PING)
                return True
            except OSError as error:
                why, is_final = str(error), time.monotonic() > deadline
            except RefusedError as error:
                why, is_final = str(error), True
            if is_final:
                raise BundledPostgresError(
                    f"PostgreSQL on {self.folder} runs but cannot be used from here ({why}): see {self.log}, "
                    "and if another machine or container started it, end it there."
                )
            time.sleep(POLL_SECONDS)
        return False

    def _end_processes(self, fd: int, socket_dir: Path) -> None:
        for number, limit in {signal.SIGINT: FAST_STOP_SECONDS, signal.SIGQUIT: FORCED_STOP_SECONDS}.items():
            self._send(number, socket_dir)
            if take_within(fd, REACTION_SECONDS / 2):
                return
            if not reacts(socket_dir, REACTION_SECONDS):
                self.say(f"PostgreSQL on {self.folder} does not react, and is killed.")
                break
            if take_within(fd, limit):
                return
            self.say(f"PostgreSQL on {self.folder} did not stop within {limit} s of {number.name}.")
        self._send(signal.SIGKILL, socket_dir)
        if not take_within(fd, FORCED_STOP_SECONDS):
            raise BundledPostgresError(f"PostgreSQL on {self.folder} cannot be stopped: end its processes by hand.")

    def _send(self, number: signal.Signals, socket_dir: Path) -> None:
        """Send a signal to the postmaster; SIGKILL also to its processes, which could be frozen too."""
        postmaster = self._postmaster(socket_dir)
        if postmaster is None:
            return
        processes = [postmaster, *(_children(postmaster) if number == signal.SIGKILL else [])]
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)

    def _postmaster(self, socket_dir: Path) -> int | None:
        """Return the pid to send signals to: of the process that listens on the socket, as the kernel reports it.

        Otherwise that of the pid file, if it belongs to a postgres. Otherwise our child: in its first milliseconds it
        has neither a socket nor a pid file.
        """
        if pid := peer(socket_dir):
            return pid
        with contextlib.suppress(OSError, ValueError, IndexError):
            pid = int((self.folder / "postmaster.pid").read_text().splitlines()[0])
            if pid > 1 and self._is_postgres(pid):
                return pid
        return self._child

    def _is_postgres(self, pid: int) -> bool:
        process = Path(f"/proc/{pid}")
        if Path("/proc/self").exists():
            return process.stat().st_uid == self.folder.stat().st_uid and (process / "comm").read_text() == "postgres\n"
        command = ["/bin/ps", "-o", "comm=", "-p", str(pid)]
        return "postgres" in subprocess.run(command, capture_output=True, text=True, timeout=5, check=False).stdout  # noqa: S603

    def _start(self, record: Record) -> None:
        user = self._user()
        binaries = find_binaries(int((self.folder / "PG_VERSION").read_text()) if self._exists else None)
        if binaries.instead_of:
            self.say(
                f"The programs of PostgreSQL {binaries.version} in {binaries.folder} are used: {binaries.instead_of}."
            )
        runtime, binaries = make_runtime(record.runtime, user, binaries, record.write)
        if not self._exists:
            data_folder.create(self.folder, user, binaries, durable=self.durable, say=self.say)
        fd = self._open()
        try:
            if not take_within(fd, START_SECONDS):
                raise BundledPostgresError(f"Processes of an ended PostgreSQL still use {self.folder}: end them.")
            self._reap()
            self._remove_pid_file()
            log_start = self._spawn(fd, user, binaries, record.socket_dir)
        finally:
            os.close(fd)
        self.say(f"PostgreSQL {binaries.version} starts on {self.folder} as {user.name}, runtime folder {runtime}.")
        self._wait_started(record.socket_dir, log_start)

    def _remove_pid_file(self) -> None:
        """Remove the pid file of a dead server. Another program may have that pid now, and postgres would not start.

        Raises BundledPostgresError when the file is that of a server that was started by hand.
        """
        file = self.folder / "postmaster.pid"
        with contextlib.suppress(FileNotFoundError, ValueError):
            lines = file.read_text().splitlines() + [""] * 5
            if lines[4] and peer(Path(lines[4]), int(lines[3])) == int(lines[0]):
                raise BundledPostgresError(f"A PostgreSQL that was started by hand runs on {self.folder}: stop it.")
        file.unlink(missing_ok=True)

    def _spawn(self, fd: int, user: SystemUser, binaries: Binaries, socket_dir: Path) -> int:
        """Start the postmaster in a session of its own, which Ctrl-C does not reach; return where its log begins."""
        if self.log.exists() and self.log.stat().st_size > LOG_MAX_BYTES:
            self.log.replace(self.log.with_name("postgres.log.1"))
        command: list[str | Path] = [binaries.folder / "postgres", "-D", user.reachable_name(fd, self.folder)]
        command += [word for name, value in self._settings(socket_dir).items() for word in ("-c", f"{name}={value}")]
        log = open_own(self.log)
        try:
            log_start = os.lseek(log, 0, os.SEEK_END)
            options = user.options | {"stdout": log, "stderr": log, "pass_fds": (fd,)}
            process = subprocess.Popen(command, **options)  # noqa: S603  no shell
        finally:
            os.close(log)
        process.returncode = 0  # Popen would warn of a child that outlives this process
        self._child = process.pid
        return log_start

    def _settings(self, socket_dir: Path) -> dict[str, str]:
        quoted = str(socket_dir).replace('"', '""')
        settings = {"unix_socket_directories": f'"{quoted}"', "unix_socket_permissions": "0700", "port": str(PORT)}
        settings |= {"listen_addresses": "", "logging_collector": "off", "log_destination": "stderr"}
        settings |= {"max_connections": str(MAX_CONNECTIONS)}
        settings |= {"lc_messages": "C"}  # `unix_socket.py` reads the texts of some errors
        if not self.durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        return settings

    def _wait_started(self, socket_dir: Path, log_start: int) -> None:
        fd = self._open()
        try:
            if self._responds(fd, socket_dir):
                return
        finally:
            os.close(fd)
        if self._reap():
            raise ConnectionAbortedError("it was killed")
        with self.log.open("rb") as log:
            log.seek(log_start)
            tail = log.read()[-LOG_TAIL_BYTES:].decode(errors="replace").strip()
        raise BundledPostgresError(f"PostgreSQL did not start on {self.folder}. The end of {self.log}:\n{tail}")

    def _reap(self) -> bool:
        """Wait for our ended child, so that it does not stay a zombie; return whether a signal ended it.

        None of its processes may still run.
        """
        child, self._child = self._child, None
        deadline = time.monotonic() + REAP_SECONDS
        with contextlib.suppress(ChildProcessError):
            while child is not None and time.monotonic() < deadline:
                pid, status = os.waitpid(child, os.WNOHANG)
                if pid:
                    return os.WIFSIGNALED(status)
                time.sleep(0.001)
        return False

    def _create_database(self, socket_dir: Path) -> None:
        existing = "select exists (select from pg_roles where rolname = '{0}'), "
        existing += "exists (select from pg_database where datname = '{0}')"
        try:
            role, database = ask(socket_dir, existing.format(NAME))
            if role == "f":
                ask(socket_dir, f"create role {NAME} login createdb", START_SECONDS)
            if database == "f":
                ask(socket_dir, f"create database {NAME} owner {NAME}", START_SECONDS)
        except RefusedError as error:
            raise BundledPostgresError(
                f"PostgreSQL on {self.folder} has no database {NAME}: {error}. See {self.log}."
            ) from error


def _children(process: int) -> list[int]:
    """The processes that a process started; none where the system does not tell, as on macOS."""
    with contextlib.suppress(OSError):
        return [int(each) for each in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    return []
