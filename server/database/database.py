"""Runs the statements of `sql/` by name. Raises Unavailable while PostgreSQL is unavailable.

`find` and `change` send the calls of the same moment as one batch; `row` and `rows` run a statement alone, and
`transaction` runs several as one. The comment at the top of each file says which columns its statement returns.
"""

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self, TypeVar

import asyncpg
import orjson

from server.database.batching import Batcher, ReadBatcher, WriteBatcher
from server.database.connecting import Connector
from server.database.connections import Connections
from server.database.failures import is_lost, is_unavailable
from server.database.outages import Outages
from server.database.transaction import Transaction
from server.database.version import check_encoding, check_version
from server.errors import StartError, Unavailable
from server.resources import statements
from server.settings.database_url import DatabaseUrl
from server.telemetry import metrics
from server.telemetry.instruments import Stopwatch

Made = TypeVar("Made")

log = logging.getLogger(__name__)

POOL_CONNECTIONS = 10  # of a process, for statements that run alone and for transactions
BATCH_CONNECTIONS = 4  # of a process, for batches: one for each statement that runs with every request
ACQUIRE_SECONDS = 5.0  # longest wait for a free connection
COMMAND_SECONDS = 15.0  # longest wait for a result
CLOSE_SECONDS = 1.0
MAX_SHARED_IN_FLIGHT = 4  # of `share`, for each statement: they must not use up the pool
DEADLOCK_TRIES = 5

SESSION_SETTINGS = {
    "jit": "off",  # compiling costs more than any statement of this service
    "timezone": "UTC",
    "lock_timeout": "5s",
    "statement_timeout": "14s",  # less than COMMAND_SECONDS: a statement must not go on when its caller has given up
    "idle_in_transaction_session_timeout": "30s",
}
# By default PostgreSQL plans a statement with few keys again each time: 150 µs for a plan that is always the same
# (docs/decisions/batching.md). A page of a list must be planned with its limit, so only batches have this setting.
BATCH_SESSION_SETTINGS = {"plan_cache_mode": "force_generic_plan"}


