"""Periodic work beside the requests goes on after any failure, and pauses between two rounds."""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest

from server import background
from server.app import create_app
from server.database.database import Database
from server.errors import Unavailable
from server.postgres.bundled import BundledPostgresError
from server.settings.settings import Settings
from server.web.app_keys import DB
from tests.conftest import FrontdeskServer
from tests.rows import Connection, count

REVIVE_PAUSE_SECONDS = background.REVIVE_PAUSE_SECONDS


@asynccontextmanager
async def serving(settings: Settings, restart: Callable[[], bool] | None = None) -> AsyncIterator[Database]:
    """A running service: its database."""
    server = FrontdeskServer(create_app(settings, restart_database=restart))
    async with server:
        yield server.app[DB]


async def until_empty(database: Connection, table: str) -> None:
    """Wait until `table` has no rows."""
    async with asyncio.timeout(10):
        while count(database, table):
            await asyncio.sleep(0.001)


class Sleeps:
    """Replaces asyncio.sleep: pauses of `seconds` end at once and are recorded, until `allowed` are used up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, allowed: Callable[[float], bool], rounds: int) -> None:
        self.recorded: list[float] = []
        self._allowed, self._rounds, self._sleep = allowed, rounds, asyncio.sleep
        monkeypatch.setattr(asyncio, "sleep", self.sleep)

    async def sleep(self, seconds: float) -> None:
        if not self._allowed(seconds):
            await self._sleep(seconds)
        elif len(self.recorded) < self._rounds:
            self.recorded.append(seconds)
            await self._sleep(0)
        else:
            await asyncio.Event().wait()


def is_sweep_pause(seconds: float) -> bool:
    """Whether a pause is one between two sweeps, which differ by a random factor."""
    return 0.5 * background.SWEEP_SECONDS <= seconds <= 1.5 * background.SWEEP_SECONDS


def insert_expired(database: Connection, sessions: int, one_time_tokens: int = 1) -> None:
    """Insert expired sessions, and expired one-time tokens of as many accounts."""
    accounts = max(1, one_time_tokens)
    database.execute("insert into users (username) select 'anna' || n from generate_series(1, %s) as n", [accounts])
    database.execute(
        "insert into sessions (user_id, expires_at) select min(users.id), now() - interval '1 minute'"
        " from users, generate_series(1, %s) as n group by n",
        [sessions],
    )
    database.execute(
        "insert into one_time_tokens (user_id, purpose, hash, expires_at)"
        " select id, 'activation', 'hash', now() - interval '1 minute' from users order by id limit %s",
        [one_time_tokens],
    )


async def test_the_service_sweeps_expired_rows_and_keeps_the_others(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, database: Connection
) -> None:
    monkeypatch.setattr(background, "SWEEP_SECONDS", 0.01)
    insert_expired(database, sessions=1)
    database.execute("insert into sessions (user_id, expires_at) select id, now() + interval '1 minute' from users")
    async with serving(settings), asyncio.timeout(10):
        while count(database, "sessions") > 1 or count(database, "one_time_tokens"):
            await asyncio.sleep(0)
    left = database.execute("select expires_at > now() as is_valid from sessions").fetchall()
    assert left == [{"is_valid": True}]


async def test_the_service_sweeps_limits_that_count_nothing_any_more(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, database: Connection
) -> None:
    monkeypatch.setattr(background, "SWEEP_SECONDS", 0.01)
    database.execute("insert into limits values ('a', now()), ('used', now() + interval '1 hour')")
    async with serving(settings), asyncio.timeout(10):
        while count(database, "limits") > 1:
            await asyncio.sleep(0)
    assert database.execute("select key from limits").fetchall() == [{"key": "used"}]


async def test_one_sweep_deletes_more_rows_than_one_statement_does(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, database: Connection
) -> None:
    monkeypatch.setattr(background, "SWEEP_ROWS", 2)
    insert_expired(database, sessions=5, one_time_tokens=3)
    sleeps = Sleeps(monkeypatch, is_sweep_pause, rounds=1)
    async with serving(settings):
        await until_empty(database, "sessions")
        await until_empty(database, "one_time_tokens")
    assert len(sleeps.recorded) == 1


async def test_a_sweep_deletes_so_many_sessions_the_oldest_first_and_waits_for_no_lock(
    database: Connection, database_url: str
) -> None:
    insert_expired(database, sessions=0)
    for minutes in (1, 4, 3, 2):
        database.execute(
            "insert into sessions (id, user_id, expires_at) select lpad(%(age)s::text, 32, '0')::uuid, id,"
            " now() - make_interval(mins => %(age)s) from users",
            {"age": minutes},
        )
    db = await Database.connect(database_url)
    with psycopg.connect(database_url) as other:
        other.execute("select from sessions where id = %s for update", [uuid.UUID("0" * 31 + "4")])
        try:
            async with asyncio.timeout(4):  # lock_timeout is 5 s
                swept = [[row["id"].int for row in await db.rows("sessions/sweep", 2)] for _ in range(3)]
        finally:
            await db.close()
    assert [sorted(ids) for ids in swept] == [[2, 3], [1], []]


async def test_processes_that_start_together_do_not_sweep_together(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    sleeps = Sleeps(monkeypatch, is_sweep_pause, rounds=30)
    async with serving(settings), asyncio.timeout(10):
        while len(sleeps.recorded) < 30:
            await asyncio.sleep(0)
    assert len(set(sleeps.recorded)) == 30
    assert max(sleeps.recorded) - min(sleeps.recorded) > background.SWEEP_SECONDS / 4


@pytest.mark.parametrize(("failure", "level"), [(Unavailable(), "WARNING"), (ValueError("unexpected"), "ERROR")])
async def test_the_sweep_goes_on_after_a_failure_and_logs_it(
    monkeypatch: pytest.MonkeyPatch,
    settings: Settings,
    database: Connection,
    caplog: pytest.LogCaptureFixture,
    failure: Exception,
    level: str,
) -> None:
    rows = Database.rows
    failures = [failure]

    async def fail_once(db: Database, name: str, *arguments: Any) -> Any:
        if name == "sessions/sweep" and failures:
            raise failures.pop()
        return await rows(db, name, *arguments)

    insert_expired(database, sessions=1)
    monkeypatch.setattr(Database, "rows", fail_once)
    sleeps = Sleeps(monkeypatch, is_sweep_pause, rounds=2)
    async with serving(settings):
        await until_empty(database, "sessions")
        await until_empty(database, "one_time_tokens")
    assert (len(sleeps.recorded), failures) == (2, [])
    assert [record.levelname for record in caplog.records if record.name == background.__name__] == [level]


class CrashingDatabase:
    """A bundled database that crashes again after every restart, until it was restarted three times."""

    def __init__(self, outcomes: list[bool | Exception]) -> None:
        self.events: list[str | float] = []
        self.done = asyncio.Event()
        self._outcomes = outcomes
        self._loop = asyncio.get_running_loop()

    def restart(self) -> bool:
        """Record the attempt and report a new crash; runs in a thread of the service."""
        self.events.append("restart")
        outcome = self._outcomes.pop(0)
        self._loop.call_soon_threadsafe(self.crash if self._outcomes else self.done.set)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def crash(self) -> None:
        self.db.lost.set()

    async def run(self, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
        """Serve on this database until the last restart."""
        sleep = asyncio.sleep

        async def record(seconds: float) -> None:
            if seconds == REVIVE_PAUSE_SECONDS:
                self.events.append(seconds)
                seconds = 0
            await sleep(seconds)

        async with serving(settings, self.restart) as self.db:
            monkeypatch.setattr(asyncio, "sleep", record)
            self.crash()
            async with asyncio.timeout(10):
                await self.done.wait()


async def test_a_database_that_keeps_crashing_is_restarted_with_a_pause_after_each_attempt(
    monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    crashing = CrashingDatabase([True, BundledPostgresError("no space"), True, True])
    await crashing.run(monkeypatch, settings)
    assert REVIVE_PAUSE_SECONDS >= 0.1
    pause = ["restart", REVIVE_PAUSE_SECONDS]
    assert crashing.events[:7] == [*pause, *pause, *pause, "restart"]


@pytest.mark.parametrize("failure", [BundledPostgresError("no space"), ValueError("unexpected")])
async def test_restarting_the_database_goes_on_after_a_failure_and_logs_it(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, caplog: pytest.LogCaptureFixture, failure: Exception
) -> None:
    with caplog.at_level(logging.WARNING, background.__name__):
        await CrashingDatabase([failure, True, False]).run(monkeypatch, settings)
    logged = [record.levelname for record in caplog.records if record.name == background.__name__]
    assert logged == ["ERROR", "WARNING"]
