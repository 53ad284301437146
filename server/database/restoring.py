"""Puts a restored database in force while the service runs: one transaction renames both."""

import logging
import threading
import time
from collections.abc import Callable

import psycopg

from server.resources import statements

log = logging.getLogger(__name__)

RESTORING = "frontdesk_restoring"
REPLACED = "frontdesk_before_restore"
END_AGAIN_SECONDS = 0.1  # between two looks for connections that a serving process has opened meanwhile


def run(url: str, *names: str) -> None:
    """Run statements of `sql/restore/`, each by itself. Raises psycopg.Error."""
    with psycopg.connect(url, autocommit=True) as connection:
        for name in names:
            connection.execute(statements()[name])


def applied_migrations(url: str) -> list[str]:
    """The migrations that a restored database has; empty when it is no database of this service."""
    with psycopg.connect(url, autocommit=True) as connection:
        try:
            row = connection.execute(statements()["schema/state"]).fetchone()
            assert row is not None
            return list(row[0])
        except psycopg.errors.UndefinedTable:
            return []


def objects(url: str) -> set[str]:
    """The parts of the schema: tables, columns, indexes, constraints, triggers and functions. Raises psycopg.Error."""
    with psycopg.connect(url, autocommit=True) as connection:
        return {name for (name,) in connection.execute(statements()["restore/objects"]).fetchall()}


def put_in_force(url: str) -> None:
    """Let the restored database take the place of the one in force, which stays under the name REPLACED.

    `url` is that of a third database. The rename waits until no client is connected, so connections are ended until it
    is done; new ones wait for it, and then reach the restored database. Raises psycopg.Error.
    """
    run(url, "restore/drop_replaced")
    done = threading.Event()
    ender = threading.Thread(target=_end_connections, args=(url, done.is_set))
    ender.start()
    try:
        with psycopg.connect(url) as connection:
            connection.execute(statements()["restore/put_aside"])
            connection.execute(statements()["restore/put_in_force"])
    finally:
        done.set()
        ender.join()


def _end_connections(url: str, is_done: Callable[[], bool]) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        while not is_done():
            connection.execute(statements()["restore/end_connections"])
            time.sleep(END_AGAIN_SECONDS)
