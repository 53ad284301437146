"""The connections of a process: opened when they are needed, kept while they are usable, bounded in number.

Not asyncpg's pool. Taking a connection from it and returning it costs 50 µs of Python, as much as the statement itself.
And when PostgreSQL refuses a further connection, asyncpg's pool fails the caller, although another connection will be
free in a moment, and has the next caller try the refused one again (docs/decisions/pooler.md).
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import asyncpg

from server.database.connecting import Connection
from server.database.failures import NoFreeConnection, is_lost, is_refused, leaves_usable
from server.errors import Busy
from server.telemetry.instruments import Histogram

CONNECTION_MAX_AGE_SECONDS = 300.0  # reconnect after that: finds dropped connections and failovers
REFUSED_PAUSE_SECONDS = 2.0  # after PostgreSQL refused a further connection, until the next try
NONE_OPEN_PAUSE_SECONDS = 0.2  # the same when this process has no connection at all
CANCEL_SECONDS = 2.0  # for PostgreSQL to end the statement of a caller that is gone
MAX_WAITING_CALLERS = 20_000  # for a connection: then 503 at once is better than a response after the client gave up

Waiter: TypeAlias = "asyncio.Future[Connection | None]"
"""Gets a connection, or None: there may be room for a new one."""


class Connections:
    """At most `most` connections, opened by `connect` when they are needed. `waits` observes how long callers wait."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], most: int, waits: Histogram | None = None) -> None:
        self.spare: Connections | None = None  # used while PostgreSQL refuses even the first connection of these
        self._connect = connect
        self.most = most
        self._waits = waits
        self._opening = 0
        self._opened_at: dict[Connection, float] = {}  # every open connection, and the loop's time when it was opened
        self._free: list[Connection] = []
        self._waiters: deque[Waiter] = deque()
        self._refusal: Exception | None = None
        self._tries_again: asyncio.TimerHandle | None = None  # set after a refusal, until the next try
        self._cleanup: asyncio.TimerHandle | None = None
        self._endings: set[asyncio.Task[None]] = set()
        self._closed = False
        self._is_empty = asyncio.Event()  # set when the last connection has ended

    @property
    def are_all_in_use(self) -> bool:
        """Whether `acquire` would wait for another caller."""
        return not self._free and not self._may_open()

    @property
    def opened(self) -> int:
        """How many connections are open."""
        return len(self._opened_at)

    @property
    def free(self) -> int:
        """How many open connections no caller uses."""
        return len(self._free)

    @property
    def in_use(self) -> int:
        """How many open connections a caller uses, or are being closed."""
        return len(self._opened_at) - len(self._free)

    async def acquire(self, seconds: float) -> Connection:
        """A connection for the caller alone, until `release`. Waits for other callers for at most `seconds`.

        Raises NoFreeConnection, Busy, and what asyncpg raises when it connects.
        """
        began = asyncio.get_running_loop().time()
        try:
            return self._take_free() or await self._open_or_wait(began + seconds)
        finally:
            if self._waits:
                self._waits.observe(asyncio.get_running_loop().time() - began)

    def release(self, connection: Connection, *, is_usable: bool = True) -> None:
        """Give a connection back. One that is not usable is closed."""
        if connection not in self._opened_at:
            if self.spare and connection in self.spare._opened_at:
                self.spare.release(connection, is_usable=is_usable)
        elif not is_usable or self._closed or self._is_old(connection):
            self._end(connection)
        else:
            self._give(connection)

    async def rows(
        self, sql: str, arguments: Sequence[Any], seconds: float, *, with_settings: bool = False
    ) -> list[asyncpg.Record]:
        """Every row of a statement. Waits for a connection for at most `seconds`. Raises what `acquire`, asyncpg raise.

        `with_settings`: also when the connection is pooled, the session settings hold. That takes a transaction, which
        is two messages more.
        """
        connection = await self.acquire(seconds)
        if with_settings and connection.is_pooled:
            async with self._transaction_of(connection):
                return list(await connection.fetch(sql, *arguments))
        try:
            rows: list[asyncpg.Record] = await connection.fetch(sql, *arguments)
        except BaseException as failure:
            self.release(connection, is_usable=leaves_usable(failure))
            raise
        self.release(connection)
        return rows

    @asynccontextmanager
    async def transaction(self, seconds: float) -> AsyncIterator[Connection]:
        """A connection in a transaction: committed when the block ends, rolled back when it raises."""
        async with self._transaction_of(await self.acquire(seconds)) as connection:
            yield connection

    @asynccontextmanager
    async def _transaction_of(self, connection: Connection) -> AsyncIterator[Connection]:
        is_usable = False
        try:
            await connection.execute(connection.begin)
            try:
                yield connection
            except Exception as failure:
                if not is_lost(failure):
                    await connection.execute("rollback;")
                    is_usable = True
                raise
            await connection.execute("commit;")
            is_usable = True
        finally:
            self.release(connection, is_usable=is_usable)

    def expire(self) -> None:
        """Use no connection again that is open now: the server stopped, or is read-only after a failover."""
        self._opened_at = dict.fromkeys(self._opened_at, -CONNECTION_MAX_AGE_SECONDS)
        self._drop_old()

    async def close(self) -> None:
        """Close every connection when its caller has released it. `acquire` then raises InterfaceError."""
        self._stop()
        free, self._free = self._free, []
        await asyncio.gather(*(connection.close() for connection in free), return_exceptions=True)
        for connection in free:
            self._drop(connection)
        while self._opened_at:
            self._is_empty.clear()
            await self._is_empty.wait()

    def terminate(self) -> None:
        """Close every connection at once, without waiting for the server."""
        self._stop()
        for connection in self._opened_at:
            connection.terminate()

    def _stop(self) -> None:
        self._closed = True
        for timer in (self._tries_again, self._cleanup):
            if timer:
                timer.cancel()
        for waiter in self._waiters:
            waiter.set_result(None)
        self._waiters.clear()

    def _may_open(self) -> bool:
        return len(self._opened_at) + self._opening < self.most and self._tries_again is None

    def _is_old(self, connection: Connection) -> bool:
        age = asyncio.get_running_loop().time() - self._opened_at[connection]
        return age >= CONNECTION_MAX_AGE_SECONDS or connection.is_closed()

    def _take_free(self) -> Connection | None:
        while self._free:
            connection = self._free.pop()
            if not self._is_old(connection):
                return connection
            self._drop(connection)
        return None

    async def _open_or_wait(self, deadline: float) -> Connection:
        while True:
            if self._closed:
                raise asyncpg.InterfaceError("the connections are closed")
            if self._may_open():
                try:
                    return await self._open()
                except Exception as failure:
                    if not is_refused(failure):
                        raise
                    self._on_refusal(failure)
            elif not self._opened_at and not self._opening and self.spare and self.spare._opened_at:
                return await self.spare.acquire(deadline - asyncio.get_running_loop().time())
            elif connection := self._take_free() or await self._wait(deadline):
                return connection

    async def _open(self) -> Connection:
        # With the time limits of DATABASE_URL, one for each host: the caller's would end before the second host.
        self._opening += 1
        try:
            connection = await self._connect()
        except BaseException:
            self._opening -= 1
            self._wake()
            raise
        self._opening -= 1
        self._opened_at[connection] = asyncio.get_running_loop().time()
        self._refusal = None
        if self._closed:  # while it connected: close() did not see this connection
            connection.terminate()
        self._wake()  # where one more was possible, another may be
        return connection

    def _on_refusal(self, failure: Exception) -> None:
        """Try no further connection for a moment; callers wait for those that are open."""
        self._refusal = failure

        def try_again() -> None:
            self._tries_again = None
            self._wake()

        if not self._tries_again and not self._closed:
            pause = REFUSED_PAUSE_SECONDS if self._opened_at else NONE_OPEN_PAUSE_SECONDS
            self._tries_again = asyncio.get_running_loop().call_later(pause, try_again)

    async def _wait(self, deadline: float) -> Connection | None:
        """The connection that another caller gives back, or None when there may be room for a new one."""
        if len(self._waiters) >= MAX_WAITING_CALLERS:
            raise Busy
        loop = asyncio.get_running_loop()
        waiter: Waiter = loop.create_future()
        self._waiters.append(waiter)
        try:
            await asyncio.wait({waiter}, timeout=max(0.0, deadline - loop.time()))
        except asyncio.CancelledError:
            if not waiter.done():
                self._waiters.remove(waiter)
            elif connection := waiter.result():
                self._give(connection)
            else:
                self._wake()
            raise
        if not waiter.done():
            self._waiters.remove(waiter)
            raise NoFreeConnection(self._refusal)
        return waiter.result()

    def _wake(self) -> None:
        """Have the caller that waits longest open a connection, if there may be one more."""
        if self._waiters and self._may_open():
            self._waiters.popleft().set_result(None)

    def _give(self, connection: Connection) -> None:
        """Give a connection to the caller that waits longest."""
        if self._waiters:
            self._waiters.popleft().set_result(connection)
        else:
            self._free.append(connection)
            if self._cleanup is None and not self._closed:
                loop = asyncio.get_running_loop()
                self._cleanup = loop.call_later(CONNECTION_MAX_AGE_SECONDS, self._on_cleanup)

    def _on_cleanup(self) -> None:
        """Close the free connections that are old: at rest a process needs few."""
        self._cleanup = None
        self._drop_old()
        if self._free:
            self._cleanup = asyncio.get_running_loop().call_later(CONNECTION_MAX_AGE_SECONDS, self._on_cleanup)

    def _drop_old(self) -> None:
        old = [connection for connection in self._free if self._is_old(connection)]
        self._free = [connection for connection in self._free if connection not in old]
        for connection in old:
            self._drop(connection)

    def _drop(self, connection: Connection) -> None:
        del self._opened_at[connection]
        connection.terminate()
        self._wake()
        if not self._opened_at:
            self._is_empty.set()

    def _end(self, connection: Connection) -> None:
        """Close a connection whose statement may still run. It counts as open until PostgreSQL has ended that."""
        if connection.is_closed() or self._closed:
            self._drop(connection)
            return

        async def close() -> None:
            try:
                await connection.close(timeout=CANCEL_SECONDS)
            except Exception:  # it could not be closed in order
                connection.terminate()
            finally:
                self._drop(connection)

        ending = asyncio.get_running_loop().create_task(close())
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)
