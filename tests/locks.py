"""Wait until a statement of the service is blocked by a lock that a test holds in the database."""

import asyncio
from typing import Any

from tests.conftest import Connection


async def until_blocked(work: "asyncio.Future[Any]", database: Connection) -> None:
    """Wait until `work` waits for a lock in the database, or has ended without waiting."""
    async with asyncio.timeout(10):
        while not work.done() and not lock_waits(database):
            await asyncio.sleep(0.001)


def lock_waits(database: Connection) -> int:
    """How many connections to this database wait for a lock."""
    waiting = "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    return len(database.execute(waiting).fetchall())
