"""Runs the statements of `sql/` by name. Raises Unavailable while PostgreSQL is unavailable.

`find` and `change` send the calls of the same moment as one batch; `row` and `rows` run a statement alone, and
`transaction` runs several as one. The comment at the top of each file says which columns its statement returns.
"""

import asyncio
import functools
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self, TypeVar

import asyncpg
import orjson

from server.database.batch_connections import BATCH_SESSION_SETTINGS, BatchConnections
from server.database.batching import Batcher, ReadBatcher, WriteBatcher
from server.database.connecting import connector
from server.database.failures import is_timeout, is_unavailable, reason_of
from server.database.transaction import Transaction
from server.database.version import check_version
from server.errors import StartError, Unavailable
from server.resources import statements
from server.settings.database_url import DatabaseUrl

if TYPE_CHECKING:
    from server.database.transaction import Connection

Made = TypeVar("Made")

log = logging.getLogger(__name__)

POOL_CONNECTIONS = 10  # of a process, for statements that run alone and for transactions
BATCH_CONNECTIONS = 4  # of a process, for batches: one for each statement that runs with every request
ACQUIRE_SECONDS = 5.0  # longest wait for a free connection
COMMAND_SECONDS = 15.0  # longest wait for a result
CLOSE_SECONDS = 1.0
LOG_PAUSE_SECONDS = 1.0  # between log lines: one failure can affect thousands of requests
MAX_SHARED_IN_FLIGHT = 4  # of `share`, for each statement: they must not use up the pool
DEADLOCK_TRIES = 5

SESSION_SETTINGS = {
    "jit": "off",  # compiling costs more than any statement of this service
    "timezone": "UTC",
    "lock_timeout": "5s",
    "statement_timeout": "14s",  # less than COMMAND_SECONDS: a statement must not go on when its caller has given up
    "idle_in_transaction_session_timeout": "30s",
}


async def _no_reset(connection: "Connection") -> None:
    """Replace asyncpg's reset at release: it costs a round trip, and no statement here leaves session state behind."""


async def _version(pool: "asyncpg.Pool[asyncpg.Record]", patient: bool) -> int | None:
    """The server's major version, or None when it is unavailable and `patient`. Raises Unavailable, StartError."""
    try:
        await pool
        async with pool.acquire() as connection:
            return int(connection.get_server_version().major)
    except Exception as failure:
        if is_unavailable(failure):
            if patient:
                return None
            raise Unavailable from failure
        # No such database, a wrong password; a parameter of the URL that cannot be met.
        if isinstance(failure, asyncpg.PostgresError | asyncpg.InterfaceError):
            raise StartError(f"The database cannot be used: {failure}.") from failure
        raise


