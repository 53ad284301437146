"""How many connections to the database there are, and how they divide among the workers."""

from collections.abc import Mapping
from typing import Any

from server.settings import values
from server.settings.faults import SettingFaults

OF_A_WORKER = 14  # unless DATABASE_CONNECTIONS says otherwise
OF_ALL_WORKERS = 80  # unless it does: PostgreSQL's default limit is 100
OF_ALL_WORKERS_BUNDLED = 160  # the same for the bundled PostgreSQL, which takes 200 (server/postgres/server.py)
LEAST = 2  # of a worker: one for transactions, one for batches
DESCRIPTION = (
    f"connections to the database, divided among the workers; 0: {OF_A_WORKER} for each, {OF_ALL_WORKERS} at most"
    f" ({OF_ALL_WORKERS_BUNDLED} to the bundled one)"
)


def connections(value: str) -> int:
    """A number of connections; 0: as many as usual."""
    if value == "1":
        raise ValueError(f"is 0, or {LEAST} or more")
    return values.whole(0, 10_000)(value)


def check_connections(given: Mapping[str, Any], faults: SettingFaults) -> None:
    """Add a fault when a worker in `given` has fewer connections than it needs."""
    least = LEAST * given.get("workers", 1)
    if 0 < given.get("database_connections", 0) < least:
        faults.add(f"DATABASE_CONNECTIONS is {least} or more with this number of WORKERS: {LEAST} for each")


def of_a_worker(database_connections: int, workers: int) -> int:
    """How many connections each worker may have."""
    if database_connections:
        return database_connections // workers
    return min(OF_A_WORKER, OF_ALL_WORKERS // workers)


def to_bundled(database_connections: int, workers: int) -> int:
    """How many connections all workers may have to the bundled PostgreSQL together."""
    return database_connections or min(OF_A_WORKER * workers, OF_ALL_WORKERS_BUNDLED)
