"""Runs the files of `sql/` by name, and says "unavailable" when PostgreSQL is.

A statement is asked in one of three ways: `find` and `change` share it with everybody who asks at the same moment;
`row` and `rows` run it alone. Which columns come back is written at the head of its file.
"""

import asyncio
import functools
import logging
import math
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self, TypeAlias, TypeVar

import asyncpg
import asyncpg.pgproto.pgproto
import orjson

from server.database.batch_connections import BATCH_SESSION, BatchConnections
from server.database.batching import Batcher, ReadBatcher, WriteBatcher
from server.errors import PostgresTooOld, StartError, Unavailable
from server.resources import statements
from server.settings.values import MIN_POSTGRES, for_asyncpg

if TYPE_CHECKING:
    Connection: TypeAlias = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]

UUID = asyncpg.pgproto.pgproto.UUID  # the standard library's, but compared and hashed in C: it keys the hottest set

Made = TypeVar("Made")

log = logging.getLogger(__name__)

MAX_ID = 2**63 - 1

POOL = 10  # connections a process for statements that run alone, and for transactions
BATCH_CONNECTIONS = 4  # and for sets: one for each statement that is asked with every request
ACQUIRE_SECONDS = 5.0  # longest wait for a free connection
COMMAND_SECONDS = 15.0  # longest wait for an answer
CONNECT_SECONDS = 5.0
CLOSE_SECONDS = 1.0
MAX_SHARED_IN_FLIGHT = 4  # of `share`, for each statement: they must not use up the pool
DEADLOCK_TRIES = 5

SESSION = {
    "application_name": "frontdesk",
    "jit": "off",  # compiling costs more than any statement here
    "timezone": "UTC",
    "lock_timeout": "5s",
    "statement_timeout": "14s",  # before COMMAND_SECONDS: what nobody waits for any more is not to run on
    "idle_in_transaction_session_timeout": "30s",
}
# asyncpg at a loss over a connection that died under it; a schema older than we are, or half brought up to date.
_ASTRAY = (
    asyncpg.InternalClientError,
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,
    asyncpg.InvalidCachedStatementError,  # asyncpg asks again by itself, but not inside a transaction
)

# SQLSTATEs that say "not now" instead of "not so": connection and resource classes, shutdown, a transaction left open
# for too long, read-only after a failover.
_AWAY = ("08", "53", "57P", "25P03", "25006")
# A lock not had, a statement not through in time, a deadlock that was broken: not now either, but the database lives.
_HELD_UP = ("55P03", "57014", "40P01")
# asyncpg's own errors of a lost connection have no class of their own, and share theirs with mistakes of the caller.
_CLOSED = re.compile("closed|closing|released back|cancelling")


def read_id(digits: str) -> int | None:
    """The id that digits write, or None when they are none or no row can have it; leading zeros do not count."""
    # The length first: int() takes its time with long ones, and refuses very long ones in its own way.
    found = re.fullmatch("0*([0-9]{1,19})", digits)
    return int(found[1]) if found and int(found[1]) <= MAX_ID else None


def is_away(failure: BaseException) -> bool:
    """Whether `failure` means that PostgreSQL cannot be asked now, as against its having said no."""
    if isinstance(failure, _ASTRAY):
        return True
    if isinstance(failure, asyncpg.PostgresError):
        return (failure.sqlstate or "").startswith((*_AWAY, *_HELD_UP))
    if isinstance(failure, asyncpg.InterfaceError):
        return _CLOSED.search(str(failure)) is not None
    return isinstance(failure, OSError | TimeoutError | asyncio.IncompleteReadError)


def _is_held_up(failure: BaseException) -> bool:
    """Whether it is somebody's lock or a long statement that is in the way, and not the database that is lost."""
    return isinstance(failure, asyncpg.PostgresError) and failure.sqlstate in _HELD_UP


def _reason(failure: Exception) -> str:
    if isinstance(failure, asyncpg.InternalClientError):
        return "the connection was lost in the middle of a statement"
    return str(failure) or "no connection, or no answer, within the time limit"


