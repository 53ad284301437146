"""The connections that sets travel on: a few, kept from set to set, and planned for any keys.

To take one from asyncpg's pool and give it back costs 50 µs of Python, as much as the statement itself. And left to
choose, PostgreSQL plans a statement by few keys anew each time, 150 µs for a plan that is always the same
(docs/decisions/coalescing.md).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg

if TYPE_CHECKING:
    Lane: TypeAlias = asyncpg.Connection[asyncpg.Record]

LIFE_SECONDS = 300.0  # of a lane: who forgot it on the way, or what its server became, shows no later
BATCH_SESSION = {"plan_cache_mode": "force_generic_plan"}

# The server's no to a row, on a sound connection.
_REFUSALS = (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError)


class BatchConnections:
    """At most `most` connections, made by `connect` as they are needed."""

    def __init__(self, connect: "Callable[[], Awaitable[Lane]]", most: int) -> None:
        self._connect = connect
        self._most = most
        self._in_use = 0
        self._made: dict[Lane, float] = {}  # each that is open, and the loop's time when it was made
        self._free: list[Lane] = []
        self._closed = False

    @property
    def are_all_in_use(self) -> bool:
        """Whether every lane is in use."""
        return self._in_use >= self._most

    async def rows(self, sql: str, columns: Sequence[Any]) -> list[asyncpg.Record]:
        """Every row of a statement, unless the lanes `are_all_in_use`. Raises what asyncpg raises."""
        if self._closed:
            raise asyncpg.InterfaceError("the lanes are closed")
        assert not self.are_all_in_use
        self._in_use += 1
        try:
            return await self._ask(await self._lane(), sql, columns)
        finally:
            self._in_use -= 1

    async def close(self) -> None:
        """Close every lane; whoever asks after that is told so."""
        self._closed = True
        await asyncio.gather(*(lane.close() for lane in self._made), return_exceptions=True)

    def terminate(self) -> None:
        """Close every lane without a word to the server."""
        self._closed = True
        for lane in [*self._made]:
            lane.terminate()

    async def _ask(self, lane: "Lane", sql: str, columns: Sequence[Any]) -> list[asyncpg.Record]:
        try:
            rows: list[asyncpg.Record] = await lane.fetch(sql, *columns)
        except _REFUSALS:
            self._free.append(lane)
            raise
        except BaseException:
            # What one of them met the others may meet next: a server that went away, or only reads by now.
            for each in (lane, *self._free):
                self._drop(each)
            self._free.clear()
            raise
        self._free.append(lane)
        return rows

    async def _lane(self) -> "Lane":
        now = asyncio.get_running_loop().time()
        while self._free:
            lane = self._free.pop()
            if not lane.is_closed() and now - self._made[lane] < LIFE_SECONDS:
                return lane
            self._drop(lane)
        lane = await self._connect()
        self._made[lane] = now
        if self._closed:  # meanwhile
            lane.terminate()
        return lane

    def _drop(self, lane: "Lane") -> None:
        del self._made[lane]
        lane.terminate()
