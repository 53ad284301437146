"""Reads that may lag: an endpoint that says so here may get them from a replica (REPLICA_URL).

Everything else runs on the primary: what tells who the caller is, what a caller sees of herself, and what decides a
write. So an endpoint that says nothing is right, and one that says too much shows what was true some seconds ago.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiohttp import web

from server.database.database import Database
from server.telemetry.metrics import LAGGING_READS
from server.web.app_keys import DB, REPLICA
from server.web.guards import me

Found = TypeVar("Found")


async def read_list(request: web.Request, read: Callable[[Database], Awaitable[Found]]) -> Found:
    """The result of `read`, a list that may be MAX_LAG_SECONDS old.

    For a caller who has changed something lately it is that of the primary: she sees her own changes.
    """
    replica = request.app.get(REPLICA)
    if replica is None:
        return await read(request.app[DB])
    if not replica.is_usable or await replica.has_changed_lately(me(request).id):
        return await _on_primary(request, read)
    return await replica.read(read)


async def read_of_others(
    request: web.Request, read: Callable[[Database], Awaitable[Found | None]], owner: Callable[[Found], int]
) -> Found | None:
    """The row that `read` finds; it may be MAX_LAG_SECONDS old if it is of another account than the caller's.

    Staff get the row of the primary: they may have changed it. So does every caller when none is found: it may be new.
    """
    replica = request.app.get(REPLICA)
    if replica is None:
        return await read(request.app[DB])
    found = await replica.read(read) if replica.is_usable and not me(request).is_staff else None
    if found is None or owner(found) == me(request).id:
        return await _on_primary(request, read)
    return found


async def _on_primary(request: web.Request, read: Callable[[Database], Awaitable[Found]]) -> Found:
    LAGGING_READS.add("primary")
    return await read(request.app[DB])