class Transaction:
    """Runs statements on one connection."""

    def __init__(self, connection: "Connection", sql: Mapping[str, str]) -> None:
        self.connection = connection  # for a library that has statements of its own, inside this transaction
        self._sql = sql

    async def rows(self, name: str, *arguments: Any) -> list[asyncpg.Record]:
        """Every row of the statement `name`."""
        rows: list[asyncpg.Record] = await self.connection.fetch(self._sql[name], *arguments)
        return rows

    async def row(self, name: str, *arguments: Any) -> asyncpg.Record | None:
        """The first row of the statement `name`, or None."""
        return await self.connection.fetchrow(self._sql[name], *arguments)


async def _keep(connection: "Connection") -> None:
    """No reset at release: no statement here leaves session state behind, and the reset costs a round trip."""


async def _version(pool: "asyncpg.Pool[asyncpg.Record]", patient: bool) -> int | None:
    """The major version of the server, or None for one that is away and may be. Raises Unavailable, StartError."""
    try:
        await pool
        async with pool.acquire() as connection:
            return int(connection.get_server_version().major)
    except Exception as failure:
        if is_away(failure):
            if patient:
                return None
            raise Unavailable from failure
        if isinstance(failure, asyncpg.PostgresError):  # no such database, a wrong password
            raise StartError(f"The database cannot be used: {failure}.") from failure
        raise