class Database:
    """A pool for single statements and transactions, connections for batches, and the batches themselves."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", batch_connections: BatchConnections) -> None:
        self._pool = pool
        self._batch_connections = batch_connections
        self._sql = statements()
        self._last_logged = -math.inf
        self.lost = asyncio.Event()  # set whenever the database was unavailable; the reader clears it
        self._reads: dict[str, ReadBatcher] = {}
        self._shared: dict[str, ReadBatcher] = {}
        self._changes: dict[tuple[str, str], WriteBatcher] = {}

    @classmethod
    async def connect(
        cls, url: str, *, connections: int = POOL_CONNECTIONS + BATCH_CONNECTIONS, patient: bool = False
    ) -> Self:
        """Connect to the database at `url`, with at most `connections` (but 2 at least).

        `patient`: do not fail if the server is unreachable; statements raise Unavailable until it is up. Raises
        Unavailable when it cannot be reached, StartError when it cannot be used.
        """
        for_batches = max(1, connections * BATCH_CONNECTIONS // (POOL_CONNECTIONS + BATCH_CONNECTIONS))
        connect = functools.partial(connector, DatabaseUrl.read(url), command_timeout=COMMAND_SECONDS)
        pool = asyncpg.create_pool(
            connect=connect(SESSION_SETTINGS),
            min_size=0 if patient else 1,
            max_size=max(1, connections - for_batches),
            reset=_no_reset,
        )
        version = await _version(pool, patient)
        if version is not None:
            try:
                check_version(version)
            except StartError:
                await pool.close()
                raise
        return cls(pool, BatchConnections(connect(SESSION_SETTINGS | BATCH_SESSION_SETTINGS), for_batches))

    async def close(self) -> None:
        """Wait for the batches in flight, then close every connection; after CLOSE_SECONDS without waiting."""
        batchers: list[Batcher] = [*self._reads.values(), *self._shared.values(), *self._changes.values()]
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await asyncio.gather(*(batcher.close() for batcher in batchers))
                await asyncio.gather(self._batch_connections.close(), self._pool.close())
        except TimeoutError:
            self._batch_connections.terminate()
            self._pool.terminate()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """One transaction: committed when the block ends, rolled back when it raises. Raises Unavailable."""
        try:
            async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as connection, connection.transaction():
                transaction = Transaction(connection, self._sql)
                yield transaction
        except Exception as failure:
            await self._raise_if_unavailable(failure)
            raise
        transaction.committed()

    async def row(self, name: str, *arguments: Any) -> asyncpg.Record | None:
        """The first row of the statement `name`, or None. Not batched. Raises Unavailable."""
        rows = await self.rows(name, *arguments)
        return rows[0] if rows else None

    async def rows(self, name: str, *arguments: Any) -> list[asyncpg.Record]:
        """Every row of the statement `name`. Not batched. Raises Unavailable."""
        return await self._run(self._run_on_pool, name, arguments)

    def find(self, name: str, key: Any, *more: Any) -> Awaitable[asyncpg.Record | None]:
        """The row of `key`, or None; in one batch with all calls of the statement now. Raises Unavailable, Busy."""
        reads = self._reads.get(name)
        if reads is None:
            reads = self._reads[name] = ReadBatcher(functools.partial(self._run_batch, name))
        return reads.ask(key, *more)

    async def share(self, name: str, make: Callable[..., Made], *arguments: Any) -> Made:
        """The result of `make(rows, *arguments)` over the statement's rows, made once for all callers of this moment.

        For a statement that cannot be batched and whose result many callers want, such as the first page of a list.
        Callers share a result when they pass the same function and the same (hashable) arguments.
        Raises Unavailable, Busy.
        """
        shared = self._shared.get(name)
        if shared is None:
            # A batch of one: a page of 1,000 rows must not delay a page of 10. One batcher for all functions of a
            # statement, so that MAX_SHARED_IN_FLIGHT holds for the statement.
            run = functools.partial(self._make_shared, name)
            shared = self._shared[name] = ReadBatcher(run, max_batch_rows=1, max_in_flight=MAX_SHARED_IN_FLIGHT)
        made: Made = (await shared.ask((make, arguments)))[1]  # type: ignore[index]
        return made

    async def _make_shared(self, name: str, columns: Sequence[Sequence[Any]]) -> list[tuple[Any, Any]]:
        ((make, arguments),) = columns[0]
        return [((make, arguments), make(await self.rows(name, *arguments), *arguments))]

    def change(self, name: str, key: Any, given: Mapping[str, Any], *, lock: str) -> Awaitable[asyncpg.Record | None]:
        """The row of `key` after the fields of `given` were changed; None when there is no such row.

        Absent is not null: a field that `given` does not name keeps its value. `lock` names the statement that locks
        the row; it runs when another transaction holds the row. Changes of one key keep their order, and each
        returns after its commit. Raises Unavailable, Busy, and the database's error for this row.
        """
        changes = self._changes.get((name, lock))
        if changes is None:
            changes = self._changes[name, lock] = WriteBatcher(
                functools.partial(self._run_batch, name), functools.partial(self._change_locked, name, lock)
            )
        return changes.ask(key, orjson.dumps(given).decode())

    async def _change_locked(self, name: str, lock: str, arguments: Sequence[Any]) -> asyncpg.Record | None:
        """Wait for the row (`lock_timeout` at most), then change it in the same transaction."""
        async with self.transaction() as transaction:
            if await transaction.row(lock, arguments[0]) is None:
                return None
            return await transaction.row(name, *([argument] for argument in arguments))

    async def _run_batch(self, name: str, columns: Sequence[Sequence[Any]]) -> list[asyncpg.Record]:
        return await self._run(self._run_on_batch_connection, name, columns)

    async def _run_on_batch_connection(self, sql: str, columns: Sequence[Any]) -> list[asyncpg.Record]:
        # Slow batches of one blocked statement can use every batch connection; other statements then use the pool.
        all_in_use = self._batch_connections.are_all_in_use
        return await (self._run_on_pool if all_in_use else self._batch_connections.rows)(sql, columns)

    async def _run_on_pool(self, sql: str, arguments: Sequence[Any]) -> list[asyncpg.Record]:
        async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as connection:
            rows: list[asyncpg.Record] = await connection.fetch(sql, *arguments)
            return rows

    async def _run(
        self, run: Callable[[str, Sequence[Any]], Awaitable[list[asyncpg.Record]]], name: str, arguments: Sequence[Any]
    ) -> list[asyncpg.Record]:
        """Run the statement `name`; again when PostgreSQL ended it to break a deadlock. Raises Unavailable."""
        for attempt in range(DEADLOCK_TRIES):
            try:
                return await run(self._sql[name], arguments)
            except asyncpg.DeadlockDetectedError as failure:
                if attempt == DEADLOCK_TRIES - 1:
                    await self._raise_if_unavailable(failure)
                    raise
                log.info("deadlock in %s: the statement is run again", name)
            except Exception as failure:
                await self._raise_if_unavailable(failure)
                raise
        raise AssertionError("unreachable")

    async def _raise_if_unavailable(self, failure: Exception) -> None:
        if is_timeout(failure):
            self._log("did not finish a statement in time", failure)
            raise Unavailable from failure
        # No such database: a moment ago there was, so that another one is put in its place (the command restore).
        if is_unavailable(failure) or isinstance(failure, asyncpg.InvalidCatalogNameError):
            self.lost.set()
            self._log("is unavailable", failure)
            # Other connections may be affected too: after a failover none of them may go on with a read-only server.
            await self._pool.expire_connections()
            raise Unavailable from failure

    def _log(self, what: str, failure: Exception) -> None:
        if time.monotonic() - self._last_logged >= LOG_PAUSE_SECONDS:
            self._last_logged = time.monotonic()
            log.warning("the database %s: %s: %s", what, type(failure).__name__, reason_of(failure))
