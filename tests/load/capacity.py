"""`python -m tests.load.capacity`: what PostgreSQL alone carries: bytes a row, processor time a statement, vacuum.

For docs/scale.md. On a bundled PostgreSQL of its own; statements do not wait for the disk. Processor time is that of
the one server process that runs the statements (Linux). A statement that was refused is measured, too.
"""

import argparse
import asyncio
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import psycopg

from server.database import migrate
from server.postgres.bundled import attach
from server.resources import statements

HOME = Path(__file__).parents[2] / ".cache" / "load"
ROUNDS = 9
PAGES = 300  # in each round of each statement
VACUUM_SHARE = 0.2  # of the rows: when PostgreSQL vacuums by itself (autovacuum_vacuum_scale_factor)
EVER = 4e8  # seconds

FILL = """
set session_replication_role = replica;
insert into users (username, email, password)
select 'person' || n, 'person' || n || '@example.com', 'bcrypt_sha256$' || repeat('x', 60)
from generate_series(1, current_setting('load.accounts')::int) n;
insert into profiles (user_id, description, location, is_creator)
select id, 'Number ' || id || ' of the film club.', 'Lisbon', id % 2 = 0 from users order by id;
insert into sessions (user_id, expires_at) select id, now() + interval '1 year' * random() from users order by id;
insert into sign_in_networks (user_id, network) select id, '10.0.0.0'::inet + id from users order by id;
insert into events (kind, happened_at, user_id, actor_id, address, device, request_id, details)
select 'signed_in', now() + id * interval '1 ms', id, id, '10.0.0.0'::inet + id, repeat('x', 120), 'fead760993-2',
    '{"by": "session"}'
from users order by id;
reset session_replication_role;
"""
SIZES = """
select (pg_table_size(t::regclass) / n)::int, (pg_indexes_size(t::regclass) / n)::int
from (select %s as t, (select count(*) from users) as n) as table_of
"""

# Refused: the account beside the session, so that a sharded database asks one shard.
PAIRS_INDEX = "create index sessions_pairs on sessions (user_id, id)"
PAIRS = """
select s.id, s.user_id, u.username, u.email, u.is_staff, u.role, u.account_fields
from (
    select s.id, s.user_id
    from unnest($1::uuid[], $2::bigint[]) as asked (id, user_id)
    join sessions s on s.id = asked.id and s.user_id = asked.user_id
    where s.expires_at > now()
    offset 0
) as s
join users u on u.id = s.user_id
where u.is_active
"""


@contextmanager
def filled(accounts: int) -> Iterator[str]:
    """The URL of a superuser's connections to a database with so many accounts, each with a row in each table."""
    postgres = attach(HOME / "capacity", say=lambda text: None)
    try:
        with psycopg.connect(postgres.url("postgres", user="postgres"), autocommit=True) as first:
            first.execute("drop database if exists capacity with (force)")
            first.execute("create database capacity owner frontdesk")
            migrate.migrate(postgres.url("capacity"))
            url = postgres.url("capacity", user="postgres")
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("select set_config('load.accounts', %s, false)", [str(accounts)])
                connection.execute(FILL)
                connection.execute("vacuum (analyze)")
            yield url
            first.execute("drop database capacity with (force)")
    finally:
        postgres.release()


def say_sizes(url: str) -> None:
    """Print the bytes of a row of each table."""
    print("bytes a row: table, indexes", flush=True)
    with psycopg.connect(url) as connection:
        for table in ("users", "profiles", "sessions", "events", "sign_in_networks"):
            (row,) = connection.execute(SIZES, [table]).fetchall()
            print(f"  {table:<18}{row[0]:>6}{row[1]:>6}", flush=True)


