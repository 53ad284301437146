"""What an account signs in with: set by who knows the password, or reset by the link in a letter.

With LOGIN_FIELD=email that is the address, and the fields are called `new_email` (contract 7.1).
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import asyncpg
from aiohttp import web

from server.accounts import addresses
from server.database.transaction import Transaction
from server.errors import FieldErrors
from server.mail.letters import USERNAME_CHANGED, USERNAME_RESET
from server.web.app_keys import DB, LETTERS, ONE_TIME_TOKENS, SETTINGS
from server.web.bodies import read_body
from server.web.endpoints import Access, Endpoints
from server.web.guards import confirm_password, me, only_same_twice, only_unchanged_password
from server.web.html_pages.pages import link_page
from server.web.links import ask_for_link, follow_link, invalid_token
from server.web.schemas import by_settings
from server.web.schemas.fields import TAKEN_EMAIL, TAKEN_USERNAME, USERNAME_MISMATCH
from server.web.schemas.objects import Address

endpoints = Endpoints("usernames")

NOBODY = 0  # no account has this id: one's own present address is taken, too, as one's own name is

Prove: TypeAlias = Callable[[Transaction], Awaitable[None]]


@endpoints.post("/auth/users/set_username/", body=by_settings.set_username, status=204)
async def set_username(request: web.Request) -> None:
    """Set another username."""
    given = await read_body(request)
    faults = await _taken(request, me(request).id, given)
    try:
        stored = await confirm_password(request, given["current_password"])
    except FieldErrors as failure:
        raise FieldErrors(faults | failure.fields) from None
    if faults:
        raise FieldErrors(faults)
    only_same_twice(given, by_settings.new_login(request.app[SETTINGS]), USERNAME_MISMATCH)

    async def hold(transaction: Transaction) -> None:
        await only_unchanged_password(request, transaction, stored)

    await _change(request, me(request).id, given, hold)


@endpoints.post("/auth/users/reset_username/", access=Access.PUBLIC, body=Address, status=204)
async def ask_for_username_reset(request: web.Request) -> None:
    """Have a letter sent with your username and a link to choose another; the answer tells nothing."""
    given = await read_body(request)
    await ask_for_link(request, USERNAME_RESET, given["email"])


@endpoints.post(
    "/auth/users/reset_username_confirm/", access=Access.PUBLIC, body=by_settings.reset_username, status=204
)
async def reset_username(request: web.Request) -> None:
    """Choose another username with what the letter's link carries."""
    await _reset(request, await read_body(request))


@link_page(
    endpoints,
    "/username/reset/{uid}/{token}",
    "username_reset",
    "username_changed",
    body=by_settings.username_page,
)
async def reset_username_on_page(request: web.Request, given: dict[str, Any]) -> dict[str, Any]:
    """Choose another username on the page that the letter's link opens."""
    await _reset(request, given)
    settings = request.app[SETTINGS]
    is_email = settings.login_field == "email"
    return {"is_email": is_email, "is_waiting": is_email and settings.send_activation_email}


async def _reset(request: web.Request, given: dict[str, Any]) -> None:
    """In the contract's order: the name, the second typing, the account, the token.

    But whether the name is taken is told only to whom the letter reached (contract 12).
    """
    one_time_tokens, login = request.app[ONE_TIME_TOKENS], by_settings.new_login(request.app[SETTINGS])
    try:
        user = await follow_link(request, given, USERNAME_RESET)
    except FieldErrors:
        only_same_twice(given, login, USERNAME_MISMATCH)
        raise
    faults = await _taken(request, user["id"], given)
    if faults:
        raise FieldErrors(faults)
    only_same_twice(given, login, USERNAME_MISMATCH)

    async def use(transaction: Transaction) -> None:
        if await one_time_tokens.use(transaction, user["id"], given["token"], USERNAME_RESET) is None:
            raise invalid_token()

    await _change(request, user["id"], given, use)


async def _taken(request: web.Request, user_id: int, given: dict[str, Any]) -> dict[str, Any]:
    """The fault of a name that an account may not have, by its field, or nothing."""
    field = by_settings.new_login(request.app[SETTINGS])
    statement, text = ("addresses/taken", TAKEN_EMAIL) if field == "new_email" else ("usernames/taken", TAKEN_USERNAME)
    row = await request.app[DB].row(statement, NOBODY if field == "new_email" else user_id, given[field])
    return {field: [text]} if row and row["is_taken"] else {}


async def _change(request: web.Request, user_id: int, given: dict[str, Any], prove: Prove) -> None:
    """Put the name in force in the transaction in which `prove` raises when the caller's proof is no good any more."""
    settings, letters = request.app[SETTINGS], request.app[LETTERS]
    field = by_settings.new_login(settings)
    try:
        async with request.app[DB].transaction() as transaction:
            await prove(transaction)
            if field == "new_email":
                confirmed = settings.send_activation_email
                await addresses.change(transaction, letters, user_id, given[field], confirmed=confirmed)
                return
            row = await transaction.row("usernames/change", user_id, given[field])
            if row and settings.username_changed_email_confirmation:
                await letters.queue(transaction, USERNAME_CHANGED, user_id, address=row["email"])
    except asyncpg.UniqueViolationError:
        raise FieldErrors({field: [TAKEN_EMAIL if field == "new_email" else TAKEN_USERNAME]}) from None
