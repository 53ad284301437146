"""The users of a Django site, read from its PostgreSQL in pages by id, each page in a statement of its own."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Self

import asyncpg
import orjson

from server.database.connecting import Connection, Connector
from server.database.failures import reason_of
from server.resources import statements
from server.settings.database_url import DatabaseUrl
from server.transfer.checks import MAX_ID
from server.transfer.django_users import UUID_IDS, DjangoUsers
from server.transfer.rows import PAGE_ROWS, Revoked, Row, UnusableSource

COMMAND_SECONDS = 120.0  # longest wait for a page
WHOLE_NUMBERS = ("smallint", "integer", "bigint")

# Refused, lost between two statements, or in the middle of one.
_UNUSABLE = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)


class DjangoDatabase:
    """The users of a site; `open` makes it."""

    def __init__(self, connection: Connection, users: DjangoUsers, found: asyncpg.Record) -> None:
        self._connection = connection
        self._users = users
        self._found = found
        self.total = self.highest_id = self.highest_profile_id = 0

    @classmethod
    async def open(cls, url: str, users: DjangoUsers, *, user_table: str | None) -> Self:
        """Connect, and find the tables. Raises UnusableSource."""
        connector = Connector(DatabaseUrl.read(url), command_timeout=COMMAND_SECONDS)
        try:
            connection = await connector.opener({"timezone": "UTC"})()
        except _UNUSABLE as failure:
            raise UnusableSource(f"The database of --from cannot be reached: {reason_of(failure)}") from None
        try:
            found = await connection.fetchrow(statements()["imports/source_tables"], user_table)
            source = cls(connection, users, found)
            await source._look()
        except BaseException as failure:
            connection.terminate()
            if isinstance(failure, _UNUSABLE):
                raise _unreadable(failure) from None
            raise
        return source

    async def close(self) -> None:
        """Close the connection, without waiting for the server."""
        self._connection.terminate()

    async def _look(self) -> None:
        table, key_type = self._found["user_table"], self._found["user_key_type"]
        if table is None:
            raise UnusableSource("The database of --from has no table of users: name it with --user-table.")
        if key_type not in WHOLE_NUMBERS:
            raise UnusableSource(UUID_IDS.format(kind=key_type or "missing"))
        key, profiles = self._found["user_key"], self._found["profile_table"]
        self.total, self.highest_id = await self._connection.fetchrow(
            f"select count(*), coalesce(max({key}) filter (where {key} <= {MAX_ID}), 0)"  # noqa: S608  names quoted there
            f" from {table}"
        )
        if profiles:
            self.highest_profile_id = await self._connection.fetchval(
                f"select coalesce(max(id) filter (where id <= {MAX_ID}), 0) from {profiles}"  # noqa: S608
            )
        columns = await self._connection.fetch(statements()["imports/source_columns"], table)
        missing = sorted({*self._users.needed} - {row["name"] for row in columns})
        if missing:
            raise UnusableSource(
                f"The table {table} has no column {', '.join(missing)}: [import.django] of SITE_FILE says which column"
                " an account field comes from."
            )

    async def pages(self) -> AsyncIterator[Sequence[Row]]:
        """All users in the order of their ids, at most PAGE_ROWS at once. Raises UnusableSource."""
        place, after = 0, None
        while rows := await self._fetch(self._page(), after, PAGE_ROWS):
            yield [self._row(place + number, row) for number, row in enumerate(rows, 1)]
            place, after = place + len(rows), rows[-1]["id"]

    def _row(self, place: int, row: asyncpg.Record) -> Row:
        profile = orjson.loads(row["profile"]) if row["profile"] else None
        return self._users.row(place, row["id"], orjson.loads(row["user"]), profile, row["key"])

    def _page(self) -> str:
        found = self._found
        key = f"u.{found['user_key']}"
        profile, token, joins = "null::text", "null::text", ""
        if found["profile_table"]:
            profile = "to_jsonb(p)::text"
            joins += f" left join {found['profile_table']} p on p.{found['profile_key']} = {key}"
        if found["has_tokens"]:
            token = "t.key"  # noqa: S105  the name of a column
            joins += f" left join authtoken_token t on t.user_id = {key}"
        return (
            f'select {key}::bigint as id, to_jsonb(u)::text as "user", {profile} as profile, {token} as key'  # noqa: S608
            f" from {found['user_table']} u{joins} where $1::bigint is null or {key} > $1 order by {key} limit $2"
        )

    async def revoked(self) -> AsyncIterator[Sequence[Revoked]]:
        """Refresh tokens in the blacklist that have not expired, at most PAGE_ROWS at once. Raises UnusableSource."""
        after = None
        while self._found["has_blacklist"] and (rows := await self._fetch(_REVOKED, after, PAGE_ROWS)):
            yield [Revoked(row["jti"], row["expires_at"]) for row in rows]
            after = rows[-1]["id"]

    async def _fetch(self, query: str, *arguments: Any) -> Sequence[asyncpg.Record]:
        try:
            rows: Sequence[asyncpg.Record] = await self._connection.fetch(query, *arguments)
            return rows
        except _UNUSABLE as failure:
            raise _unreadable(failure) from None


def _unreadable(failure: Exception) -> UnusableSource:
    return UnusableSource(f"The database of --from cannot be read: {reason_of(failure)}.")


_REVOKED = """
select b.id, o.jti, o.expires_at
from token_blacklist_blacklistedtoken b
join token_blacklist_outstandingtoken o on o.id = b.token_id
where ($1::bigint is null or b.id > $1) and o.expires_at > now()
order by b.id
limit $2
"""
