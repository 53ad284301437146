"""`python -m tests.load.sessions`: what notes of use and rotation cost, and that refreshes leave no rows behind.

The functions of the service run on a bundled PostgreSQL of its own with fsync on, without HTTP. Options that were
refused are measured in the same run, in turn with what the service does (docs/decisions/sessions.md).
"""

import argparse
import asyncio
import itertools
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import uvloop
from psycopg import sql

from server.accounts.events import Source
from server.accounts.sessions import rotate
from server.auth import session_uses
from server.auth.session_uses import SessionUses
from server.auth.sessions import require_present_token
from server.auth.tokens import REFRESH, Claims
from server.database import migrate
from server.database.database import Database
from server.postgres.bundled import attach
from server.settings.settings import Settings

HOME = Path(__file__).parents[2] / ".cache" / "load"
ROUNDS = 5
NOTES = 1_000_000
CLIENTS = 10  # that refresh at the same moment: the connections of a process
ROUND_REFRESHES = 2000
ROW_BY_ROW = 1000  # notes of use that are written one by one
EVER = 4e9  # epoch seconds

Connection = psycopg.Connection[tuple[Any, ...]]

INDEX = "create index sessions_last_used_at on sessions (last_used_at)"  # refused: for the order of the list
SIZES = """
    select
        (select count(*) from sessions)::int,
        pg_table_size('sessions')::int / 1024,
        pg_indexes_size('sessions')::int / 1024,
        pg_stat_get_dead_tuples('sessions'::regclass)::int
"""


@contextmanager
def filled(sessions: int) -> Iterator[tuple[str, Connection]]:
    """A database with so many sessions, ten of each account: its URL, and a connection to it."""
    postgres = attach(HOME / "data", say=lambda text: None)
    name = sql.Identifier(f"sessions_{os.getpid()}")
    try:
        with psycopg.connect(postgres.url("postgres", user="postgres"), autocommit=True) as first:
            first.execute(sql.SQL("create database {} owner frontdesk").format(name))
            try:
                url = postgres.url(name.as_string().strip('"'))
                migrate.migrate(url)
                with psycopg.connect(url, autocommit=True) as connection:
                    fill(connection, sessions)
                    yield url, connection
            finally:
                first.execute(sql.SQL("drop database {} with (force)").format(name))
    finally:
        postgres.release()


