"""Deletion of an account, with everything that belongs to it."""

from server.accounts import events, staff
from server.accounts.events import Source
from server.database.transaction import Transaction


async def delete(transaction: Transaction, user_id: int, *, source: Source) -> bool:
    """Delete an account; foreign keys delete its profile, sessions, tokens and letters. False when there is none.

    A trigger removes from its events what names the person. The event of a deletion by the owner has no address either.
    """
    deleted = await transaction.row("users/delete", user_id)
    if deleted is None:
        return False
    if deleted["is_staff"]:
        await staff.warn_if_none_is_left(transaction, None)
    if source.actor_id == user_id:
        source = Source(actor_id=user_id)
    await events.record(transaction, events.DELETED, user_id, source)
    return True
