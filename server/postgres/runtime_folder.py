"""The runtime folder: the server's socket, and a copy of the programs if its user cannot run the installed ones."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from server.postgres.binaries import Binaries
from server.postgres.errors import BundledPostgresError
from server.postgres.system_user import SystemUser
from server.postgres.unix_socket import socket_path

SOCKET_PATH_MAX_BYTES = 103  # sun_path without its NUL: 107 on Linux, 103 on macOS


def make_runtime(
    last: Path | None, user: SystemUser, binaries: Binaries, note: Callable[[Path], None]
) -> tuple[Path, Binaries]:
    """Make a runtime folder with an empty folder for the socket; return it, and programs that `user` can run.

    `last` is used again if possible, so that older URLs still reach the server. `note` is called with the folder before
    it exists: if this process is killed, the next start knows what to remove. Raises BundledPostgresError when no
    folder is usable.
    """
    # Other users write to /tmp too: names are random and owners are checked.
    parents = dict.fromkeys([tempfile.gettempdir(), "/tmp", "/var/tmp"])  # noqa: S108
    fresh = [Path(parent).resolve() / f"frontdesk-{os.urandom(4).hex()}" for parent in parents]
    why = f"the user {user.name} cannot reach them"
    for folder in [last, *fresh] if last else fresh:
        if not _fits(folder) or (folder == last and not remove_runtime(folder, user)):
            continue
        note(folder)
        try:
            if usable := _fill(folder, user, binaries):
                return folder, usable
        except OSError as error:
            why = str(error)
        remove_runtime(folder, user)
    tried = ", ".join(parents)
    rights = ", and let root become that user (CAP_SETUID, CAP_SETGID, CAP_CHOWN)" if user.switch else ""
    raise BundledPostgresError(
        f"No folder for PostgreSQL's socket and programs in {tried} ({why}): set TMPDIR to one{rights}."
    )


def _fits(folder: Path) -> bool:
    path = os.fsencode(socket_path(folder / "socket"))
    return len(path) <= SOCKET_PATH_MAX_BYTES and b"," not in path  # libpq splits its hosts at a comma


def _fill(folder: Path, user: SystemUser, binaries: Binaries) -> Binaries | None:
    folder.mkdir(mode=0o700)
    folder.chmod(0o711 if user.switch else 0o700)
    if not user.may("-w", user.make_folder(folder / "socket")):
        return None
    if binaries.run_for(user):
        return binaries
    copied = binaries.copied_to(folder / "programs") if binaries.bundled else binaries
    return copied if copied.run_for(user) else None


def is_ours(folder: Path, user: SystemUser) -> bool:
    """Return whether a runtime folder exists and is ours. Another user may have made one with the same name."""
    with contextlib.suppress(OSError):
        return folder.lstat().st_uid in {os.geteuid(), user.uid}
    return False


def remove_runtime(folder: Path, user: SystemUser) -> bool:
    """Remove a runtime folder if it is ours; return whether its name is free now."""
    if is_ours(folder, user):
        shutil.rmtree(folder, ignore_errors=True)
    return not os.path.lexists(folder)