class Database:
    """Connections for single statements and transactions, connections for batches, and the batches themselves."""

    def __init__(self, pool: Connections, for_batches: Connections, outages: Outages) -> None:
        self._pool = pool
        self._for_batches = for_batches
        self._sql = statements()
        self._outages = outages
        self.lost = asyncio.Event()  # set whenever the database was unavailable; the reader clears it
        self._reads: dict[str, ReadBatcher] = {}
        self._shared: dict[str, ReadBatcher] = {}
        self._changes: dict[tuple[str, str], WriteBatcher] = {}

    @classmethod
    async def connect(
        cls,
        url: str,
        *,
        connections: int = POOL_CONNECTIONS + BATCH_CONNECTIONS,
        pooler: str = "auto",
        patient: bool = False,
    ) -> Self:
        """Connect to the database at `url`, with at most `connections` (but 2 at least).

        `pooler` is DATABASE_POOLER. `patient`: do not fail if the server is unreachable; statements raise Unavailable
        until it is up. Raises Unavailable when it cannot be reached, StartError when it cannot be used.
        """
        read = DatabaseUrl.read(url)
        return await cls.open(read, connections=connections, pooler=pooler, patient=patient, outages=Outages())

    @classmethod
    async def open(
        cls, url: DatabaseUrl, *, connections: int, pooler: str, outages: Outages, patient: bool = False
    ) -> Self:
        """As `connect`; failures of statements are added to `outages`."""
        for_batches = max(1, connections * BATCH_CONNECTIONS // (POOL_CONNECTIONS + BATCH_CONNECTIONS))
        connector = Connector(url, command_timeout=COMMAND_SECONDS, pooler=pooler)
        alone = max(1, connections - for_batches)
        pool = Connections(connector.opener(SESSION_SETTINGS), alone, metrics.CONNECTION_WAIT_SECONDS)
        batches = Connections(connector.opener(SESSION_SETTINGS | BATCH_SESSION_SETTINGS), for_batches)
        pool.spare, batches.spare = batches, pool
        try:
            await _check_server(pool, connector)
        except BaseException as failure:
            if not (patient and isinstance(failure, Unavailable)):
                await pool.close()
                raise
        return cls(pool, batches, outages)

    def connection_counts(self) -> dict[tuple[str, str], int]:
        """How many connections are open, by their use and by whether they are in use now."""
        return {
            (use, state): count
            for use, connections in (("statements", self._pool), ("batches", self._for_batches))
            for state, count in (("in_use", connections.in_use), ("idle", connections.free))
        }

    def connection_limits(self) -> dict[str, int]:
        """The most connections that may be open, by their use."""
        return {"statements": self._pool.most, "batches": self._for_batches.most}

    async def close(self) -> None:
        """Wait for the batches in flight, then close every connection; after CLOSE_SECONDS without waiting."""
        batchers: list[Batcher] = [*self._reads.values(), *self._shared.values(), *self._changes.values()]
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await asyncio.gather(*(batcher.close() for batcher in batchers))
                await asyncio.gather(self._for_batches.close(), self._pool.close())
        except TimeoutError:
            self.terminate()

    def terminate(self) -> None:
        """Close every connection at once: what waits for a result raises Unavailable."""
        self._for_batches.terminate()
        self._pool.terminate()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """One transaction: committed when the block ends, rolled back when it raises. Raises Unavailable."""
        try:
            async with self._pool.transaction(ACQUIRE_SECONDS) as connection:
                transaction = Transaction(connection, self._sql)
                yield transaction
        except Exception as failure:
            self._raise_if_unavailable(failure)
            raise
        transaction.committed()

    async def row(self, name: str, *arguments: Any) -> asyncpg.Record | None:
        """The first row of the statement `name`, or None. Not batched. Raises Unavailable."""
        rows = await self.rows(name, *arguments)
        return rows[0] if rows else None

    async def rows(self, name: str, *arguments: Any) -> list[asyncpg.Record]:
        """Every row of the statement `name`. Not batched. Raises Unavailable."""
        return await self._run(self._run_alone, name, arguments)

    def find(self, name: str, key: Any, *more: Any) -> Awaitable[asyncpg.Record | None]:
        """The row of `key`, or None; in one batch with all calls of the statement now. Raises Unavailable, Busy."""
        reads = self._reads.get(name)
        if reads is None:
            reads = self._reads[name] = ReadBatcher(functools.partial(self._run_batch, name), name=name)
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
            limits = {"max_batch_rows": 1, "max_in_flight": MAX_SHARED_IN_FLIGHT}
            shared = self._shared[name] = ReadBatcher(run, name=name, **limits)
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
                functools.partial(self._run_batch, name), functools.partial(self._change_locked, name, lock), name=name
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
        all_in_use = self._for_batches.are_all_in_use
        return await (self._pool if all_in_use else self._for_batches).rows(sql, columns, ACQUIRE_SECONDS)

    async def _run_alone(self, sql: str, arguments: Sequence[Any]) -> list[asyncpg.Record]:
        # With the session settings: the statement may wait for a lock. Batches skip locked rows.
        return await self._pool.rows(sql, arguments, ACQUIRE_SECONDS, with_settings=True)

    async def _run(
        self, run: Callable[[str, Sequence[Any]], Awaitable[list[asyncpg.Record]]], name: str, arguments: Sequence[Any]
    ) -> list[asyncpg.Record]:
        """Run the statement `name`; again when PostgreSQL ended it to break a deadlock. Raises Unavailable."""
        for attempt in range(DEADLOCK_TRIES):
            try:
                with Stopwatch(metrics.STATEMENT_SECONDS, name):
                    rows = await run(self._sql[name], arguments)
                self._outages.end()
                return rows
            except asyncpg.DeadlockDetectedError as failure:
                if attempt == DEADLOCK_TRIES - 1:
                    self._raise_if_unavailable(failure)
                    raise
                log.info("deadlock in %s: the statement is run again", name)
            except Exception as failure:
                self._raise_if_unavailable(failure)
                raise
        raise AssertionError("unreachable")

    def expire(self) -> None:
        """Use no connection again that is open now."""
        self._pool.expire()
        self._for_batches.expire()

    def _raise_if_unavailable(self, failure: Exception) -> None:
        if not is_unavailable(failure):
            return
        if is_lost(failure):
            self.lost.set()
            # Other connections may be affected too: after a failover none of them may go on with a read-only server.
            self.expire()
        self._outages.add(failure)
        raise Unavailable from failure


async def _check_server(pool: Connections, connector: Connector) -> None:
    """Look whether the server can be used. Raises Unavailable, StartError."""
    try:
        await connector.check_pooler()
        connection = await pool.acquire(ACQUIRE_SECONDS)
        version = int(connection.get_server_version().major)
        encoding = getattr(connection.get_settings(), "server_encoding", None)
        pool.release(connection)
    except (asyncpg.InvalidCatalogNameError, asyncpg.InvalidAuthorizationSpecificationError) as failure:
        raise StartError(f"The database cannot be used: {failure}.") from failure
    except Exception as failure:
        if is_unavailable(failure):
            raise Unavailable from failure
        # A parameter of the URL that cannot be met.
        if isinstance(failure, asyncpg.PostgresError | asyncpg.InterfaceError):
            raise StartError(f"The database cannot be used: {failure}.") from failure
        raise
    check_version(version)
    check_encoding(encoding)
