"""An account, or an address, that waits is put in force by the link in a letter (contract 2, 11.13)."""

from typing import Any

import asyncpg
from aiohttp import web

from server.accounts import addresses
from server.database.transaction import Transaction
from server.errors import ActivationIsOff, FieldErrors, StaleToken
from server.mail.letters import ACTIVATION, CONFIRMATION, EMAIL_CHANGE
from server.web.app_keys import DB, LETTERS, ONE_TIME_TOKENS, SETTINGS
from server.web.bodies import read_body
from server.web.endpoints import Access, Endpoints
from server.web.html_pages.pages import link_page
from server.web.links import ask_for_link, find_by_uid, invalid_token
from server.web.schemas.fields import TAKEN_EMAIL
from server.web.schemas.objects import Activation, Address

endpoints = Endpoints("activation")


@endpoints.post("/auth/users/activation/", access=Access.PUBLIC, body=Activation, status=204, errors=(StaleToken,))
async def activate(request: web.Request) -> None:
    """Activate an account, or put a new e-mail address in force, with what the letter's link carries."""
    given = await read_body(request)
    await _activate(request, given["uid"], given["token"])


@endpoints.post(
    "/auth/users/resend_activation/", access=Access.PUBLIC, body=Address, status=204, errors=(ActivationIsOff,)
)
async def resend_activation(request: web.Request) -> None:
    """Have the activation letter sent again; the answer tells nothing about the address."""
    given = await read_body(request)
    if not request.app[SETTINGS].send_activation_email:
        raise ActivationIsOff
    await ask_for_link(request, ACTIVATION, given["email"])


@link_page(endpoints, "/activate/{uid}/{token}", "activate", "activated")
async def activate_on_page(request: web.Request, given: dict[str, Any]) -> dict[str, Any]:
    """Activate an account, or put a new e-mail address in force, on the page that the letter's link opens."""
    return {"is_address": await _activate(request, given["uid"], given["token"]) == EMAIL_CHANGE}


async def _activate(request: web.Request, uid: str, token: str) -> str:
    """Do what the token was issued for: its purpose."""
    user = await find_by_uid(request, uid)
    try:
        async with request.app[DB].transaction() as transaction:
            purpose = await request.app[ONE_TIME_TOKENS].use(transaction, user["id"], token, ACTIVATION, EMAIL_CHANGE)
            if purpose is None:
                raise await _refusal(request, transaction, user["id"], token)
            await _put_in_force(request, transaction, user["id"], purpose)
            return purpose
    except asyncpg.UniqueViolationError:
        raise FieldErrors({"email": [TAKEN_EMAIL]}) from None


async def _put_in_force(request: web.Request, transaction: Transaction, user_id: int, purpose: str) -> None:
    letters = request.app[LETTERS]
    if purpose == EMAIL_CHANGE:
        if not await addresses.confirm(transaction, letters, user_id):
            raise invalid_token()
    elif await transaction.row("activation/activate", user_id) is None:
        raise StaleToken  # it was activated, or switched off, by somebody else
    elif request.app[SETTINGS].send_confirmation_email:
        await letters.queue(transaction, CONFIRMATION, user_id)


async def _refusal(request: web.Request, transaction: Transaction, user_id: int, token: str) -> Exception:
    """A second click is told from a forged link."""
    if await request.app[ONE_TIME_TOKENS].is_used(transaction, user_id, token, ACTIVATION, EMAIL_CHANGE):
        return StaleToken()
    return invalid_token()
