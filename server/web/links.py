"""Letters with links: how a client asks for one by address, and which account a link belongs to."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from server.auth.one_time_tokens import read_uid
from server.errors import EmailNotFound, FieldErrors
from server.mail.letters import ACTIVATION
from server.web.app_keys import DB, LETTERS, ONE_TIME_TOKENS, SETTINGS
from server.web.schemas.fields import INVALID_TOKEN, INVALID_UID


async def ask_for_link(request: web.Request, kind: str, address: str) -> None:
    """Queue a letter of `kind` to the accounts of `address`; takes as long without such an account (security 8).

    Raises EmailNotFound when no account has the address and the settings allow to say so (contract 7.1).
    """
    db = request.app[DB]
    if request.app[SETTINGS].tells_unknown_email:
        known = await db.row("addresses/known", address, kind == ACTIVATION)
        if known is None or not known["is_known"]:
            raise EmailNotFound
    async with db.transaction() as transaction:
        await request.app[LETTERS].queue_request(transaction, kind, address)


async def find_by_uid(request: web.Request, uid: str) -> Any:
    """Find the account that a link names: its user object. Raises FieldErrors for an unknown or malformed uid."""
    user_id = read_uid(uid)
    user = None if user_id is None else await request.app[DB].row("users/find", user_id)
    if user is None:
        raise FieldErrors({"uid": [INVALID_UID]})
    return user


async def follow_link(request: web.Request, given: Mapping[str, Any], purpose: str) -> Any:
    """Check a link for `purpose` without using it up: the user object of its account.

    Raises FieldErrors when the link is invalid, used, expired or superseded.
    """
    user = await find_by_uid(request, given["uid"])
    if await request.app[ONE_TIME_TOKENS].is_used(request.app[DB], user["id"], given["token"], purpose) is not False:
        raise invalid_token()
    return user


def invalid_token() -> FieldErrors:
    """The failure of a link that is forged, used, expired or superseded: for the caller to raise."""
    return FieldErrors({"token": [INVALID_TOKEN]})
