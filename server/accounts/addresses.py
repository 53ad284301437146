"""Change of an address, at once or by the link in a letter. The old address gets a letter (security 28)."""

import asyncpg

from server.accounts import events
from server.accounts.events import Source
from server.accounts.uniqueness import TAKEN_EMAIL, report_taken
from server.database.database import Database
from server.database.transaction import Transaction
from server.errors import FieldErrors
from server.mail.letters import ACTIVATION, EMAIL_CHANGE, EMAIL_CHANGED, EMAIL_PENDING, Letters
from server.settings.settings import Settings

USER_OBJECT = ("email", "id", "username", "role", "account_fields")


async def change(
    transaction: Transaction,
    user_id: int,
    address: str,
    *,
    letters: Letters,
    settings: Settings,
    source: Source,
    field: str = "email",
) -> dict[str, object] | None:
    """Change the address of an account: the user object, or None when the account does not exist.

    With SEND_ACTIVATION_EMAIL a new address must be confirmed by its link first (contract 11.13). Removing an address
    needs no link, and another spelling of the present address writes no letter (contract 11.37). An account that waits
    for its activation gets another activation letter (contract 6).
    Raises FieldErrors on `field` when the address belongs to another account.
    """
    if settings.send_activation_email and address:
        # No constraint covers an address that waits. Looked up, so that no letter asks to confirm a taken one.
        if settings.unique_email and await is_taken(transaction, address, except_user_id=user_id):
            raise FieldErrors({field: [TAKEN_EMAIL]})
        with report_taken(email=field):
            return await _propose(transaction, letters, user_id, address, source)
    with report_taken(email=field):
        row = await transaction.row("addresses/change", user_id, address)
    if row is None:
        return None
    await _changed(transaction, letters, user_id, row, source)
    return {name: row[name] for name in USER_OBJECT}


async def confirm(transaction: Transaction, user_id: int, *, letters: Letters, source: Source) -> bool:
    """Put the pending address of an account in force: False when there is none.

    Raises FieldErrors when the address belongs to another account by now.
    """
    with report_taken():
        row = await transaction.row("addresses/confirm", user_id)
    if row is None:
        return False
    await _changed(transaction, letters, user_id, row, source)
    return True


async def is_taken(db: Database | Transaction, address: str, *, except_user_id: int) -> bool:
    """Whether an address belongs to an account, other than `except_user_id`. The constraint decides."""
    row = await db.row("addresses/taken", except_user_id, address)
    return bool(row and row["is_taken"])


async def is_same(db: Database, address: str, other: str) -> bool:
    """Whether two texts are one address in two spellings: such a change writes no letter (contract 11.37)."""
    if address == other:
        return True
    row = await db.row("addresses/is_same", address, other)
    return bool(row and row["is_same"])


async def _propose(
    transaction: Transaction, letters: Letters, user_id: int, address: str, source: Source
) -> dict[str, object] | None:
    row = await transaction.row("addresses/propose", user_id, address)
    if row is None:
        return None
    if row["is_same"]:
        return {name: row[name] for name in USER_OBJECT}
    await events.record(transaction, events.ADDRESS_PROPOSED, user_id, source)
    if row["awaits_activation"]:
        await letters.queue_link(transaction, ACTIVATION, user_id)
    else:
        await letters.queue_link(transaction, EMAIL_CHANGE, user_id)
        await letters.queue_notice(transaction, EMAIL_PENDING, user_id, row["email"])
    return {name: row[name] for name in USER_OBJECT}


async def _changed(
    transaction: Transaction, letters: Letters, user_id: int, row: asyncpg.Record, source: Source
) -> None:
    """Record a change of address and tell the old one. Another spelling of the same address is no change."""
    if row["is_same"]:
        return
    await events.record(transaction, events.ADDRESS_CHANGED, user_id, source)
    await letters.queue_notice(transaction, EMAIL_CHANGED, user_id, row["old_email"])
