"""Deletion of an account, with everything that belongs to it."""

from server.database.transaction import Transaction


async def delete(transaction: Transaction, user_id: int) -> bool:
    """Delete an account; foreign keys delete its profile, sessions, tokens and letters. False when there is none."""
    return await transaction.row("users/delete", user_id) is not None