class Database:
    """The pool, the lanes, and the statements that callers share."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", lanes: BatchConnections) -> None:
        self._pool = pool
        self._lanes = lanes
        self._sql = statements()
        self._told = -math.inf
        self.lost = asyncio.Event()  # set whenever the database could not be asked
        self._reads: dict[str, ReadBatcher] = {}
        self._shared: dict[str, ReadBatcher] = {}
        self._changes: dict[tuple[str, str], WriteBatcher] = {}

    @classmethod
    async def connect(cls, url: str, *, connections: int = POOL + BATCH_CONNECTIONS, patient: bool = False) -> Self:
        """A database behind `url`. Raises Unavailable when it cannot be reached, StartError when it is no use.

        `patient`: one that cannot be reached now is one that is asked for in vain until it can be.
        """
        lanes = max(1, connections * BATCH_CONNECTIONS // (POOL + BATCH_CONNECTIONS))
        says: dict[str, Any] = {"timeout": CONNECT_SECONDS, "command_timeout": COMMAND_SECONDS}
        pool = asyncpg.create_pool(
            for_asyncpg(url),
            min_size=0 if patient else 1,
            max_size=max(1, connections - lanes),
            server_settings=SESSION,
            reset=_keep,
            **says,
        )
        version = await _version(pool, patient)
        if version is not None and version < MIN_POSTGRES:
            await pool.close()
            raise PostgresTooOld(version)
        connect = functools.partial(asyncpg.connect, for_asyncpg(url), server_settings=SESSION | BATCH_SESSION, **says)
        return cls(pool, BatchConnections(connect, lanes))

    async def close(self) -> None:
        """Let the sets under way come home, then close every connection; within CLOSE_SECONDS."""
        shared: list[Batcher] = [*self._reads.values(), *self._shared.values(), *self._changes.values()]
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await asyncio.gather(*(statement.close() for statement in shared))
                await asyncio.gather(self._lanes.close(), self._pool.close())
        except TimeoutError:
            self._lanes.terminate()
            self._pool.terminate()

    @asynccontextmanager
    async def _connection(self) -> "AsyncIterator[Connection]":
        try:
            async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as connection:
                yield connection
        except Exception as failure:
            await self._tell(failure)
            raise

    async def _tell(self, failure: Exception) -> None:
        """Raises Unavailable if that is what `failure` means."""
        if _is_held_up(failure):
            self._log("held up", failure)
            raise Unavailable from failure
        if is_away(failure):
            self.lost.set()
            self._log("unavailable", failure)
            # What one connection met the others may meet next: none of them goes on to a server that only reads.
            await self._pool.expire_connections()
            raise Unavailable from failure

    def _log(self, what: str, failure: Exception) -> None:
        if time.monotonic() - self._told >= 1.0:  # not a line for each of thousands of requests
            self._told = time.monotonic()
            log.warning("database %s: %s: %s", what, type(failure).__name__, _reason(failure))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """One transaction: committed when the block ends, rolled back when it raises."""
        async with self._connection() as connection, connection.transaction():
            yield Transaction(connection, self._sql)

    async def rows(self, name: str, *arguments: Any) -> list[asyncpg.Record]:
        """Every row of the statement `name`, asked alone. Raises Unavailable."""
        return await self._patiently(self._alone, name, arguments)

    async def _alone(self, sql: str, arguments: Sequence[Any]) -> list[asyncpg.Record]:
        async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as connection:
            rows: list[asyncpg.Record] = await connection.fetch(sql, *arguments)
            return rows

    async def _set(self, name: str, columns: Sequence[Sequence[Any]]) -> list[asyncpg.Record]:
        """The rows of a set. Raises Unavailable."""
        return await self._patiently(self._on_a_lane, name, columns)

    async def _on_a_lane(self, sql: str, columns: Sequence[Any]) -> list[asyncpg.Record]:
        # One statement that waits for a lock, or is frozen, can take every lane; the others have the pool then.
        return await (self._alone if self._lanes.are_all_in_use else self._lanes.rows)(sql, columns)

    async def _patiently(
        self, run: Callable[[str, Sequence[Any]], Awaitable[list[asyncpg.Record]]], name: str, arguments: Sequence[Any]
    ) -> list[asyncpg.Record]:
        """Run the statement `name`; again, if it was the one that a deadlock was broken with. Raises Unavailable."""
        for attempt in range(DEADLOCK_TRIES):
            try:
                return await run(self._sql[name], arguments)
            except asyncpg.DeadlockDetectedError as failure:
                if attempt == DEADLOCK_TRIES - 1:
                    await self._tell(failure)
                    raise
                log.info("deadlock in %s, tried again", name)
            except Exception as failure:
                await self._tell(failure)
                raise
        raise AssertionError("unreachable")

    async def row(self, name: str, *arguments: Any) -> asyncpg.Record | None:
        """The first row of the statement `name`, asked alone, or None. Raises Unavailable."""
        rows = await self.rows(name, *arguments)
        return rows[0] if rows else None

    def find(self, name: str, key: Any, *more: Any) -> Awaitable[asyncpg.Record | None]:
        """The row of `key`, asked together with everybody who asks statement `name` now. Raises Unavailable, Busy."""
        reads = self._reads.get(name)
        if reads is None:
            reads = self._reads[name] = ReadBatcher(functools.partial(self._set, name))
        return reads.ask(key, *more)

    async def share(self, name: str, make: Callable[..., Made], *arguments: Any) -> Made:
        """The result of `make(rows, *arguments)` over the statement's rows, made once for all who ask for it now.

        For a statement that cannot be batched and whose answer many callers want, such as the first page of a list.
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
        the row; it runs when another transaction holds the row. Changes of one key keep their order, and each is
        answered after its commit. Raises Unavailable, Busy, and the database's error for this row.
        """
        changes = self._changes.get((name, lock))
        if changes is None:
            changes = self._changes[name, lock] = WriteBatcher(
                functools.partial(self._set, name), functools.partial(self._change_alone, name, lock)
            )
        return changes.ask(key, orjson.dumps(given).decode())

    async def _change_alone(self, name: str, lock: str, arguments: Sequence[Any]) -> asyncpg.Record | None:
        """Wait for the row (`lock_timeout` at most), then change it in the same transaction."""
        async with self.transaction() as transaction:
            if await transaction.row(lock, arguments[0]) is None:
                return None
            return await transaction.row(name, *([argument] for argument in arguments))
