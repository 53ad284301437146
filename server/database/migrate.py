"""Applies the migrations of `migrations/`: in order, each once, by one process at a time."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import yoyo
from yoyo import default_migration_table
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import parse_uri

from server.database.version import check_version
from server.resources import resource, statements
from server.settings.database_url import for_psycopg

log = logging.getLogger(__name__)

CONNECT_SECONDS = 5  # unless the URL has connect_timeout
ADVISORY_LOCK_ID = 5_142_015  # held by the process that migrates
LOCK_SECONDS = 60  # longest wait for it


def _backend(url: str) -> Any:
    """Yoyo's backend for the database at `url`; yoyo itself would read the URL otherwise than libpq does."""

    class Backend(PostgresqlPsycopgBackend):  # type: ignore[misc]
        def connect(self, dburi: object) -> "psycopg.Connection[Any]":
            return psycopg.connect(**for_psycopg(url), autocommit=True)  # type: ignore[arg-type]

    backend = Backend(parse_uri("postgresql+psycopg:///"), default_migration_table)
    backend.init_database()
    return backend


def _migrations() -> Any:
    return yoyo.read_migrations(str(resource("migrations")))


@contextlib.contextmanager
def _migration_lock(url: str) -> "Iterator[psycopg.Connection[Any]]":
    """Hold the migration lock. PostgreSQL releases it when the process ends; yoyo's own lock, a row, would stay."""
    address: dict[str, Any] = {"connect_timeout": CONNECT_SECONDS} | for_psycopg(url)
    with psycopg.connect(**address, autocommit=True) as connection:
        check_version(connection.info.server_version // 10_000)
        connection.execute("select set_config('lock_timeout', %s, false)", [f"{LOCK_SECONDS}s"])
        connection.execute("select pg_advisory_lock(%s)", [ADVISORY_LOCK_ID])
        yield connection


class DuplicateAddresses(Exception):
    """UNIQUE_EMAIL is on, but some accounts have the same address. The text has their ids: "3, 8; 12, 40"."""


class DuplicateLogins(Exception):
    """LOGIN_FIELD is either, but some accounts have the username or address of another. The text has their ids."""


class MayNotCreate(Exception):
    """The role that migrates may not create objects. The text is the statement that allows it."""


def migrate(url: str, *, unique_email: bool = True, unique_logins: bool = False) -> list[str]:
    """Bring the schema of the database at `url` up to date. Returns the names of the migrations that were applied.

    Raises psycopg.Error when the database refuses a statement or cannot be reached, PostgresTooOld,
    MayNotCreate when the role lacks a privilege, DuplicateAddresses when `unique_email` is true and some accounts have
    the same address, and DuplicateLogins when `unique_logins` is true and a username is another account's address.
    """
    with _migration_lock(url) as connection, _report_privilege(connection):
        backend = _backend(url)
        try:
            backend.break_lock()  # of a killed process: a live one would hold the advisory lock
            with backend.lock():
                missing = backend.to_apply(_migrations())
                with _report_duplicates():
                    backend.apply_migrations(missing)
            _set_email_index(connection, unique=unique_email)
            _set_sign_in_keys(connection, unique=unique_logins)
            return [migration.id for migration in missing]
        finally:
            backend.connection.close()


@contextlib.contextmanager
def _report_privilege(connection: "psycopg.Connection[Any]") -> Iterator[None]:
    """Raises MayNotCreate when the role has no CREATE on its schema: since PostgreSQL 15 only the owner has it."""
    try:
        yield
    # yoyo ignores that it could not make its tables: they are missing then.
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedTable):
        row = connection.execute(statements()["schema/missing_grant"]).fetchone()
        if row is None:
            raise
        raise MayNotCreate(row[0]) from None


def _set_email_index(connection: "psycopg.Connection[Any]", *, unique: bool) -> None:
    name = "schema/make_emails_unique" if unique else "schema/let_emails_repeat"
    with _report_duplicates():
        connection.execute(statements()[name])


def _set_sign_in_keys(connection: "psycopg.Connection[Any]", *, unique: bool) -> None:
    name = "schema/enforce_sign_in_keys" if unique else "schema/drop_sign_in_keys"
    try:
        connection.execute(statements()[name])
    except psycopg.errors.UniqueViolation as failure:
        raise DuplicateLogins(failure.diag.message_detail) from failure


@contextlib.contextmanager
def _report_duplicates() -> Iterator[None]:
    try:
        yield
    except psycopg.errors.UniqueViolation as failure:
        raise DuplicateAddresses(failure.diag.message_detail) from failure


def roll_back(url: str) -> None:
    """Undo every migration, the newest first. This deletes all data."""
    with _migration_lock(url):
        backend = _backend(url)
        try:
            backend.rollback_migrations(backend.to_rollback(_migrations()))
        finally:
            backend.connection.close()


def names() -> list[str]:
    """The names of all migrations, in order."""
    return sorted(Path(file.name).stem for file in resource("migrations").iterdir() if _is_migration(file.name))


def _is_migration(name: str) -> bool:
    return name.endswith(".sql") and not name.endswith(".rollback.sql")
