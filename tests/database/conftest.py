"""What tests of the database share."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from server.database.batching import SLOW_BATCH_SECONDS
from server.database.database import Database
from tests.database.batches import LockedRows, Statement
from tests.database.replicas import copy

__all__ = ["copy"]

Connect = Callable[..., Awaitable[Database]]


@pytest.fixture
async def connect(database_url: str, database: Any) -> AsyncIterator[Connect]:
    """Connects to the database as the service does. Closes at the end of the test, also when it fails: an open
    connection would keep the bundled PostgreSQL from stopping."""
    made = []

    async def make(**options: Any) -> Database:
        made.append(await Database.connect(database_url, **options))
        return made[-1]

    yield make
    for each in made:
        await each.close()


@pytest.fixture
async def db(connect: Connect) -> Database:
    """The database as the service uses it."""
    return await connect()


@pytest.fixture
def ids(database: Any) -> list[int]:
    """The ids of ten profiles."""
    database.execute("insert into users (username) select 'p' || n from generate_series(1, 10) n")
    return [row["id"] for row in database.execute("select id from profiles order by id").fetchall()]


@pytest.fixture
def statement() -> Statement:
    """A statement that the test answers."""
    return Statement()


@pytest.fixture
def locked_rows() -> LockedRows:
    """Rows that run alone until the test unlocks them."""
    return LockedRows()


@pytest.fixture
async def slow_timers(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], Any]]:
    """One function for each batch that was sent: calling it makes the batch slow. No batch becomes slow by itself."""
    timers: list[Callable[[], Any]] = []
    loop = asyncio.get_running_loop()
    call = loop.call_later

    def call_later(delay: float, callback: Any, *arguments: Any, context: Any = None) -> asyncio.Handle:
        if delay != SLOW_BATCH_SECONDS:
            return call(delay, callback, *arguments, context=context)
        timers.append(lambda: callback(*arguments))
        return asyncio.Handle(callback, arguments, loop)

    monkeypatch.setattr(loop, "call_later", call_later)
    return timers
