"""The role of an account; staff change it."""

import asyncpg

from server.database.transaction import Transaction


async def set_role(transaction: Transaction, user_id: int, role: str | None) -> asyncpg.Record | None:
    """Give an account a role, or none: the user object, or None when the account does not exist."""
    return await transaction.row("users/set_role", user_id, role)
