"""The role of an account; staff change it."""

import asyncpg

from server.accounts import events
from server.accounts.events import Source
from server.database.transaction import Transaction


async def set_role(
    transaction: Transaction, user_id: int, role: str | None, *, source: Source
) -> asyncpg.Record | None:
    """Give an account a role, or none: the user object, or None when the account does not exist."""
    user = await transaction.row("users/set_role", user_id, role)
    if user is not None:
        await events.record(transaction, events.ROLE_CHANGED, user_id, source, {"role": role})
    return user
