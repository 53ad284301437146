"""Passwords: set by who knows the present one, or reset by the link in a letter.

A change ends every other session of the account, a reset all of them, and both the API token (contract 11.10, 11.23).
"""

from typing import Any
from uuid import UUID

from aiohttp import web

from server.database.transaction import Transaction
from server.errors import FieldErrors
from server.mail.letters import PASSWORD_CHANGED, PASSWORD_RESET
from server.web.app_keys import DB, LETTERS, ONE_TIME_TOKENS, PASSWORDS, SETTINGS
from server.web.bodies import read_body
from server.web.endpoints import Access, Endpoints
from server.web.guards import confirm_password, me, only_same_twice, only_strong
from server.web.html_pages.pages import link_page
from server.web.links import ask_for_link, follow_link, invalid_token
from server.web.schemas import by_settings
from server.web.schemas.fields import PASSWORD_MISMATCH
from server.web.schemas.objects import Address

endpoints = Endpoints("passwords")


@endpoints.post("/auth/users/set_password/", body=by_settings.set_password, status=204)
async def set_password(request: web.Request) -> None:
    """Set another password. Every other session of yours ends, and your API token."""
    given = await read_body(request)
    stored = await confirm_password(request, given["current_password"])
    only_strong("new_password", given["new_password"], username=me(request).username, email=me(request).email)
    only_same_twice(given, "new_password", PASSWORD_MISMATCH)
    fresh = await request.app[PASSWORDS].hash(given["new_password"])
    async with request.app[DB].transaction() as transaction:
        if not await _change(request, transaction, me(request).id, stored, fresh, me(request).session_id):
            raise FieldErrors({"current_password": ["Invalid password."]})


@endpoints.post("/auth/users/reset_password/", access=Access.PUBLIC, body=Address, status=204)
async def ask_for_reset(request: web.Request) -> None:
    """Have a letter sent with a link to choose another password; the answer tells nothing about the address."""
    given = await read_body(request)
    await ask_for_link(request, PASSWORD_RESET, given["email"])


@endpoints.post(
    "/auth/users/reset_password_confirm/", access=Access.PUBLIC, body=by_settings.reset_password, status=204
)
async def reset_password(request: web.Request) -> None:
    """Choose another password with what the letter's link carries. Every session of the account ends."""
    await _reset(request, await read_body(request))


@link_page(
    endpoints,
    "/password/reset/{uid}/{token}",
    "password_reset",
    "password_changed",
    body=by_settings.password_page,
)
async def reset_password_on_page(request: web.Request, given: dict[str, Any]) -> None:
    """Choose another password on the page that the letter's link opens."""
    await _reset(request, given)


async def _reset(request: web.Request, given: dict[str, Any]) -> None:
    """In the contract's order: the password's strength, the second typing, the account, the token."""
    only_strong("new_password", given["new_password"])
    only_same_twice(given, "new_password", PASSWORD_MISMATCH)
    db, one_time_tokens = request.app[DB], request.app[ONE_TIME_TOKENS]
    user = await follow_link(request, given, PASSWORD_RESET)  # before a hash is run for it
    only_strong("new_password", given["new_password"], username=user["username"], email=user["email"])
    fresh = await request.app[PASSWORDS].hash(given["new_password"])
    async with db.transaction() as transaction:
        if await one_time_tokens.use(transaction, user["id"], given["token"], PASSWORD_RESET) is None:
            raise invalid_token()
        await _change(request, transaction, user["id"], None, fresh, None)


async def _change(
    request: web.Request, transaction: Transaction, user_id: int, stored: str | None, fresh: str, kept: UUID | None
) -> bool:
    """Put the hash in force where `stored` still is, and end what the old one opened, but for the session `kept`."""
    row = await transaction.row("passwords/change", user_id, stored, fresh)
    if row is None:
        return False
    await transaction.rows("sessions/end_others", user_id, kept)
    await transaction.row("api_tokens/end", user_id)
    if request.app[SETTINGS].password_changed_email_confirmation:
        await request.app[LETTERS].queue(transaction, PASSWORD_CHANGED, user_id, address=row["email"])
    return True
