"""Opens connections for asyncpg: to the first host of DATABASE_URL that will do, directly or behind a pooler.

A pooler such as PgBouncer may give the server connection of a client to another one after each transaction. What a
client then leaves behind, another client finds: prepared statements, settings, locks (docs/decisions/pooler.md).
"""

import itertools
import logging
import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import asyncpg

from server.errors import StartError
from server.resources import statements
from server.settings.database_url import DatabaseUrl

log = logging.getLogger(__name__)

# The next host may do: this one cannot be reached in time (TimeoutError is an OSError), is starting or stopping, or is
# not of the kind that is wanted. Not a wrong password: libpq stops there too.
_NEXT_HOST = (OSError, asyncpg.CannotConnectNowError, asyncpg.TargetServerAttributeNotMatched)
_UNSUPPORTED = "unsupported startup parameter"  # PgBouncer's refusal of a session setting; PostgreSQL's differs
_KEPT_BY_POOLERS = ("timezone",)  # they set it whenever they give a server connection to the client

# The kernel of a machine that is alive answers at once, however slow its PostgreSQL is. After this long without an
# answer the connection ends: its machine, or the network, is gone. 3 s at rest, then one question each second.
SILENT_SECONDS = 5
_KEEPALIVE = {"TCP_KEEPIDLE": 3, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 2, "TCP_USER_TIMEOUT": SILENT_SECONDS * 1000}

_PROCESS = secrets.token_hex(8)
_numbers = itertools.count(1)


class Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg has no types
    """A connection of asyncpg that knows whether its session is its own.

    `is_pooled`: after each transaction the server connection may be another one. `begin` begins a transaction, with the
    session settings in it when the session cannot keep them.
    """

    is_pooled = False
    begin = "begin;"

    def _get_unique_id(self, prefix: str) -> str:
        """Name a prepared statement, for asyncpg.

        asyncpg counts: statement 1 of every process has the same name. Behind a pooler, one process would run it with
        the arguments of another. With these names PostgreSQL refuses the statement instead.
        """
        return f"{prefix}_{_PROCESS}_{next(_numbers):x}"

    def end_when_unreachable(self) -> None:
        """Have the kernel end the connection SILENT_SECONDS after the other machine's kernel has stopped to answer."""
        # asyncpg has no parameter for it, and its transport's socket has no setsockopt.
        descriptor = self._transport.get_extra_info("socket").fileno()
        with socket.socket(fileno=os.dup(descriptor)) as same:
            if same.family in (socket.AF_INET, socket.AF_INET6):
                same.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
                for name, value in _KEEPALIVE.items():
                    if hasattr(socket, name):  # macOS lacks some
                        same.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    async def is_of_its_own(self) -> bool:
        """Whether no pooler is in between: a pooler tells its clients another process id than the server's."""
        statement = await self.prepare(statements()["schema/backend"], name="")  # not named: it leaves nothing behind
        return bool(await statement.fetchval() == self.get_server_pid())

    async def learn_types(self) -> None:
        """Look up the types that statements need, in a transaction that is rolled back.

        asyncpg looks up a type when it meets it first, and sets `jit` for the session meanwhile. The next client of a
        pooler would find that.
        """
        await self.execute(f"begin; {_assignments('set local', {'jit': 'off'})}")
        await self.prepare(statements()["schema/array_types"], name="")
        await self.execute("rollback;")


class Connector:
    """Opens connections to the database at `url`. `command_timeout` is the longest wait for a result in seconds.

    `pooler` is DATABASE_POOLER: `auto`, `session` or `transaction`.
    """

    def __init__(self, url: DatabaseUrl, *, command_timeout: float, pooler: str = "auto") -> None:
        common = {"command_timeout": command_timeout, "connection_class": Connection}
        self._hosts = [_Host(arguments | common, pooler) for arguments in url.for_asyncpg()]
        self._pooler = pooler

    def opener(self, settings: Mapping[str, str]) -> Callable[[], Awaitable[Connection]]:
        """A function that opens a connection with these session settings.

        The hosts are tried in their order, each with a time limit of its own, as libpq does. asyncpg has one limit for
        all of them: a first host that does not answer would use it up.
        """

        async def connect() -> Connection:
            for host in self._hosts[:-1]:
                try:
                    return await host.connect(settings)
                except _NEXT_HOST:
                    continue
            return await self._hosts[-1].connect(settings)

        return connect

    async def check_pooler(self) -> None:
        """Raises StartError when DATABASE_POOLER says that sessions are kept, and the pooler does not keep them."""
        if self._pooler != "session":
            return
        connect, backend = self.opener({}), statements()["schema/backend"]
        first = await connect()
        try:
            number = await first.fetchval(backend)
            second = await connect()
            try:
                if await second.fetchval(backend) == number:
                    raise StartError(
                        "DATABASE_POOLER is session, but the pooler gives the session of one client to others: set"
                        " pool_mode = session there, or DATABASE_POOLER=transaction here."
                    )
            finally:
                second.terminate()
        finally:
            first.terminate()


class _Host:
    """One host of DATABASE_URL, and whether a pooler was found there."""

    def __init__(self, arguments: Mapping[str, Any], pooler: str) -> None:
        self._arguments = arguments
        self._pooler = pooler
        self._is_pooled = pooler == "transaction"

    async def connect(self, settings: Mapping[str, str]) -> Connection:
        """A connection with these session settings. Raises what asyncpg raises."""
        if self._pooler == "session":
            return await self._connect_to_session_pooler(settings)
        if not self._is_pooled:
            if connection := await self._connect_directly(settings):
                return connection
            self._is_pooled = True
            log.info("a pooler is in front of PostgreSQL: statements are not prepared, and sessions keep no settings")
        kept = {name: settings[name] for name in _KEPT_BY_POOLERS if name in settings}
        connection = await self._open(kept, statement_cache_size=0)
        connection.is_pooled = True
        of_transaction = {name: value for name, value in settings.items() if name not in kept}
        connection.begin = f"begin; {_assignments('set local', of_transaction)}"
        try:
            await connection.learn_types()
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def _connect_directly(self, settings: Mapping[str, str]) -> Connection | None:
        """A connection to PostgreSQL itself, or None when a pooler is there. Asked each time: hosts may change."""
        try:
            connection = await self._open(settings)
        except asyncpg.ProtocolViolationError as failure:
            if _UNSUPPORTED in str(failure):
                return None
            raise
        try:
            is_direct = await connection.is_of_its_own()
        except BaseException:
            connection.terminate()
            raise
        if not is_direct:
            connection.terminate()
        return connection if is_direct else None

    async def _connect_to_session_pooler(self, settings: Mapping[str, str]) -> Connection:
        connection = await self._open({})
        try:
            if settings:
                await connection.execute(_assignments("set", settings))
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def _open(self, settings: Mapping[str, str], **options: Any) -> Connection:
        arguments = dict(self._arguments)
        arguments["server_settings"] = arguments["server_settings"] | settings
        connection: Connection = await asyncpg.connect(**arguments, **options)
        connection.end_when_unreachable()
        return connection


def _assignments(command: str, settings: Mapping[str, str]) -> str:
    return " ".join(f"{command} {name} = '{value}';" for name, value in settings.items())
