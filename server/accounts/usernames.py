"""Change of what an account signs in with: its username, or with LOGIN_FIELD=email its address (contract 7.1)."""

from server.accounts import addresses, events
from server.accounts.events import Source
from server.accounts.uniqueness import TAKEN_EMAIL, TAKEN_USERNAME, report_taken
from server.database.database import Database
from server.database.transaction import Transaction
from server.mail.letters import USERNAME_CHANGED, Letters
from server.settings.settings import Settings


async def change_login(
    transaction: Transaction, user_id: int, login: str, *, letters: Letters, settings: Settings, source: Source
) -> None:
    """Change the username of an account, or its address where that is the login field.

    The caller has proved its right in the same transaction. Raises FieldErrors when another account has the login.
    """
    if settings.login_field == "email":
        await addresses.change(
            transaction, user_id, login, letters=letters, settings=settings, source=source, field="new_email"
        )
    else:
        await change(transaction, user_id, login, letters=letters, settings=settings, source=source)


async def change(
    transaction: Transaction, user_id: int, username: str, *, letters: Letters, settings: Settings, source: Source
) -> None:
    """Change the username of an account. Raises FieldErrors when another account has it in some spelling."""
    with report_taken(username="new_username"):
        row = await transaction.row("usernames/change", user_id, username)
    if row is None:
        return
    await events.record(transaction, events.USERNAME_CHANGED, user_id, source)
    if settings.username_changed_email_confirmation:
        await letters.queue(transaction, USERNAME_CHANGED, user_id, address=row["email"])


async def taken_login(db: Database, user_id: int, login: str, *, settings: Settings) -> dict[str, list[str]]:
    """The fault of a login that the account may not have, by field. Looked up beforehand; the constraint decides.

    An account's own current name counts as taken, as in the reference (contract 2).
    """
    if settings.login_field == "email":
        return {"new_email": [TAKEN_EMAIL]} if await addresses.is_taken(db, login) else {}
    row = await db.row("usernames/taken", user_id, login)
    return {"new_username": [TAKEN_USERNAME]} if row and row["is_taken"] else {}
