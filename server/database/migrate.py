"""Applies the migrations of `migrations/`: in order, each once, by one process at a time."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
import yoyo

from server.database.version import check_encoding, check_version
from server.resources import resource, statements
from server.settings.database_url import DatabaseUrl

log = logging.getLogger(__name__)

ADVISORY_LOCK_ID = 5_142_015  # held by the process that migrates
LOCK_SECONDS = 60  # longest wait for it


def connect_yoyo(url: DatabaseUrl) -> Any:
    """A connection of yoyo, its `backend`; the caller closes `connection`. Raises psycopg.Error."""
    # yoyo gives every parameter of the query to psycopg as it is.
    backend = yoyo.get_backend("postgresql+psycopg:///?" + urlencode(url.for_libpq()))
    backend.connection.prepare_threshold = None
    return backend


def _migrations() -> Any:
    return yoyo.read_migrations(str(resource("migrations")))


@contextlib.contextmanager
def _connected(url: DatabaseUrl) -> "Iterator[psycopg.Connection[Any]]":
    with psycopg.connect(**url.for_libpq(), prepare_threshold=None) as connection:
        check_version(connection.info.server_version // 10_000)
        check_encoding(connection.info.parameter_status("server_encoding"))
        yield connection


def _take_migration_lock(connection: "psycopg.Connection[Any]") -> None:
    """Take the migration lock: a lock of the transaction that `connection` is in from now on.

    PostgreSQL releases it when the process ends; yoyo's own lock, a row, would stay. A lock of the session would stay
    at a pooler, whose sessions do not end with a client.
    """
    _bound_waits(connection)
    connection.execute("select pg_advisory_xact_lock(%s)", [ADVISORY_LOCK_ID])


def _bound_waits(connection: "psycopg.Connection[Any]") -> None:
    """Let no statement of the transaction that begins wait for a lock without end. It is idle while yoyo works."""
    for name, value in {"lock_timeout": f"{LOCK_SECONDS}s", "idle_in_transaction_session_timeout": "0"}.items():
        connection.execute("select set_config(%s, %s, true)", [name, value])


def wait_for_migrations(url: str) -> None:
    """Wait, for LOCK_SECONDS at most, until no process migrates the database. Raises psycopg.Error."""
    with _connected(DatabaseUrl.read(url)) as connection:
        _take_migration_lock(connection)


class DuplicateAddresses(Exception):
    """UNIQUE_EMAIL is on, but some accounts have the same address. The text has their ids: "3, 8; 12, 40"."""


class DuplicateLogins(Exception):
    """LOGIN_FIELD is either, but some accounts have the username or address of another. The text has their ids."""


class MayNotCreate(Exception):
    """The role that migrates may not create objects. The text is the statement that allows it."""


class OnlyReads(Exception):
    """The schema is not up to date, and the database can only be read."""


class MayNotUse(Exception):
    """The role that serves may not use the tables. The text is the statements that allow it."""


def migrate(url: str, *, unique_email: bool = True, unique_logins: bool = False) -> list[str]:
    """Bring the schema of the database at `url` up to date. Returns the names of the migrations that were applied.

    Looks first, and writes and locks nothing if the schema is up to date: a database may only read at the moment.
    Raises psycopg.Error when the database refuses a statement or cannot be reached, PostgresTooOld, WrongEncoding,
    OnlyReads, MayNotCreate when the role lacks a privilege, DuplicateAddresses when `unique_email` is true and some
    accounts have the same address, and DuplicateLogins when `unique_logins` is true and a username is another
    account's address.
    """
    read = DatabaseUrl.read(url)
    with _connected(read) as connection:
        if _is_up_to_date(connection, unique_email=unique_email, unique_logins=unique_logins):
            return []
        return _migrate(read, connection, unique_email=unique_email, unique_logins=unique_logins)


def _is_up_to_date(connection: "psycopg.Connection[Any]", *, unique_email: bool, unique_logins: bool) -> bool:
    """Raises OnlyReads when it is not, and cannot be changed."""
    _bound_waits(connection)
    row = connection.execute(statements()["schema/by_settings"]).fetchone()
    assert row is not None
    *found, is_read_only = row
    try:
        (applied, _) = connection.execute(statements()["schema/state"]).fetchone() or ([], False)
    except (psycopg.errors.UndefinedTable, psycopg.errors.InsufficientPrivilege):
        applied = []  # the database is empty, or will say what this role may not do
    connection.rollback()  # a lock of what was read would keep yoyo, on its own connection, from its tables
    if found == [unique_email, not unique_email, unique_logins] and {*names()} <= {*applied}:
        return True
    if is_read_only:
        raise OnlyReads
    return False


def _migrate(
    url: DatabaseUrl, connection: "psycopg.Connection[Any]", *, unique_email: bool, unique_logins: bool
) -> list[str]:
    _take_migration_lock(connection)
    with _report_privilege(connection):
        backend = connect_yoyo(url)
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
        with connection.transaction():  # a savepoint: the statement below runs after a failed one
            yield
    # yoyo ignores that it could not make its tables: they are missing then.
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.UndefinedTable):
        row = connection.execute(statements()["schema/missing_grant"]).fetchone()
        if row is None:
            raise
        raise MayNotCreate(row[0]) from None


def _set_email_index(connection: "psycopg.Connection[Any]", *, unique: bool) -> None:
    # In the transaction that holds the lock. yoyo's have committed: they wait for no lock of this one.
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


def check(url: str) -> list[str]:
    """The names of the migrations that the database at `url` lacks. Changes nothing.

    Raises psycopg.Error when the database cannot be reached, MayNotUse when the role lacks a privilege.
    """
    with psycopg.connect(**DatabaseUrl.read(url).for_libpq(), prepare_threshold=None) as connection:
        if row := connection.execute(statements()["schema/missing_rights"]).fetchone():
            raise MayNotUse(row[0])
        try:
            (applied, _) = connection.execute(statements()["schema/state"]).fetchone() or ([], False)
        except psycopg.errors.UndefinedTable:
            applied = []
        return [name for name in names() if name not in applied]


def roll_back(url: str) -> None:
    """Undo every migration, the newest first. This deletes all data."""
    read = DatabaseUrl.read(url)
    with _connected(read) as connection:
        _take_migration_lock(connection)
        backend = connect_yoyo(read)
        try:
            backend.rollback_migrations(backend.to_rollback(_migrations()))
        finally:
            backend.connection.close()


def names() -> list[str]:
    """The names of all migrations, in order."""
    return sorted(Path(file.name).stem for file in resource("migrations").iterdir() if _is_migration(file.name))


def _is_migration(name: str) -> bool:
    return name.endswith(".sql") and not name.endswith(".rollback.sql")
