"""What is stored about an account, for the person who asks for it (GDPR article 15)."""

from collections.abc import AsyncIterator
from typing import Any

import orjson

from server.accounts import events
from server.accounts.events import Source
from server.database.database import Database
from server.database.ids import MAX_ID

ROWS_AT_ONCE = 500  # of sessions and events: about 200 kB

Pieces = AsyncIterator[bytes]
"""The pieces of a JSON text. Each is written when the one before has been taken, and ends between two tokens."""


async def export(db: Database, user_id: int, *, source: Source) -> Pieces | None:
    """Everything about an account, as JSON; None when there is none. Without hashes of passwords, tokens and links.

    Its events are all that are kept; what other accounts did to it has no address and device of theirs. No connection
    is held between two pieces: a client that reads slowly keeps none, and a million events need the memory of a page.
    Raises Unavailable, also while the pieces are read.
    """
    async with db.transaction() as transaction:
        row = await transaction.row("users/export", user_id)
        if row is None:
            return None
        await events.record(transaction, events.EXPORTED, user_id, source)
    return _pieces(db, user_id, orjson.loads(row["account"]))


async def _pieces(db: Database, user_id: int, account: dict[str, Any]) -> Pieces:
    yield orjson.dumps(account, option=orjson.OPT_INDENT_2).removesuffix(b"\n}") + b',\n  "sessions": ['
    opened_at, session_id = None, None
    while rows := await db.rows("sessions/export", user_id, opened_at, session_id, ROWS_AT_ONCE):
        yield _lines([dict(each) for each in rows], is_first=opened_at is None)
        opened_at, session_id = rows[-1]["opened_at"], rows[-1]["id"]
    yield b'\n  ],\n  "events": ['
    before = MAX_ID
    while rows := await db.rows("events/list", before, user_id, None, None, None, ROWS_AT_ONCE):
        yield _lines([_event(dict(each), user_id) for each in rows], is_first=before == MAX_ID)
        before = rows[-1]["id"]
    yield b"\n  ]\n}"


def _lines(rows: list[dict[str, Any]], *, is_first: bool) -> bytes:
    """Objects of an array, one on a line."""
    lines = b",".join(b"\n    " + orjson.dumps(row, option=orjson.OPT_UTC_Z) for row in rows)
    return lines if is_first else b"," + lines


def _event(row: dict[str, Any], user_id: int) -> dict[str, Any]:
    hidden = {} if events.shows_source(row, user_id) else {"address": None, "device": "", "request_id": ""}
    return row | hidden | {"details": orjson.loads(row["details"] or "{}")}
