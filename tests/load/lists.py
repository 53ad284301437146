"""How long searched, filtered and ordered lists take with a million accounts: `python -m tests.load.lists`.

It fills a bundled PostgreSQL of its own in `.cache/lists`, which is kept, and asks for each page as the endpoints do.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psycopg

from server.accounts import listing
from server.accounts.listing import Asked
from server.database import migrate
from server.database.database import Database
from server.postgres.bundled import BundledPostgres, attach
from server.resources import statements

FILL = Path(__file__).parent / "fill_lists.sql"
FOLDER = Path(".cache") / "lists"
ROUNDS = 9

Ask = Callable[[Database], Awaitable[list[Any]]]


def _accounts(**asked: Any) -> Ask:
    flags = {name: asked.pop(name) for name in ("is_active", "is_staff", "awaits_activation") if name in asked}
    return lambda db: listing.accounts(db, Asked(limit=100, **asked), **flags)


def _profiles(**asked: Any) -> Ask:
    return lambda db: listing.profiles(db, Asked(limit=100, **asked), of_deactivated=False)


def questions(middle: int, last: int) -> dict[str, Ask]:
    """The lists that are measured. `middle` and `last` are ids of accounts."""
    return {
        "the first page": _accounts(),
        "a page in the middle": _accounts(after=middle),
        "the newest": _accounts(ordering="-id"),
        "by username": _accounts(ordering="username"),
        "by username, a page in the middle, downwards": _accounts(ordering="-username", after=middle),
        "search a rare text": _accounts(search=f"son{last}@"),
        "search a name": _accounts(search="karimel"),
        "search a name in Cyrillic": _accounts(search="МАРИЯ"),
        "search a common text": _accounts(search="mar"),
        "search a text of almost all": _accounts(search="person"),
        "search a text of almost all, by username": _accounts(search="person", ordering="username"),
        "search a name, by username": _accounts(search="karimel", ordering="username"),
        "search one letter": _accounts(search="b"),
        "search a text of common grams that nobody has": _accounts(search="mailsonper"),
        "search with digits": _accounts(search="00100200"),
        "search nothing": _accounts(search="zzzzzz"),
        "staff": _accounts(is_staff=True),
        "those that wait": _accounts(awaits_activation=True, ordering="-id"),
        "deactivated": _accounts(is_active=False, after=middle),
        "of a rare role": _accounts(role="principal"),
        "of a rare role, by username": _accounts(role="principal", ordering="username"),
        "deactivated staff, found": _accounts(is_staff=True, is_active=False, search="person"),
        "of no such role, by username": _accounts(role="nobody", ordering="username"),
        "profiles: search a name": _profiles(search="karimel"),
        "profiles: search a text of almost none": _profiles(search="gmail"),
        "profiles: by username": _profiles(ordering="user"),
        "profiles: search one letter, the newest": _profiles(search="b", ordering="-id"),
        "profiles: of a rare role": _profiles(role="principal"),
    }


def fill(server: BundledPostgres, accounts: int) -> str:
    """The URL of a database with so many accounts; made once."""
    name = f"lists_{accounts}_{len(migrate.names())}"
    with psycopg.connect(server.url("postgres", user="postgres"), autocommit=True) as connection:
        if connection.execute("select from pg_database where datname = %s", [name]).fetchone() is None:
            connection.execute(f'create database "{name}" owner frontdesk'.encode())
    url = server.url(name)
    migrate.migrate(url)
    with psycopg.connect(server.url(name, user="postgres"), autocommit=True) as connection:
        if connection.execute("select from users limit 1").fetchone() is None:
            print(f"filling a database with {accounts:,} accounts: some minutes", flush=True)
            connection.execute("select set_config('load.accounts', %s, false)", [str(accounts)])
            connection.execute(FILL.read_bytes())
            connection.execute("vacuum (freeze, analyze)")
    return url


async def measure(url: str, *, explain: bool) -> None:
    """Print the median and the worst of ROUNDS pages for each question."""
    db = await Database.connect(url)
    try:
        async with db.transaction() as transaction:
            text = "select min(id) + count(*) / 2 as middle, max(id) - 3 as last, count(*) as number from users"
            row = await transaction.connection.fetchrow(text)
        print(f"\n{row['number']:,} accounts; milliseconds for a page of 100\n\n| list | median | worst | rows |")
        print("|---|--:|--:|--:|")
        for name, ask in questions(row["middle"], row["last"]).items():
            taken, rows = [], list[Any]()
            for _ in range(ROUNDS):
                began = time.perf_counter()
                rows = await ask(db)
                taken.append(1000 * (time.perf_counter() - began))
            print(f"| {name} | {statistics.median(taken):.1f} | {max(taken):.1f} | {min(len(rows), 100)} |", flush=True)
    finally:
        await db.close()
    if explain:
        _explain(url)


def _explain(url: str) -> None:
    """Print the plans of pages that are found by an index of grams, and of one that a filter finds."""
    shown: dict[str, tuple[str, list[Any]]] = {
        "users/page, search karimel": ("users/page", [0, 101, "karimel", None, None, None, None]),
        "users/page, search person": ("users/page", [0, 101, "person", None, None, None, None]),
        "users/page_by_name, search karimel": ("users/page_by_name", [None, 101, "karimel", None, None, None, None]),
        "users/page, staff": ("users/page", [0, 101, None, None, True, None, None]),
    }
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("set plan_cache_mode = force_custom_plan")
        for title, (name, values) in shown.items():
            connection.execute(f"prepare asked as {statements()[name]}".encode())
            literals = ", ".join("null" if each is None else f"'{each}'" for each in values)
            plan = connection.execute(f"explain (analyze, costs off) execute asked({literals})".encode()).fetchall()
            print(f"\n{title}\n", *(line for (line,) in plan), sep="\n")
            connection.execute("deallocate asked")


def main() -> None:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=1_000_000)
    parser.add_argument("--explain", action="store_true", help="print the plans of some lists, too")
    options = parser.parse_args()
    server = attach(FOLDER, say=print)
    try:
        asyncio.run(measure(fill(server, options.accounts), explain=options.explain))
    finally:
        server.release()


if __name__ == "__main__":
    main()
