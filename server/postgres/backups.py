"""Backups of the bundled PostgreSQL while it serves: a file of pg_dump, and a database made from such a file."""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from server.postgres.backup_digest import append_digest, check_digest
from server.postgres.bundled import BundledPostgres
from server.postgres.client_programs import find_client_program, run_client_program
from server.postgres.errors import BundledPostgresError, ProgramCrashed
from server.postgres.file_locks import open_own, take

LOCK_WAIT_MS = 60_000  # longest wait of pg_dump for a table that a migration has locked
FIRST_BYTES = b"PGDMP"  # of a file of pg_dump --format=custom


def write_backup(server: BundledPostgres, file: Path) -> int:
    """Write the database to the new file `file`, which only its owner can read: its size in bytes.

    The file is there complete or not at all. Raises BundledPostgresError, also when the file exists.
    """
    pg_dump, pg_restore = (find_client_program(name, server.major) for name in ("pg_dump", "pg_restore"))
    partial = file.parent / f".{file.name}.{os.getpid()}"
    try:
        if file.exists():
            raise BundledPostgresError(f"{file} exists: a backup never replaces a file.")
        fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            # By its name, not as standard output: pg_restore would not notice that the end of such a file is missing.
            options = ["--format=custom", "--no-owner", f"--lock-wait-timeout={LOCK_WAIT_MS}", f"--file={partial}"]
            run_client_program([pg_dump, *options, f"--dbname={server.url()}"])
            append_digest(partial)
            os.fsync(fd)
            run_client_program([pg_restore, "--list", partial])
            size = partial.stat().st_size
            os.link(partial, file)  # unlike a rename, it never replaces a file that came meanwhile
        finally:
            os.close(fd)
            partial.unlink(missing_ok=True)
        _sync_folder(file.parent)
    except OSError as failure:
        raise BundledPostgresError(f"The backup cannot be written to {file}: {failure.strerror}.") from None
    return size


def check_backup(server: BundledPostgres, file: Path) -> bool:
    """Whether `file` has a digest, which is right. Raises BundledPostgresError when it is damaged or no backup."""
    try:
        mode = file.stat().st_mode  # not opened first: a pipe would be waited for
        if not stat.S_ISREG(mode):
            raise BundledPostgresError(f"{file} is {'a folder' if stat.S_ISDIR(mode) else 'no file'}.")
        with file.open("rb") as opened:
            if opened.read(len(FIRST_BYTES)) != FIRST_BYTES:
                raise BundledPostgresError(f"{file} is no backup of this service.")
            has_digest = check_digest(opened)
    except FileNotFoundError:
        raise BundledPostgresError(f"There is no file {file}.") from None
    except OSError as failure:
        raise BundledPostgresError(f"{file} cannot be read: {failure.strerror}.") from None
    pg_restore = find_client_program("pg_restore", server.major)
    try:
        run_client_program([pg_restore, "--list", file])
    except BundledPostgresError as failure:
        raise BundledPostgresError(f"{file} is damaged: {failure}") from None
    return has_digest


@contextlib.contextmanager
def restore_lock(server: BundledPostgres) -> Iterator[None]:
    """Be the only restore of this server. Raises BundledPostgresError when there is another."""
    # A file lock: unlike one in PostgreSQL it is kept when the server is started again.
    path = server.data_dir / "restore.lock"
    try:
        fd = open_own(path)
    except OSError as failure:
        raise BundledPostgresError(f"{path} cannot be opened: {failure.strerror}.") from None
    try:
        if not take(fd):
            raise BundledPostgresError("Another restore is under way.")
        yield
    finally:
        os.close(fd)


def read_backup(server: BundledPostgres, file: Path, database: str) -> None:
    """Restore a backup into an empty database. Raises BundledPostgresError."""
    pg_restore = find_client_program("pg_restore", server.major)
    try:
        run_client_program([pg_restore, "--exit-on-error", "--no-owner", f"--dbname={server.url(database)}", file])
    except ProgramCrashed as failure:
        raise BundledPostgresError(f"{file} is damaged: {failure}") from None


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # some file systems cannot
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
