"""The queue of letters for people: what waits, what was given up and why. No address, link or token is told."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from server.database.database import Database

ROWS = 1000  # letters that are listed


async def tell(db: Database, say: Callable[[str], None], *, again: bool) -> None:
    """Say a line for each letter that was given up or waits; with `again` those given up are queued anew before.

    Raises Unavailable.
    """
    if again:
        queued = await db.rows("letters/again")
        say(f"Queued anew: {len(queued)}.")
    rows = await db.rows("letters/list", ROWS)
    for row in rows:
        say(_line(row))
    given_up = sum(row["given_up_at"] is not None for row in rows)
    more = " or more" if len(rows) == ROWS else ""
    say(f"Given up: {given_up}. Waiting: {len(rows) - given_up}{more}.")


def _line(row: Any) -> str:
    whose = row["username"] or "whoever has the address"
    where, queued = row["domain"] or "no address", _moment(row["queued_at"])
    head = f"{row['id']} {row['kind']} for {whose} at {where}, queued {queued}"
    if row["given_up_at"] is not None:
        return f"{head}, given up {_moment(row['given_up_at'])} after {row['tries']} tries: {row['fault']}"
    if row["fault"]:
        return f"{head}, {row['tries']} tries, the next {_moment(row['due_at'])}: {row['fault']}"
    return f"{head}, waits"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%SZ}"
