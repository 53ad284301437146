"""Change of a password, by its owner or by the link in a letter, and the proof that the caller knows the current one.

A change ends every other session of the account, a reset ends all of them; both end the API token
(contract 11.10, 11.23).
"""

from uuid import UUID

from server.accounts import adoption, events
from server.accounts.events import Source
from server.accounts.links import use_link
from server.auth.one_time_tokens import OneTimeTokens
from server.database.transaction import Transaction
from server.errors import FieldErrors
from server.mail.letters import PASSWORD_CHANGED, PASSWORD_RESET, Letters
from server.settings.settings import Settings
from server.telemetry.metrics import SESSIONS_ENDED


class InvalidPassword(FieldErrors):
    """The given password is not the current one, or it was changed since it was checked."""

    def __init__(self) -> None:
        super().__init__({"current_password": ["Invalid password."]})


async def change(
    transaction: Transaction,
    user_id: int,
    *,
    checked_hash: str,
    new_hash: str,
    kept_session: UUID | None,
    letters: Letters,
    settings: Settings,
    source: Source,
) -> None:
    """Replace a password that was checked against `checked_hash`; the session `kept_session` stays valid.

    Raises InvalidPassword when another request changed the password meanwhile.
    """
    if not await _replace(transaction, user_id, checked_hash, new_hash, kept_session, letters, settings):
        raise InvalidPassword
    await events.record(transaction, events.PASSWORD_CHANGED, user_id, source)


async def reset(
    transaction: Transaction,
    user_id: int,
    *,
    token: str,
    new_hash: str,
    one_time_tokens: OneTimeTokens,
    letters: Letters,
    settings: Settings,
    source: Source,
) -> None:
    """Replace a password with the token of a reset letter, which is used up. Raises FieldErrors for a bad token."""
    await use_link(transaction, one_time_tokens, user_id, token, PASSWORD_RESET)
    await _replace(transaction, user_id, None, new_hash, None, letters, settings)
    await events.record(transaction, events.PASSWORD_RESET, user_id, source)


async def set_by_operator(
    transaction: Transaction,
    user_id: int,
    *,
    new_hash: str,
    letters: Letters,
    settings: Settings,
    source: Source,
) -> None:
    """Replace a password, whatever it was: every session and the API token end, as by a reset."""
    if await _replace(transaction, user_id, None, new_hash, None, letters, settings):
        await events.record(transaction, events.PASSWORD_CHANGED, user_id, source)


async def lock(transaction: Transaction, user_id: int, *, checked_hash: str) -> None:
    """Lock an account until the transaction ends, if its password is still the one that was checked.

    Raises InvalidPassword when it was changed meanwhile: the change ended the session of the caller.
    """
    if await transaction.row("passwords/lock", user_id, checked_hash) is None:
        raise InvalidPassword


async def _replace(
    transaction: Transaction,
    user_id: int,
    checked_hash: str | None,
    new_hash: str,
    kept_session: UUID | None,
    letters: Letters,
    settings: Settings,
) -> bool:
    row = await transaction.row("passwords/change", user_id, checked_hash, new_hash)
    if row is None:
        return False
    await adoption.close(transaction, user_id)
    ended = await transaction.rows("sessions/end_others", user_id, kept_session)
    transaction.after_commit(lambda: SESSIONS_ENDED.add("password", by=len(ended)))
    await transaction.row("api_tokens/end", user_id)
    if settings.password_changed_email_confirmation:
        await letters.queue_notice(transaction, PASSWORD_CHANGED, user_id, row["email"])
    return True
