"""Links in letters: a request for one by address, the account that a link names, and its single use."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from server.accounts.events import Source
from server.accounts.limits import Limits
from server.auth.one_time_tokens import OneTimeTokens, read_uid
from server.database.database import Database
from server.database.transaction import Transaction
from server.errors import EmailNotFound, FieldErrors
from server.mail.letters import ACTIVATION, Letters
from server.settings.settings import Settings

NO_ACCOUNT = 0  # ids begin at 1
INVALID_UID = "Invalid user id or user doesn't exist."
INVALID_TOKEN = "Invalid token for given user."  # noqa: S105  a text


class InvalidLink(FieldErrors):
    """The token of a link is forged, used, expired or replaced by a later one (contract 8)."""

    def __init__(self) -> None:
        super().__init__({"token": [INVALID_TOKEN]})


class InvalidUid(FieldErrors):
    """The uid of a link names no account (contract 8)."""

    def __init__(self) -> None:
        super().__init__({"uid": [INVALID_UID]})


async def request_link(
    db: Database, kind: str, address: str, *, letters: Letters, limits: Limits, settings: Settings, source: Source
) -> None:
    """Queue a letter of `kind` for the accounts of an address; takes as long for an unknown address (security 8).

    Raises TooManyRequests, and EmailNotFound for an unknown address, if the settings allow to say so (contract 7.1).
    """
    await limits.take_letter(db, address, source, kind=kind)
    await check_known(db, kind, address, settings=settings)
    async with db.transaction() as transaction:
        await letters.queue_request(transaction, kind, address)


async def check_known(db: Database, kind: str, address: str, *, settings: Settings) -> None:
    """Raises EmailNotFound when no account may have a letter of `kind`, if the settings allow to say so."""
    if settings.tells_unknown_email:
        known = await db.row("addresses/known", address, kind == ACTIVATION)
        if known is None or not known["is_known"]:
            raise EmailNotFound


@asynccontextmanager
async def link_attempt(db: Database, limits: Limits, source: Source) -> AsyncIterator[None]:
    """A block that follows a link. When it raises InvalidLink or InvalidUid, that counts for the caller's network.

    Raises TooManyRequests when that network has sent too many links that are not valid. Counted before the block, and
    given back after one that does not say so: of many links sent together no more are looked at than the limit allows.
    """
    taken = await limits.take_link(db, source)
    try:
        yield
    except (InvalidLink, InvalidUid):
        raise
    except Exception:
        await limits.give_back(db, taken)
        raise
    await limits.give_back(db, taken)


async def find_account(db: Database, uid: str) -> asyncpg.Record:
    """The user object of the account that a link names. Raises InvalidUid."""
    user_id = read_uid(uid)
    user = None if user_id is None else await db.row("users/find", user_id)
    if user is None:
        raise InvalidUid
    return user


async def look_at_link(
    db: Database, one_time_tokens: OneTimeTokens, *, uid: str, token: str, purposes: tuple[str, ...]
) -> asyncpg.Record | None:
    """What the link in a letter leads to, without using it up (security 26); None when it is dead or was never sent.

    A uid that cannot be read costs the same statement as one of an account (security 8).
    """
    user_id = read_uid(uid)
    return await one_time_tokens.look(db, NO_ACCOUNT if user_id is None else user_id, token, *purposes)


async def check_link(
    db: Database, one_time_tokens: OneTimeTokens, *, uid: str, token: str, purpose: str
) -> asyncpg.Record:
    """The user object of the account whose link for `purpose` is valid. Does not use it up.

    Raises InvalidUid, InvalidLink.
    """
    user = await find_account(db, uid)
    if await one_time_tokens.is_used(db, user["id"], token, purpose) is not False:
        raise InvalidLink
    return user


async def use_link(
    transaction: Transaction, one_time_tokens: OneTimeTokens, user_id: int, token: str, purpose: str
) -> None:
    """Use up the token of a link. Of two simultaneous requests one succeeds. Raises InvalidLink."""
    if await one_time_tokens.use(transaction, user_id, token, purpose) is None:
        raise InvalidLink
