"""Opens connections for asyncpg: to the first host of DATABASE_URL that will do."""

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import asyncpg

from server.settings.database_url import DatabaseUrl

if TYPE_CHECKING:
    from server.database.batch_connections import Connection

# The next host may do: this one cannot be reached in time (TimeoutError is an OSError), is starting or stopping, or is
# not of the kind that is wanted. Not a wrong password: libpq stops there too.
_NEXT_HOST = (OSError, asyncpg.CannotConnectNowError, asyncpg.TargetServerAttributeNotMatched)


def connector(
    url: DatabaseUrl, session_settings: Mapping[str, str], *, command_timeout: float
) -> "Callable[..., Awaitable[Connection]]":
    """A function that opens a connection. `command_timeout` is the longest wait for a result in seconds.

    The hosts are tried in their order, each with a time limit of its own, as libpq does. asyncpg has one limit for all
    of them: a first host that does not answer would use it up.
    """
    hosts = url.for_asyncpg()
    for each in hosts:
        each["server_settings"] = each["server_settings"] | session_settings

    async def connect(*_: Any, **options: Any) -> "Connection":
        for each in hosts[:-1]:
            try:
                return await _connect(each, options)
            except _NEXT_HOST:
                continue
        return await _connect(hosts[-1], options)

    async def _connect(arguments: Mapping[str, Any], options: Mapping[str, Any]) -> "Connection":
        connection: Connection = await asyncpg.connect(**arguments, **options, command_timeout=command_timeout)
        return connection

    return connect
