"""Deletion of an account, and with it of everything that is its own."""

from server.database.transaction import Transaction


async def delete(transaction: Transaction, user_id: int) -> bool:
    """Delete an account; foreign keys delete its profile, sessions, tokens and letters. False when it is gone."""
    return await transaction.row("users/delete", user_id) is not None
