"""Activation by the link in a letter, and activation and deactivation by staff or the operator (contract 2, 11.13)."""

import asyncpg

from server.accounts import addresses, events, staff
from server.accounts.events import Source
from server.accounts.links import InvalidLink
from server.auth.one_time_tokens import OneTimeTokens
from server.database.transaction import Transaction
from server.errors import StaleToken
from server.mail.letters import ACTIVATION, CONFIRMATION, EMAIL_CHANGE, Letters
from server.settings.settings import Settings


async def follow_link(
    transaction: Transaction,
    user_id: int,
    token: str,
    *,
    one_time_tokens: OneTimeTokens,
    letters: Letters,
    settings: Settings,
    source: Source,
) -> str:
    """Use up the token of an activation letter or of a change of address, and do what it is for: its purpose.

    Raises StaleToken for a token that was used already, InvalidLink for any other bad token, and FieldErrors on `email`
    when the pending address belongs to another account by now.
    """
    purpose = await one_time_tokens.use(transaction, user_id, token, ACTIVATION, EMAIL_CHANGE)
    if purpose is None:
        # A second click on a link and a forged link get different errors.
        is_used = await one_time_tokens.is_used(transaction, user_id, token, ACTIVATION, EMAIL_CHANGE)
        raise StaleToken if is_used else InvalidLink
    if purpose == EMAIL_CHANGE:
        if not await addresses.confirm(transaction, user_id, letters=letters, source=source):
            raise InvalidLink
        return purpose
    if await transaction.row("activation/activate", user_id) is None:
        raise StaleToken  # another request activated the account meanwhile, or staff deactivated it
    await events.record(transaction, events.ACTIVATED, user_id, source, {"by": "letter"})
    if settings.send_confirmation_email:
        await letters.queue(transaction, CONFIRMATION, user_id)
    return purpose


async def set_active(transaction: Transaction, user_id: int, *, active: bool, source: Source) -> asyncpg.Record | None:
    """Activate or deactivate an account: the user object, or None when it does not exist.

    A trigger ends its sessions and its API token at deactivation; activation brings none back (contract 11.10).
    """
    user = await transaction.row("users/set_active", user_id, active)
    if user is not None:
        await events.record(transaction, events.ACTIVATED if active else events.DEACTIVATED, user_id, source)
        if not active:
            await staff.warn_if_none_is_left(transaction, user_id)
    return user
