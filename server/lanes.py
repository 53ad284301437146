"""The connections that sets travel on: a few, kept from set to set, and planned for any keys.

To take one from asyncpg's pool and give it back costs 50 µs of Python, as much as the statement itself. And left to
choose, PostgreSQL plans a statement by few keys anew each time, 150 µs for a plan that is always the same
(docs/decisions/coalescing.md).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg

PLACE_SECONDS = 5.0  # longest wait for a lane
SETTINGS = {"plan_cache_mode": "force_generic_plan"}

# The server's no to a row. Whatever else goes wrong, a lane is not used again: it may lead to a server that only reads.
_REFUSALS = (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError)


class Lanes:
    """At most `most` connections, made by `connect` as they are needed."""

    def __init__(self, connect: "Callable[[], Awaitable[asyncpg.Connection[asyncpg.Record]]]", most: int) -> None:
        self._connect = connect
        self._places = asyncio.Semaphore(most)
        self._all: set[asyncpg.Connection[asyncpg.Record]] = set()
        self._free: list[asyncpg.Connection[asyncpg.Record]] = []
        self._closed = False

    async def rows(self, sql: str, columns: Sequence[Any]) -> list[asyncpg.Record]:
        """Every row of a statement. Raises what asyncpg raises, and TimeoutError when no lane becomes free."""
        if self._closed:
            raise asyncpg.InterfaceError("the lanes are closed")
        if self._places.locked():
            async with asyncio.timeout(PLACE_SECONDS):
                await self._places.acquire()
        else:
            await self._places.acquire()
        try:
            return await self._ask(await self._lane(), sql, columns)
        finally:
            self._places.release()

    async def close(self) -> None:
        """Close every lane; whoever asks after that is told so."""
        self._closed = True
        for lane in [*self._all]:
            await lane.close()

    def terminate(self) -> None:
        """Close every lane without a word to the server."""
        self._closed = True
        for lane in [*self._all]:
            lane.terminate()

    async def _ask(
        self, lane: "asyncpg.Connection[asyncpg.Record]", sql: str, columns: Sequence[Any]
    ) -> list[asyncpg.Record]:
        try:
            rows: list[asyncpg.Record] = await lane.fetch(sql, *columns)
        except _REFUSALS:
            self._free.append(lane)
            raise
        except BaseException:
            self._all.discard(lane)
            lane.terminate()
            raise
        self._free.append(lane)
        return rows

    async def _lane(self) -> "asyncpg.Connection[asyncpg.Record]":
        while self._free:
            lane = self._free.pop()
            if not lane.is_closed():
                return lane
            self._all.discard(lane)
        lane = await self._connect()
        self._all.add(lane)
        if self._closed:  # meanwhile
            lane.terminate()
        return lane
