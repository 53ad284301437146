"""What is stored about an account, for the person who asks for it (GDPR article 15)."""

from typing import Any

import orjson

from server.accounts import events
from server.accounts.events import Source
from server.database.ids import MAX_ID
from server.database.transaction import Transaction

EVENTS_AT_ONCE = 1000


async def collect(transaction: Transaction, user_id: int, *, source: Source) -> dict[str, Any]:
    """Everything about an account: members by name, JSON values. Without hashes of passwords, tokens and links.

    Its events are all that are kept; what other accounts did to it has no address and device of theirs.
    """
    row = await transaction.row("users/export", user_id)
    assert row is not None
    account: dict[str, Any] = orjson.loads(row["account"])
    listed: list[dict[str, Any]] = []
    before = MAX_ID
    while rows := await transaction.rows("events/list", before, user_id, None, None, None, EVENTS_AT_ONCE):
        listed += [_event(dict(each), user_id) for each in rows]
        before = rows[-1]["id"]
    await events.record(transaction, events.EXPORTED, user_id, source)
    return account | {"events": listed}


def _event(row: dict[str, Any], user_id: int) -> dict[str, Any]:
    hidden = {} if events.shows_source(row, user_id) else {"address": None, "device": "", "request_id": ""}
    return row | hidden | {"details": orjson.loads(row["details"] or "{}")}
