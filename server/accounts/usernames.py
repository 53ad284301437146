"""Change of what an account signs in with: its username, or its address (contract 7.1, 11.29)."""

from dataclasses import dataclass

from server.accounts import addresses, events
from server.accounts.addresses import USER_OBJECT
from server.accounts.events import Source
from server.accounts.uniqueness import TAKEN_EMAIL, TAKEN_USERNAME, report_taken
from server.database.database import Database
from server.database.transaction import Transaction
from server.mail.letters import EMAIL_RESET, USERNAME_CHANGED, USERNAME_RESET, Letters
from server.settings.settings import Settings


@dataclass(frozen=True)
class Login:
    """What people sign in with."""

    field: str  # of the request that changes it
    purpose: str  # of the token in the letter that lets its owner choose another


USERNAME = Login("new_username", USERNAME_RESET)
EMAIL = Login("new_email", EMAIL_RESET)


async def change_login(
    transaction: Transaction,
    login: Login,
    user_id: int,
    text: str,
    *,
    letters: Letters,
    settings: Settings,
    source: Source,
) -> None:
    """Change the username of an account, or its address.

    The caller has proved its right in the same transaction. Raises FieldErrors when another account has it.
    """
    act = addresses.change if login is EMAIL else change
    await act(transaction, user_id, text, letters=letters, settings=settings, source=source, field=login.field)


async def change(
    transaction: Transaction,
    user_id: int,
    username: str | None,
    *,
    letters: Letters,
    settings: Settings,
    source: Source,
    field: str = "username",
) -> dict[str, object] | None:
    """Change the username of an account: the user object, or None when the account does not exist.

    Raises FieldErrors on `field` when another account has it in some spelling.
    """
    with report_taken(username=field):
        row = await transaction.row("usernames/change", user_id, username)
    if row is None:
        return None
    if not row["is_same"]:
        await events.record(transaction, events.USERNAME_CHANGED, user_id, source)
        if settings.username_changed_email_confirmation:
            await letters.queue_notice(transaction, USERNAME_CHANGED, user_id, row["email"])
    return {name: row[name] for name in USER_OBJECT}


async def taken(db: Database, login: Login, user_id: int, text: str) -> dict[str, list[str]]:
    """The fault of a login that the account may not have, by field. Looked up beforehand; the constraint decides.

    An account's own current login, spelt the same, counts as taken, as in the reference (contract 2).
    """
    if login is EMAIL:
        is_own = await db.row("addresses/is_own", user_id, text) is not None
        is_taken_email = is_own or await addresses.is_taken(db, text, except_user_id=user_id)
        return {login.field: [TAKEN_EMAIL]} if is_taken_email else {}
    return {login.field: [TAKEN_USERNAME]} if await is_taken(db, text, user_id) else {}


async def is_taken(db: Database, username: str, user_id: int) -> bool:
    """Whether an account may not have a username: another one has it, or it is its own already."""
    row = await db.row("usernames/taken", user_id, username)
    return bool(row and row["is_taken"])