def processor_seconds(pid: int) -> float:
    """Processor time of a process."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


async def say_statements(url: str) -> None:
    """Print the processor time of PostgreSQL for a row of each statement, in batches of 1, 16 and 64."""
    settings = {"jit": "off", "plan_cache_mode": "force_generic_plan", "synchronous_commit": "off"}
    connection = await asyncpg.connect(url, server_settings=settings)
    await connection.execute(PAIRS_INDEX)
    keys = await connection.fetch(
        "select s.id, s.user_id, p.id as profile from sessions s join profiles p using (user_id)"
    )
    random.Random(1).shuffle(keys)
    given = '{"location": "Rome"}'
    texts = statements()
    cases: dict[str, tuple[str, Callable[[Any], list[Any]]]] = {
        "sessions/identify": (texts["sessions/identify"], lambda rows: [[row["id"] for row in rows]]),
        "the same by pairs": (PAIRS, lambda rows: [[row["id"] for row in rows], [row["user_id"] for row in rows]]),
        "sessions/identify_refresh": (texts["sessions/identify_refresh"], lambda rows: [[row["id"] for row in rows]]),
        "profiles/edit": (
            texts["profiles/edit"],
            lambda rows: [[row["profile"] for row in rows], [given for _ in rows]],
        ),
    }
    print("processor time of PostgreSQL a row, in µs (median of rounds in turn): batches of 1, 16, 64", flush=True)
    prepared = {name: await connection.prepare(text) for name, (text, _) in cases.items()}
    taken: dict[tuple[str, int], list[float]] = {}
    for _ in range(ROUNDS):
        for size in (1, 16, 64):
            for name, (_, arguments) in cases.items():
                pages = [
                    arguments(keys[place : place + size]) for place in range(0, min(PAGES * size, len(keys)), size)
                ]
                began = processor_seconds(connection.get_server_pid())
                for page in pages:
                    await prepared[name].fetch(*page)
                spent = processor_seconds(connection.get_server_pid()) - began
                taken.setdefault((name, size), []).append(spent / (len(pages) * size) * 1e6)
    for name in cases:
        columns = "".join(f"{statistics.median(taken[name, size]):>8.1f}" for size in (1, 16, 64))
        print(f"  {name:<28}{columns}", flush=True)
    await connection.execute("drop index sessions_pairs")
    await connection.close()


async def say_vacuum(url: str, refreshes: int) -> None:
    """Print how the table of sessions grows under refreshes with rotation, and what its vacuums take."""
    connection = await asyncpg.connect(url)
    await connection.execute("alter table sessions set (autovacuum_enabled = false)")
    await connection.execute("vacuum (full, analyze) sessions")
    keys = await connection.fetch("select id, user_id from sessions")
    sizes = "select pg_table_size('sessions') / 1e6, pg_indexes_size('sessions') / 1e6"
    print("sessions: {:.0f} MB, indexes {:.0f} MB".format(*await connection.fetchrow(sizes)), flush=True)
    step, done, vacuums = max(1, int(len(keys) * VACUUM_SHARE)), 0, []
    order = random.Random(1)
    while done < refreshes:
        rotation = done // len(keys)
        if done % len(keys) == 0:
            order.shuffle(keys)
        page = keys[done % len(keys) :][:step]
        await connection.executemany(
            statements()["sessions/rotate"], [(row["id"], row["user_id"], rotation, 10.0, EVER, EVER) for row in page]
        )
        done += len(page)
        began = time.perf_counter()
        await connection.execute("vacuum sessions")
        vacuums.append(time.perf_counter() - began)
    assert await connection.fetchval("select sum(rotation) from sessions") == done
    print("after {:,} refreshes: {:.0f} MB, indexes {:.0f} MB".format(done, *await connection.fetchrow(sizes)))
    print(f"{len(vacuums)} vacuums: {statistics.median(vacuums):.2f} s, {max(vacuums):.2f} s at most", flush=True)
    await connection.close()


def main() -> int:
    """Measure. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.capacity", description=__doc__.splitlines()[0])
    parser.add_argument("--accounts", type=int, default=200_000, help="accounts in the database (200,000)")
    parser.add_argument(
        "--refreshes", type=int, default=1_000_000, help="refreshes of all sessions in turn (1,000,000)"
    )
    given = parser.parse_args()
    HOME.mkdir(parents=True, exist_ok=True)
    with filled(given.accounts) as url:
        say_sizes(url)
        asyncio.run(say_statements(url))
        asyncio.run(say_vacuum(url, given.refreshes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
