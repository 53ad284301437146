"""Ids as PostgreSQL stores them: numbers of rows, and UUIDs of sessions."""

import re
import uuid

import asyncpg.pgproto.pgproto

# asyncpg's subclass of uuid.UUID. It compares and hashes in C: it is the key of the statement that runs most often.
UUID = asyncpg.pgproto.pgproto.UUID

MAX_ID = 2**63 - 1  # of a bigint


def read_id(digits: str) -> int | None:
    """The id that `digits` write, or None when it is not a number or no row can have it. Leading zeros are ignored."""
    # The length is checked first: int() is slow for long texts and raises ValueError beyond 4,300 digits.
    found = re.fullmatch("0*([0-9]{1,19})", digits)
    return int(found[1]) if found and int(found[1]) <= MAX_ID else None


def read_uuid(text: str) -> uuid.UUID | None:
    """The UUID that `text` writes in its usual form, in lower case, or None. `UUID` itself takes more forms."""
    return UUID(text) if re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text) else None
