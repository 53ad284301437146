"""What an error of asyncpg means: PostgreSQL is unavailable, a statement timed out, or the statement was refused."""

import asyncio
import re

import asyncpg

# The schema is older than this program, a migration is running, or a column was renamed. The connection is in order.
_OTHER_SCHEMA = (
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,
    asyncpg.InvalidSchemaNameError,
    asyncpg.InvalidCachedStatementError,  # asyncpg retries it by itself, but not inside a transaction
    asyncpg.InsufficientPrivilegeError,
)

# A prepared statement is not the session's: DATABASE_POOLER says `session`, and the pooler does not keep sessions.
_OTHER_SESSION = (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError)

# SQLSTATEs, or their beginnings. The other connections may be affected too: connection failures, shutdown, a server
# that is read-only after a failover, a database or a role that is gone.
_LOST = ("08", "57P01", "57P02", "57P03", "57P04", "25006", "28", "3D")
# Only this statement or connection: insufficient resources, an idle session, a transaction that was idle for too long.
_ONLY_THIS = ("53", "57P05", "25P03")

# A lock that was not free in time, a statement that timed out, a deadlock. The database itself is available.
_TIMED_OUT = ("55P03", "57014", "40P01")

# A lost connection has no class of its own: asyncpg raises InterfaceError, as it does for mistakes of the caller.
_CLOSED = re.compile("closed|closing|released back|cancelling")

# PgBouncer has no SQLSTATE of its own for these: its limit of clients, or what PostgreSQL told it.
_POOLER_REFUSED = re.compile("no more connections allowed|too many clients|too many connections|slots are reserved")
_POOLER_TIMED_OUT = "query_wait_timeout"  # it had no server connection for the statement in time


# asyncpg's text has the repr of what target_session_attrs wants: no host is of that kind.
_WANTED = re.compile(r"requirement <.*'([a-z-]+)'>")
_NOT_FOUND = {
    "read-write": "none of the hosts can be written to",
    "primary": "none of the hosts is a primary",
    "standby": "it is no replica: it can be written to",
    "read-only": "it is no replica: it can be written to",
}


class NoFreeConnection(Exception):
    """No connection became free in time. The text has the reason for which PostgreSQL refused a further one."""

    def __init__(self, refusal: Exception | None = None) -> None:
        super().__init__(f"PostgreSQL refuses more: {refusal}" if refusal else "all are in use")


def is_unavailable(failure: BaseException) -> bool:
    """Whether `failure` means "try again later", and not that PostgreSQL refused the statement."""
    if isinstance(failure, (*_OTHER_SCHEMA, *_OTHER_SESSION, NoFreeConnection)):
        return True
    if isinstance(failure, asyncpg.PostgresError) and (failure.sqlstate or "").startswith((*_ONLY_THIS, *_TIMED_OUT)):
        return True
    return is_lost(failure)


def is_lost(failure: BaseException) -> bool:
    """Whether the connection is lost or of no use, so that the others may be too."""
    if isinstance(failure, _OTHER_SCHEMA) or is_refused(failure) or is_timeout(failure):
        return False
    if isinstance(failure, (asyncpg.InternalClientError, *_OTHER_SESSION)):
        return True  # InternalClientError: lost in the middle of a statement
    if isinstance(failure, asyncpg.PostgresError):
        return (failure.sqlstate or "").startswith(_LOST)
    if isinstance(failure, asyncpg.InterfaceError):
        return _CLOSED.search(str(failure)) is not None
    return isinstance(failure, OSError | TimeoutError | asyncio.IncompleteReadError)


def is_refused(failure: BaseException) -> bool:
    """Whether PostgreSQL, or a pooler, has no room for a further connection. Those that are open are in order."""
    if isinstance(failure, asyncpg.TooManyConnectionsError):
        return True
    return isinstance(failure, asyncpg.ProtocolViolationError) and _POOLER_REFUSED.search(str(failure)) is not None


def is_timeout(failure: BaseException) -> bool:
    """Whether a lock or a long statement is the cause, while the database itself is available."""
    if isinstance(failure, asyncpg.ProtocolViolationError | asyncpg.ConnectionDoesNotExistError):
        return any(_POOLER_TIMED_OUT in str(each) for each in failure.args)
    return isinstance(failure, asyncpg.PostgresError) and failure.sqlstate in _TIMED_OUT


def is_disk_full(failure: BaseException) -> bool:
    """Whether PostgreSQL has no room to write: it will not recover by itself."""
    return isinstance(failure, asyncpg.DiskFullError)


def leaves_usable(failure: BaseException) -> bool:
    """Whether the connection can be used again after `failure` of a statement: PostgreSQL refused the statement.

    When asyncpg itself refuses the arguments, the statement was announced but not finished. PostgreSQL would keep its
    locks until the next one, and a pooler its server connection.
    """
    return isinstance(failure, asyncpg.PostgresError) and failure.severity_en == "ERROR" and not is_lost(failure)


def reason_of(failure: Exception) -> str:
    """The text of `failure` for a log line."""
    if isinstance(failure, asyncpg.TargetServerAttributeNotMatched):  # an InternalClientError, too
        wanted = _WANTED.search(str(failure))
        return _NOT_FOUND.get(wanted[1] if wanted else "", "none of the hosts is of the kind that is wanted")
    if isinstance(failure, asyncpg.InternalClientError):
        return "the connection was lost in the middle of a statement"
    return str(failure) or "no connection, or no response, within the time limit"
