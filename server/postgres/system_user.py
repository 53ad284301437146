"""The user of the operating system that runs the bundled PostgreSQL."""

import contextlib
import os
import pwd
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.postgres.errors import BundledPostgresError

RUN_SECONDS = 20


@dataclass(frozen=True)
class SystemUser:
    """The user that runs PostgreSQL; `switch` is true if this process runs as another user, which is root."""

    uid: int
    gid: int
    name: str
    switch: bool

    @property
    def options(self) -> dict[str, Any]:
        """The arguments with which `subprocess` becomes this user and has an almost empty environment."""
        # PGPORT, PGOPTIONS and the like would change the server. TZ: initdb would search through all time zones.
        kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH") if name in os.environ}
        env = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC", **kept}
        user = {"user": self.uid, "group": self.gid, "extra_groups": []} if self.switch else {}
        return {"cwd": "/", "env": env, "umask": 0o077, "stdin": subprocess.DEVNULL, "start_new_session": True, **user}

    def run(self, *command: str | Path, limit: int = RUN_SECONDS, fds: tuple[int, ...] = ()) -> tuple[int, str]:
        """Run a command for `limit` seconds at most; return its status and output.

        Raises BundledPostgresError when it takes longer, OSError when it cannot be started.
        """
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
                    raise BundledPostgresError(f"{command[0]} did not end within {limit} s and was killed.") from None
                raise
        return process.returncode, written

    def may(self, test: str, path: str | Path, fds: tuple[int, ...] = ()) -> bool:
        """Return whether `path` passes the shell's `test` (`-r`, `-w`, `-x`), tried as this user."""
        return self.run("/bin/sh", "-c", f'test {test} "$0"', path, fds=fds)[0] == 0

    def reachable_name(self, fd: int, path: Path) -> str:
        """Return a name under which this user reaches the open folder `fd`, which is at `path`.

        Raises BundledPostgresError when there is none.
        """
        for name in (str(path), f"/proc/self/fd/{fd}"):  # the second works below parents that are closed to the user
            if not self.switch or self.may("-w", name, (fd,)):
                return name
        raise BundledPostgresError(
            f"PostgreSQL runs as the user {self.name}, who cannot reach {path}: "
            "move the data folder, open its parents (chmod o+x), or do not run as root."
        )

    def make_folder(self, path: Path) -> Path:
        """Make the new folder `path`, which only this user can open."""
        path.mkdir(mode=0o700)
        # Not chmod by name: another user could have put a symbolic link there in the meantime.
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            os.fchmod(fd, 0o700)
            if self.switch:
                os.fchown(fd, self.uid, self.gid)
        finally:
            os.close(fd)
        return path


def system_user_for(cluster: Path | None, data_dir: Path) -> SystemUser:
    """Return the user that runs the server on the folder `cluster`; None if that folder is still to be made.

    It is the user of this process, unless that is root, which PostgreSQL refuses. Then it is the folder's owner; if
    root owns the data folder too, `postgres` or else `nobody`. Raises BundledPostgresError when there is no such user.
    """
    ours = os.geteuid()
    owner = (cluster or data_dir).stat().st_uid
    if cluster and (owner == 0 or ours not in {0, owner}):
        wanted = system_user_for(None, data_dir).name
        folder = data_dir if ours else cluster  # the other files belong to the user of this process
        raise BundledPostgresError(
            f"{cluster} belongs to the user {user_name(owner)}, and must belong to {wanted}: chown -R {wanted} {folder}"
            + (f", or run as {user_name(owner)}." if owner else ".")
        )
    if ours:
        return SystemUser(ours, os.getegid(), user_name(ours), switch=False)
    if owner:
        return SystemUser(owner, _group(owner, cluster or data_dir), user_name(owner), switch=True)
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return SystemUser(entry.pw_uid, entry.pw_gid, name, switch=True)
    raise BundledPostgresError(
        "PostgreSQL refuses to run as root, and there is no user postgres or nobody: add one of them."
    )


def foreign_owner(path: Path, data_dir: Path) -> str | None:
    """What to do when `path` in the data folder belongs to another user than this process; None if it does not.

    Of a path that this user cannot see, the nearest folder above decides.
    """
    ours = os.geteuid()
    for each in (path, *path.parents):
        if each.is_relative_to(data_dir):
            with contextlib.suppress(OSError):
                owner = each.stat().st_uid
                wanted = f"chown -R {user_name(ours)} {data_dir}, or run as {user_name(owner)}"
                return None if owner == ours else f"{each} belongs to the user {user_name(owner)}: {wanted}"
    return None


def user_name(uid: int) -> str:
    """The name of a user of the operating system, or the id of one without a name."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group(uid: int, folder: Path) -> int:
    try:
        return pwd.getpwuid(uid).pw_gid
    except KeyError:
        return folder.stat().st_gid
