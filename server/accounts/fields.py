"""The fields that the site adds to an account (SITE_FILE, section `[account.fields]`)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import asyncpg
import orjson

from server.accounts import events
from server.accounts.events import Source
from server.database.transaction import Transaction
from server.errors import FieldErrors
from server.settings.account_model import ACCOUNT_FIELDS_MAX_BYTES

LENGTH_CONSTRAINT = "users_account_fields_length"
TOO_LONG = f"Ensure the fields of an account have no more than {ACCOUNT_FIELDS_MAX_BYTES} bytes together."


async def change(
    transaction: Transaction, user_id: int, given: Mapping[str, Any], *, source: Source
) -> asyncpg.Record | None:
    """Change account fields; None removes a value, a field that is not given stays. Values are validated already.

    The user object, or None when the account does not exist. Raises FieldErrors when the fields are too long together.
    """
    values = orjson.dumps({name: value for name, value in given.items() if value is not None}).decode()
    removed = [name for name, value in given.items() if value is None]
    with report_too_long():
        user = await transaction.row("users/edit_fields", user_id, values, removed)
    if user is not None:
        await events.record(transaction, events.FIELDS_CHANGED, user_id, source, {"fields": ", ".join(given)})
    return user


@contextmanager
def report_too_long() -> Iterator[None]:
    """Report account fields that are too long together. Raises FieldErrors; another violation passes through."""
    try:
        yield
    except asyncpg.CheckViolationError as failure:
        if failure.constraint_name != LENGTH_CONSTRAINT:
            raise
        raise FieldErrors({"non_field_errors": [TOO_LONG]}) from None
