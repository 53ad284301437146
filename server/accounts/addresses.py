"""An account's address changes at once, or waits until its link is followed; the old one is told (trust 28)."""

from server.database.transaction import Transaction
from server.mail.letters import ACTIVATION, EMAIL_CHANGE, EMAIL_CHANGED, EMAIL_PENDING, Letters

USER_OBJECT = ("email", "id", "username", "role")


async def change(
    transaction: Transaction, letters: Letters, user_id: int, address: str, *, confirmed: bool
) -> dict[str, object] | None:
    """Change an account's address in the caller's transaction: the user object, or None when the account is gone.

    `confirmed` says that a new address must be confirmed by its link first (contract 11.13); giving it up needs no
    link, and an account that waits for its activation gets another letter for that (contract 6).
    Raises UniqueViolationError when the address is another's.
    """
    if confirmed and address:
        return await _propose(transaction, letters, user_id, address)
    row = await transaction.row("addresses/change", user_id, address)
    if row is None:
        return None
    await _tell(transaction, letters, EMAIL_CHANGED, user_id, row["old_email"], address)
    return {name: row[name] for name in USER_OBJECT}


async def confirm(transaction: Transaction, letters: Letters, user_id: int) -> bool:
    """Put the address that waits in force, in the caller's transaction; whether there was one.

    Raises UniqueViolationError when somebody else has the address by now.
    """
    row = await transaction.row("addresses/confirm", user_id)
    if row is None:
        return False
    await _tell(transaction, letters, EMAIL_CHANGED, user_id, row["old_email"], "")
    return True


async def _propose(transaction: Transaction, letters: Letters, user_id: int, address: str) -> dict[str, object] | None:
    row = await transaction.row("addresses/propose", user_id, address)
    if row is None:
        return None
    if row["awaits_activation"]:
        await letters.queue_link(transaction, ACTIVATION, user_id)
    elif row["pending_email"] is not None:
        await letters.queue_link(transaction, EMAIL_CHANGE, user_id)
        await _tell(transaction, letters, EMAIL_PENDING, user_id, row["email"], address)
    return {name: row[name] for name in USER_OBJECT}


async def _tell(transaction: Transaction, letters: Letters, kind: str, user_id: int, old: str, new: str) -> None:
    if old and old != new:
        await letters.queue(transaction, kind, user_id, address=old)
