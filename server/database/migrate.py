"""The schema is what `migrations/` says, applied in order, once, by one process at a time."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import yoyo

from server.errors import PostgresTooOld
from server.resources import resource, statements
from server.settings.values import MIN_POSTGRES

log = logging.getLogger(__name__)

LOCK = 5_142_015  # pg_advisory_lock of whoever migrates
LOCK_SECONDS = 60


def _backend(url: str) -> Any:
    return yoyo.get_backend("postgresql+psycopg://" + url.split("://", 1)[1])


def _all() -> Any:
    return yoyo.read_migrations(str(resource("migrations")))


@contextlib.contextmanager
def _alone(url: str) -> "Iterator[psycopg.Connection[Any]]":
    """Hold the migration lock: the database drops it when its holder dies, as yoyo's own lock row is not."""
    with psycopg.connect(url, autocommit=True, connect_timeout=5) as connection:
        version = connection.info.server_version // 10_000
        if version < MIN_POSTGRES:
            raise PostgresTooOld(version)
        connection.execute("select set_config('lock_timeout', %s, false)", [f"{LOCK_SECONDS}s"])
        connection.execute("select pg_advisory_lock(%s)", [LOCK])
        yield connection


class DuplicateAddresses(Exception):
    """UNIQUE_EMAIL is on, and accounts share addresses already."""


def migrate(url: str, *, unique_email: bool = True) -> list[str]:
    """Bring the schema of the database at `url` up to date; the names of the migrations that were applied.

    Raises psycopg.Error when the database refuses or cannot be reached, PostgresTooOld, and DuplicateAddresses when
    `unique_email` is asked of accounts that share addresses.
    """
    with _alone(url) as connection:
        backend = _backend(url)
        try:
            backend.break_lock()  # left by a process that was killed; whoever lives holds the advisory lock
            with backend.lock():
                wanted = backend.to_apply(_all())
                backend.apply_migrations(wanted)
            _keep_emails(connection, unique=unique_email)
            return [migration.id for migration in wanted]
        finally:
            backend.connection.close()


def _keep_emails(connection: "psycopg.Connection[Any]", *, unique: bool) -> None:
    name = "schema/make_emails_unique" if unique else "schema/let_emails_repeat"
    try:
        connection.execute(statements()[name])
    except psycopg.errors.UniqueViolation as failure:
        raise DuplicateAddresses from failure


def roll_back(url: str) -> None:
    """Undo every migration, the newest first. For tests and for leaving."""
    with _alone(url):
        backend = _backend(url)
        try:
            backend.rollback_migrations(backend.to_rollback(_all()))
        finally:
            backend.connection.close()


def names() -> list[str]:
    """The names of all migrations, in order."""
    return sorted(Path(file.name).stem for file in resource("migrations").iterdir() if _is_migration(file.name))


def _is_migration(name: str) -> bool:
    return name.endswith(".sql") and not name.endswith(".rollback.sql")
