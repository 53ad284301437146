"""Races made on purpose: a test holds a lock in the database until a request of the service waits for it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeAlias

from tests.rows import Connection

Race: TypeAlias = Callable[[str, Coroutine[Any, Any, tuple[int, Any]]], Awaitable[tuple[int, Any]]]
"""Runs a statement in a transaction, sends a request that the statement blocks, commits, and returns the answer."""


async def until_blocked(work: "asyncio.Future[Any]", database: Connection) -> None:
    """Wait until `work` waits for a lock in the database, or has ended without waiting."""
    async with asyncio.timeout(10):
        while not work.done() and not lock_waits(database):
            await asyncio.sleep(0.001)


def lock_waits(database: Connection) -> int:
    """How many connections to this database wait for a lock."""
    waiting = "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    return len(database.execute(waiting).fetchall())
