"""The Unix socket of the bundled PostgreSQL: which process listens on it, and statements sent over it."""

import contextlib
import select
import socket
import struct
from pathlib import Path
from typing import Any

import psycopg
from psycopg.pq import ExecStatus

PORT = 5432  # not opened on the network: a part of the socket's name
ASK_SECONDS = 5
PING = "select 1"
PEER_SECONDS = 2.0

# SQLSTATEs of temporary errors: the server starts, stops or recovers (57P), all its connections are in use.
TEMPORARY_STATES = ("57P", "53300")
# The same as texts, because libpq does not give the SQLSTATE of a failed connection. They are in English:
# `server.py` sets lc_messages. PQping would give some of it, but it holds the GIL until its timeout (measured: 2 s).
TEMPORARY_TEXTS = (
    *("the database system is ", "terminating connection"),
    *("too many clients already", "remaining connection slots are reserved"),
)


class RefusedError(Exception):
    """The server responded with an error that is not temporary."""


def socket_path(socket_dir: Path, port: int = PORT) -> Path:
    """Return the path of the socket that PostgreSQL makes in `socket_dir`."""
    return socket_dir / f".s.PGSQL.{port}"


def ask(socket_dir: Path, statement: str, limit: int = ASK_SECONDS) -> list[str]:
    """Run one statement as the superuser `postgres`, and return the columns of its first row as text.

    Connecting may take `limit` seconds, and the statement as long again. Raises RefusedError, and OSError when
    the server is not reachable yet or no longer.
    """
    if not socket_path(socket_dir).exists():  # saves libpq's work: a start looks every 5 ms
        raise ConnectionRefusedError("there is no socket")
    try:
        with contextlib.closing(_connect(socket_dir, limit)) as connection:
            return _first_row(connection, statement, limit)
    except psycopg.errors.ConnectionTimeout as error:
        raise TimeoutError(f"no connection within {limit} s") from error
    except psycopg.Error as error:
        raise _failure(error) from error


def reacts(socket_dir: Path, limit: int) -> bool:
    """Whether the server says anything within `limit` seconds, if only that it refuses or is not there."""
    try:
        ask(socket_dir, PING, limit)
    except TimeoutError:
        return False
    except (OSError, RefusedError):
        pass
    return True


def peer(socket_dir: Path, port: int = PORT) -> int | None:
    """Return the pid of the process that listens on the socket, as the kernel reports it.

    None if no process listens, or if the system does not report it, as on macOS.
    """
    with contextlib.suppress(OSError, AttributeError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PEER_SECONDS)
        connection.connect(str(socket_path(socket_dir, port)))
        pid, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(pid) if pid > 1 else None
    return None


def _connect(socket_dir: Path, limit: int) -> "psycopg.Connection[Any]":
    return psycopg.connect(
        host=str(socket_dir), port=PORT, user="postgres", dbname="postgres", connect_timeout=limit, autocommit=True
    )


def _first_row(connection: "psycopg.Connection[Any]", statement: str, limit: int) -> list[str]:
    # Not `execute`, which waits without a limit; `statement_timeout` is no limit where a disk hangs.
    server = connection.pgconn
    server.send_query(statement.encode())
    if not select.select([server.socket], [], [], limit)[0]:
        raise TimeoutError(f"no response within {limit} s")
    result = server.get_result()
    assert result is not None
    if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        raise psycopg.errors.error_from_result(result)
    columns = range(result.nfields) if result.ntuples else ()
    return [(result.get_value(0, column) or b"").decode() for column in columns]


def _failure(error: psycopg.Error) -> OSError | RefusedError:
    text = str(error)
    if error.sqlstate:
        is_temporary = error.sqlstate.startswith(TEMPORARY_STATES)
    else:  # without FATAL the socket failed, and the server did not respond
        is_temporary = "FATAL:" not in text or any(each in text for each in TEMPORARY_TEXTS)
    return ConnectionRefusedError(text) if is_temporary else RefusedError(text)
