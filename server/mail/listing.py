"""Lists letters for operators: waiting ones, and given up ones with the reason. Shows no address, link or token."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from server.database.database import Database

LISTED_LETTERS_MAX = 1000


async def list_letters(db: Database, say: Callable[[str], None], *, again: bool) -> None:
    """Call `say` with a line for each letter and a summary. With `again`, first queue given up letters again.

    Raises Unavailable.
    """
    if again:
        queued = await db.rows("letters/again")
        say(f"Queued again: {len(queued)}.")
    rows = await db.rows("letters/list", LISTED_LETTERS_MAX)
    for row in rows:
        say(_line(row))
    given_up = sum(row["given_up_at"] is not None for row in rows)
    more = " or more" if len(rows) == LISTED_LETTERS_MAX else ""
    say(f"Given up: {given_up}. Waiting: {len(rows) - given_up}{more}.")


def _line(row: Any) -> str:
    nameless = "any account with the address" if row["user_id"] is None else f"account {row['user_id']}"
    account = row["username"] or nameless
    where, queued = row["domain"] or "no address", _utc_time(row["queued_at"])
    head = f"{row['id']} {row['kind']} for {account} at {where}, queued {queued}"
    if row["given_up_at"] is not None:
        return f"{head}, given up {_utc_time(row['given_up_at'])} after {row['tries']} tries: {row['fault']}"
    if row["fault"]:
        return f"{head}, {row['tries']} tries, the next {_utc_time(row['due_at'])}: {row['fault']}"
    return f"{head}, waits"


def _utc_time(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%SZ}"
