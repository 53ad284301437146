"""What an error of asyncpg means: PostgreSQL is unavailable, a statement timed out, or the statement was refused."""

import asyncio
import re

import asyncpg

# asyncpg raises InternalClientError when a connection is lost in the middle of a statement. The others mean that the
# schema is older than this program, or that a migration is running.
_LOST_OR_OLD_SCHEMA = (
    asyncpg.InternalClientError,
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,
    asyncpg.InvalidCachedStatementError,  # asyncpg retries it by itself, but not inside a transaction
)

# SQLSTATEs, or their beginnings: connection failures, insufficient resources, shutdown, a transaction that was idle
# for too long, a server that is read-only after a failover.
_UNAVAILABLE = ("08", "53", "57P", "25P03", "25006")

# A lock that was not free in time, a statement that timed out, a deadlock. The database itself is available.
_TIMED_OUT = ("55P03", "57014", "40P01")

# A lost connection has no class of its own: asyncpg raises InterfaceError, as it does for mistakes of the caller.
_CLOSED = re.compile("closed|closing|released back|cancelling")


def is_unavailable(failure: BaseException) -> bool:
    """Whether `failure` means "try again later", and not that PostgreSQL refused the statement."""
    if isinstance(failure, _LOST_OR_OLD_SCHEMA):
        return True
    if isinstance(failure, asyncpg.PostgresError):
        return (failure.sqlstate or "").startswith((*_UNAVAILABLE, *_TIMED_OUT))
    if isinstance(failure, asyncpg.InterfaceError):
        return _CLOSED.search(str(failure)) is not None
    return isinstance(failure, OSError | TimeoutError | asyncio.IncompleteReadError)


def is_timeout(failure: BaseException) -> bool:
    """Whether a lock or a long statement is the cause, while the database itself is available."""
    return isinstance(failure, asyncpg.PostgresError) and failure.sqlstate in _TIMED_OUT


def is_disk_full(failure: BaseException) -> bool:
    """Whether PostgreSQL has no room to write: it will not recover by itself."""
    return isinstance(failure, asyncpg.DiskFullError)


def reason_of(failure: Exception) -> str:
    """The text of `failure` for a log line."""
    if isinstance(failure, asyncpg.InternalClientError):
        return "the connection was lost in the middle of a statement"
    return str(failure) or "no connection, or no response, within the time limit"
