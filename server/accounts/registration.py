"""Registration: an account, its profile and its first letter are made together or not at all."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import orjson

from server.accounts import events
from server.accounts.events import Source
from server.accounts.fields import report_too_long
from server.accounts.uniqueness import TAKEN_EMAIL, TAKEN_USERNAME, report_taken
from server.database.database import Database
from server.database.transaction import Transaction
from server.mail.letters import ACTIVATION, CONFIRMATION, Letters
from server.settings.settings import Settings
from server.templates import DEFAULT_LANGUAGE


@dataclass(frozen=True, kw_only=True)
class NewAccount:
    """What an account begins with. None leaves a field of the profile at its default."""

    username: str | None
    email: str
    password_hash: str = field(repr=False)
    language: str = DEFAULT_LANGUAGE  # of its letters
    is_staff: bool = False
    account_fields: Mapping[str, Any] | None = None  # validated; None on a site that declares none
    role: str | None = None
    role_fields: Mapping[str, Any] | None = None  # validated against the schema of `role`
    description: str | None = None
    location: str | None = None
    is_creator: bool | None = None


async def register(
    transaction: Transaction, account: NewAccount, *, letters: Letters, settings: Settings, source: Source
) -> asyncpg.Record:
    """Create an account with its profile, and queue its first letter: the user object.

    A staff account is made by the operator: it is active at once and gets no letter.
    Raises FieldErrors when the username or the address belongs to another account.
    """
    awaits_activation = settings.send_activation_email and not account.is_staff
    account_fields = None if account.account_fields is None else orjson.dumps(account.account_fields).decode()
    with report_taken(), report_too_long():
        user = await transaction.row(
            "users/register",
            account.username,
            account.email,
            account.password_hash,
            account.is_staff,
            account.role,
            awaits_activation,
            account.language,
            account_fields,
        )
    assert user is not None
    await _fill_profile(transaction, user["id"], account)
    actor_id = None if source.command else user["id"]
    details = {"is_staff": True} if account.is_staff else None
    await events.record(transaction, events.REGISTERED, user["id"], source, details, actor_id=actor_id)
    if awaits_activation:
        await letters.queue_link(transaction, ACTIVATION, user["id"])
    elif settings.send_confirmation_email and not account.is_staff:
        await letters.queue(transaction, CONFIRMATION, user["id"])
    return user


async def taken_fields(db: Database, *, username: str, email: str) -> dict[str, list[str]]:
    """The faults of a username and an address that belong to other accounts, by field; "" is never taken.

    Looked up before the insert, to report all faults together (contract 12); the constraints decide.
    """
    if not username and not email:
        return {}
    taken = await db.row("users/taken", username, email)
    assert taken is not None
    texts = {"username": TAKEN_USERNAME, "email": TAKEN_EMAIL}
    return {name: [text] for name, text in texts.items() if taken[name]}


async def _fill_profile(transaction: Transaction, user_id: int, account: NewAccount) -> None:
    """Write into the rows that the trigger made; a statement cannot see what its own trigger inserts."""
    profile = (account.description, account.location, account.is_creator)
    if any(value is not None for value in profile):
        await transaction.row("profiles/fill", user_id, *profile)
    if account.role and account.role_fields is not None:
        fields = orjson.dumps(account.role_fields).decode()
        await transaction.row("role_fields/write", user_id, account.role, fields)
