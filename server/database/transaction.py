"""The statements that run inside one transaction."""

from collections.abc import Callable, Mapping
from typing import Any

import asyncpg

from server.database.connecting import Connection
from server.telemetry.instruments import Stopwatch
from server.telemetry.metrics import STATEMENT_SECONDS


class Transaction:
    """Runs statements of `sql/` by name, on one connection. `Database.transaction` makes it."""

    def __init__(self, connection: Connection, sql: Mapping[str, str]) -> None:
        self.connection = connection  # for libraries that run statements of their own inside this transaction
        self._sql = sql
        self._after_commit: list[Callable[[], None]] = []

    def after_commit(self, call: Callable[[], None]) -> None:
        """Call `call` after this transaction has committed; not at all when it is rolled back."""
        self._after_commit.append(call)

    def committed(self) -> None:
        """Make the calls that wait for the commit, in their order. For `Database.transaction`."""
        for call in self._after_commit:
            call()

    async def rows(self, name: str, *arguments: Any) -> list[asyncpg.Record]:
        """Every row of the statement `name`."""
        with Stopwatch(STATEMENT_SECONDS, name):
            rows: list[asyncpg.Record] = await self.connection.fetch(self._sql[name], *arguments)
            return rows

    async def row(self, name: str, *arguments: Any) -> asyncpg.Record | None:
        """The first row of the statement `name`, or None."""
        with Stopwatch(STATEMENT_SECONDS, name):
            return await self.connection.fetchrow(self._sql[name], *arguments)
