"""Who is staff: only the operator grants and revokes it. The last active staff account is not lost by mistake."""

import logging

from server.accounts import events
from server.accounts.events import Source
from server.database.transaction import Transaction

log = logging.getLogger(__name__)

NONE_IS_LEFT = "no active staff account is left: make one with the command create-admin or grant-staff"


class LastStaff(Exception):
    """The act would leave the site without an active staff account."""


async def grant(transaction: Transaction, user_id: int, *, source: Source) -> bool:
    """Make an account staff: False when it is already."""
    granted = await transaction.row("users/set_staff", user_id, True) is not None
    if granted:
        await events.record(transaction, events.STAFF_GRANTED, user_id, source)
    return granted


async def revoke(transaction: Transaction, user_id: int, *, source: Source) -> bool:
    """Make an account staff no longer, in force at its next request: False when it is none."""
    revoked = await transaction.row("users/set_staff", user_id, False) is not None
    if revoked:
        await events.record(transaction, events.STAFF_REVOKED, user_id, source)
    return revoked


async def refuse_last(transaction: Transaction, user_id: int) -> None:
    """Raises LastStaff when the account is the only active staff account.

    Locks all of them until the transaction ends: of two commands at once that each take one of the last two, the second
    is refused.
    """
    if [row["id"] for row in await transaction.rows("users/lock_staff")] == [user_id]:
        raise LastStaff


async def warn_if_none_is_left(transaction: Transaction, user_id: int | None) -> None:
    """Log a warning after the commit when the change of a staff account leaves none that is active.

    `user_id` is the account that was changed; None: a staff account was deleted.
    """
    if await transaction.row("users/staff_left", user_id) is not None:
        transaction.after_commit(lambda: log.warning(NONE_IS_LEFT))
