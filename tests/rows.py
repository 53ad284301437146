"""Rows of the test database, read and changed past the service."""

from typing import Any, TypeAlias

import psycopg

Connection: TypeAlias = "psycopg.Connection[dict[str, Any]]"
"""A connection to the test database, past the service; rows are dictionaries."""


def only_row(database: Connection, query: str, *arguments: Any) -> dict[str, Any]:
    """The one row that `query` finds."""
    (row,) = database.execute(query, arguments).fetchall()
    return row


def count(database: Connection, table: str) -> int:
    """How many rows `table` has."""
    return len(database.execute(f"select from {table}").fetchall())
