"""The connections that batches run on: a few, kept open, with one query plan for any number of keys.

Taking a connection from asyncpg's pool and returning it costs 50 µs of Python, as much as the statement itself. By
default PostgreSQL also plans a statement with few keys again each time: 150 µs for a plan that is always the same
(docs/decisions/batching.md).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]

CONNECTION_MAX_AGE_SECONDS = 300.0  # reconnect after that: finds dropped connections and failovers
BATCH_SESSION_SETTINGS = {"plan_cache_mode": "force_generic_plan"}

# PostgreSQL refused a row; the connection can be used again.
_REFUSED_ROW = (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError)


class BatchConnections:
    """At most `most` connections, opened by `connect` when they are needed."""

    def __init__(self, connect: "Callable[[], Awaitable[Connection]]", most: int) -> None:
        self._connect = connect
        self.most = most
        self.in_use = 0
        self._opened_at: dict[Connection, float] = {}  # every open connection, and the loop's time when it was opened
        self._free: list[Connection] = []
        self._closed = False

    @property
    def are_all_in_use(self) -> bool:
        """Whether `rows` would have no connection."""
        return self.in_use >= self.most

    @property
    def opened(self) -> int:
        """How many connections are open."""
        return len(self._opened_at)

    async def rows(self, sql: str, columns: Sequence[Any]) -> list[asyncpg.Record]:
        """Every row of a statement. Not to be called while `are_all_in_use`. Raises what asyncpg raises."""
        if self._closed:
            raise asyncpg.InterfaceError("the batch connections are closed")
        assert not self.are_all_in_use
        self.in_use += 1
        try:
            return await self._fetch(await self._acquire(), sql, columns)
        finally:
            self.in_use -= 1

    async def close(self) -> None:
        """Close every connection. `rows` then raises InterfaceError."""
        self._closed = True
        await asyncio.gather(*(connection.close() for connection in self._opened_at), return_exceptions=True)

    def terminate(self) -> None:
        """Close every connection at once, without a message to the server."""
        self._closed = True
        for connection in [*self._opened_at]:
            connection.terminate()

    async def _fetch(self, connection: "Connection", sql: str, columns: Sequence[Any]) -> list[asyncpg.Record]:
        try:
            rows: list[asyncpg.Record] = await connection.fetch(sql, *columns)
        except _REFUSED_ROW:
            self._free.append(connection)
            raise
        except BaseException:
            # The other connections may be affected too: the server stopped, or it is read-only now.
            for each in (connection, *self._free):
                self._drop(each)
            self._free.clear()
            raise
        self._free.append(connection)
        return rows

    async def _acquire(self) -> "Connection":
        now = asyncio.get_running_loop().time()
        while self._free:
            connection = self._free.pop()
            if not connection.is_closed() and now - self._opened_at[connection] < CONNECTION_MAX_AGE_SECONDS:
                return connection
            self._drop(connection)
        connection = await self._connect()
        self._opened_at[connection] = now
        if self._closed:  # while it connected: close() did not see this connection
            connection.terminate()
        return connection

    def _drop(self, connection: "Connection") -> None:
        del self._opened_at[connection]
        connection.terminate()