def fill(connection: Connection, sessions: int) -> None:
    """Insert accounts, and ten sessions of each, last used an hour ago."""
    connection.execute(
        "insert into users (username) select 'user' || n from generate_series(1, %s) as n", [max(1, sessions // 10)]
    )
    connection.execute(
        "insert into sessions (user_id, expires_at, opened_at, last_used_at, device)"
        " select id, now() + interval '1 day', now() - interval '1 hour', now() - interval '1 hour', repeat('x', 100)"
        " from users, generate_series(1, 10)"
    )
    connection.execute("vacuum (analyze) sessions")


def note_cost(keys: Sequence[tuple[UUID, int]]) -> float:
    """Microseconds of one note of use, without the loop around it."""
    note = SessionUses(Settings()).note
    noted = list(itertools.islice(itertools.cycle(keys), NOTES))
    began = time.process_time()
    for _ in noted:
        pass
    empty = time.process_time() - began
    began = time.process_time()
    for session_id, user_id in noted:
        note(session_id, user_id)
    return (time.process_time() - began - empty) / NOTES * 1e6


async def write_rate(db: Database, connection: Connection, keys: Sequence[tuple[UUID, int]], rows: int) -> float:
    """Rows a second of the write of the uses of `keys`, `rows` in a statement."""
    connection.execute("update sessions set last_used_at = last_used_at - interval '1 hour'")
    connection.execute("vacuum sessions")
    uses, rows_before = SessionUses(Settings()), session_uses.WRITE_ROWS
    for key in keys:
        uses.note(*key)
    session_uses.WRITE_ROWS = rows
    try:
        began = time.perf_counter()
        await uses.write(db)
        return len(keys) / (time.perf_counter() - began)
    finally:
        session_uses.WRITE_ROWS = rows_before


class Refreshing:
    """Clients that refresh, each session with its present token."""

    def __init__(self, db: Database, keys: Sequence[tuple[UUID, int]]) -> None:
        self._db = db
        self._settings = Settings(refresh_rotation=True)
        self._claims = [Claims(REFRESH, user_id, session_id, EVER) for session_id, user_id in keys]
        self._next = itertools.count()

    async def with_rotation(self) -> None:
        """Refresh the next session, and keep its successor."""
        place = next(self._next) % len(self._claims)
        claims = self._claims[place]
        present = await rotate(self._db, claims, settings=self._settings, source=Source())
        assert present.rotation == claims.rotation + 1
        self._claims[place] = claims._replace(rotation=present.rotation)

    async def without_rotation(self) -> None:
        """Look the next session up, as a refresh without rotation does."""
        claims = self._claims[next(self._next) % len(self._claims)]
        await require_present_token(self._db, claims, grace=10)


async def rate(refresh: Callable[[], Awaitable[None]], number: int) -> float:
    """Refreshes a second, by CLIENTS at once."""

    async def run() -> None:
        for _ in range(number // CLIENTS):
            await refresh()

    began = time.perf_counter()
    await asyncio.gather(*(run() for _ in range(CLIENTS)))
    return number / (time.perf_counter() - began)


def say(what: str, values: Sequence[float], unit: str) -> None:
    """Print the median of `values`, and the lowest and the highest."""
    low, middle, high = (
        f"{value:,.{2 if value < 10 else 0}f}" for value in (min(values), statistics.median(values), max(values))
    )
    print(f"{what:<62}{middle:>9} {unit} ({low} to {high})", flush=True)


def say_size(when: str, connection: Connection) -> None:
    """Print rows and size of the table of sessions."""
    connection.execute("select pg_stat_clear_snapshot(), pg_stat_force_next_flush()")
    (row,) = connection.execute(SIZES).fetchall()
    print(f"{when:<34}{row[0]:>8,} rows, table {row[1]:,} kB, indexes {row[2]:,} kB, dead rows {row[3]:,}", flush=True)


async def measure(url: str, connection: Connection, refreshes: int) -> None:
    """Measure everything, and print it."""
    keys = [(row[0], row[1]) for row in connection.execute("select id, user_id from sessions").fetchall()]
    say("a note of use", [note_cost(keys[:10_000]) for _ in range(ROUNDS)], "µs")
    db = await Database.connect(url)
    try:
        rates = dict[str, list[float]]()
        for _ in range(ROUNDS):
            for what, each, rows in (
                (f"last uses, {session_uses.WRITE_ROWS:,} rows in a statement", keys, session_uses.WRITE_ROWS),
                ("last uses, a statement for each row", keys[:ROW_BY_ROW], 1),
            ):
                rates.setdefault(what, []).append(await write_rate(db, connection, each, rows))
            connection.execute(INDEX)
            indexed = await write_rate(db, connection, keys, session_uses.WRITE_ROWS)
            rates.setdefault("last uses, with an index on last_used_at", []).append(indexed)
            connection.execute("drop index sessions_last_used_at")
        connection.execute("vacuum (full, analyze) sessions")
        refreshing = Refreshing(db, keys)
        for _ in range(ROUNDS):
            for what, refresh in (
                ("refreshes with rotation, 10 at once", refreshing.with_rotation),
                ("refreshes without rotation, 10 at once", refreshing.without_rotation),
            ):
                rates.setdefault(what, []).append(await rate(refresh, ROUND_REFRESHES))
        for what, measured in rates.items():
            say(what, measured, "a second")
        await many_refreshes(db, connection, refreshes)
    finally:
        await db.close()


async def many_refreshes(db: Database, connection: Connection, refreshes: int) -> None:
    """Refresh a thousand sessions very often, and print the size of the table. PostgreSQL vacuums as it is set up."""
    connection.execute("delete from users where id > 100")
    connection.execute("update sessions set rotation = 0, rotated_at = null")
    connection.execute("vacuum (full, analyze) sessions")
    keys = [(row[0], row[1]) for row in connection.execute("select id, user_id from sessions").fetchall()]
    say_size("before", connection)
    await rate(Refreshing(db, keys).with_rotation, refreshes)
    (row,) = connection.execute("select sum(rotation)::int from sessions").fetchall()
    assert row[0] == refreshes, row
    say_size(f"after {refreshes:,} refreshes", connection)
    connection.execute("vacuum sessions")
    say_size("after vacuum", connection)


def main() -> int:
    """Measure. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.sessions", description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=20_000, help="sessions in the database (20,000)")
    parser.add_argument("--refreshes", type=int, default=100_000, help="refreshes of 1,000 sessions (100,000)")
    given = parser.parse_args()
    HOME.mkdir(parents=True, exist_ok=True)
    with (
        filled(given.sessions) as (url, connection),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop,
    ):
        loop.run(measure(url, connection, given.refreshes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
