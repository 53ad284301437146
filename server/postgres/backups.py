"""Backups of the bundled PostgreSQL while it serves: a file of pg_dump, and a database made from such a file."""

import contextlib
import os
from pathlib import Path

from server.postgres.bundled import BundledPostgres
from server.postgres.client_programs import find_client_program, run_client_program
from server.postgres.errors import BundledPostgresError

LOCK_WAIT_MS = 60_000  # longest wait of pg_dump for a table that a migration has locked


def write_backup(server: BundledPostgres, file: Path) -> int:
    """Write the database to the new file `file`, which only its owner can read: its size in bytes.

    The file is there complete or not at all. Raises BundledPostgresError, also when the file exists.
    """
    if file.exists():
        raise BundledPostgresError(f"{file} exists: a backup never replaces a file.")
    pg_dump, pg_restore = (find_client_program(name, server.major) for name in ("pg_dump", "pg_restore"))
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        fd = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            # By its name, not as standard output: pg_restore would not notice that the end of such a file is missing.
            options = ["--format=custom", "--no-owner", f"--lock-wait-timeout={LOCK_WAIT_MS}", f"--file={partial}"]
            run_client_program([pg_dump, *options, f"--dbname={server.url()}"])
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


def check_backup(server: BundledPostgres, file: Path) -> None:
    """Raises BundledPostgresError when `file` is not a file of pg_dump."""
    if not file.is_file():
        raise BundledPostgresError(f"There is no file {file}.")
    run_client_program([find_client_program("pg_restore", server.major), "--list", file])


def read_backup(server: BundledPostgres, file: Path, database: str) -> None:
    """Restore a backup into an empty database. Raises BundledPostgresError."""
    pg_restore = find_client_program("pg_restore", server.major)
    run_client_program([pg_restore, "--exit-on-error", "--no-owner", f"--dbname={server.url(database)}", file])


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # some file systems cannot
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
