"""Makes the folder of a new PostgreSQL with initdb, complete or not at all."""

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from server.postgres.binaries import Binaries
from server.postgres.errors import BundledPostgresError
from server.postgres.file_locks import take, take_within
from server.postgres.system_user import SystemUser

INITDB_SECONDS = 60


def create(folder: Path, user: SystemUser, binaries: Binaries, *, durable: bool, say: Callable[[str], None]) -> None:
    """Make the data folder of PostgreSQL at `folder`. `durable=False`: initdb does not wait for the disk.

    initdb writes to a folder beside it, which is renamed at the end: a kill leaves nothing incomplete.
    Raises BundledPostgresError, OSError.
    """
    if folder.exists() and any(folder.iterdir()):
        raise BundledPostgresError(f"{folder} is not a data folder of PostgreSQL: move its files away.")
    new = folder.with_name("postgres.new")
    if new.exists():
        _remove_unfinished(new)
    say(f"initdb makes a new PostgreSQL {binaries.version} in {folder}.")
    fd = os.open(user.make_folder(new), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        take(fd)
        _initdb(fd, new, user, binaries, durable=durable)
        new.rename(folder)
    finally:
        os.close(fd)
        shutil.rmtree(new, ignore_errors=True)
    parent = os.open(folder.parent, os.O_RDONLY)
    os.fsync(parent)
    os.close(parent)


def _remove_unfinished(new: Path) -> None:
    fd = os.open(new, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    free = take_within(fd, INITDB_SECONDS)  # the initdb of a killed process may still write there; it has the lock
    os.close(fd)
    if not free:
        raise BundledPostgresError(f"An initdb still writes to {new}: end it.")
    shutil.rmtree(new)


def _initdb(fd: int, new: Path, user: SystemUser, binaries: Binaries, *, durable: bool) -> None:
    command = [str(binaries.folder / "initdb"), "-D", user.reachable_name(fd, new), "--username=postgres"]
    locale = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
    access = ["--auth-local=trust", "--auth-host=reject"]
    # Errors of statements contain personal data, and the service logs them itself: this log is about the server only.
    logged = ["-c", "log_min_messages=log", "-c", "log_checkpoints=off"]
    sync = [] if durable else ["--no-sync"]
    status, written = user.run(*command, *locale, *access, *logged, *sync, limit=INITDB_SECONDS, fds=(fd,))
    if status:
        lines = [line for line in written.splitlines() if re.search("error:|(ERROR|FATAL|PANIC): ", line)]
        failure = " ".join(lines) or written
        raise BundledPostgresError(f"initdb could not make the database in {new.with_name('postgres')}: {failure}")
