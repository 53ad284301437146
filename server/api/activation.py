"""Activation of an account, or of a new address, by the link in a letter (contract 2, 11.13)."""

from typing import Any

from aiohttp import web

from server.accounts import activation
from server.accounts.links import check_known, find_account, request_link
from server.errors import ActivationIsOff, StaleToken, TooManyRequests
from server.mail.letters import ACTIVATION, EMAIL_CHANGE
from server.web.app_keys import DB, LETTERS, LIMITS, ONE_TIME_TOKENS, SETTINGS
from server.web.bodies import read_body
from server.web.clients import source_of
from server.web.endpoints import Access, Endpoints
from server.web.guards import counts_invalid_links
from server.web.html_pages.asking import ask_page
from server.web.html_pages.pages import link_page
from server.web.schemas.objects import Activation, Address

endpoints = Endpoints("activation")


@endpoints.post(
    "/auth/users/activation/", access=Access.PUBLIC, body=Activation, status=204, errors=(StaleToken, TooManyRequests)
)
async def activate_user(request: web.Request) -> None:
    """Activate an account, or put a new e-mail address in force, with the uid and token of a link in a letter."""
    given = await read_body(request)
    await _follow_link(request, given["uid"], given["token"])


@endpoints.post(
    "/auth/users/resend_activation/",
    access=Access.PUBLIC,
    body=Address,
    status=204,
    errors=(ActivationIsOff, TooManyRequests),
)
async def resend_activation(request: web.Request) -> None:
    """Send the activation letter again.

    The response does not reveal whether the address is known.
    """
    given = await read_body(request)
    settings = request.app[SETTINGS]
    if not settings.send_activation_email:
        await check_known(request.app[DB], ACTIVATION, given["email"], settings=settings)
        raise ActivationIsOff
    await request_link(
        request.app[DB],
        ACTIVATION,
        given["email"],
        letters=request.app[LETTERS],
        limits=request.app[LIMITS],
        settings=settings,
        source=source_of(request),
    )


ask_page(endpoints, ACTIVATION)


@link_page(endpoints, "/activate/{uid}/{token}", "activate", "activated", purposes=(ACTIVATION, EMAIL_CHANGE))
async def activate_on_page(request: web.Request, given: dict[str, Any]) -> dict[str, Any]:
    """Activate an account, or put a new e-mail address in force, on the page that the link in a letter opens."""
    return {"is_address": await _follow_link(request, given["uid"], given["token"]) == EMAIL_CHANGE}


@counts_invalid_links
async def _follow_link(request: web.Request, uid: str, token: str) -> str:
    """Do what the token of a link is for, and return its purpose. Raises FieldErrors, StaleToken."""
    app = request.app
    user = await find_account(app[DB], uid)
    async with app[DB].transaction() as transaction:
        return await activation.follow_link(
            transaction,
            user["id"],
            token,
            one_time_tokens=app[ONE_TIME_TOKENS],
            letters=app[LETTERS],
            settings=app[SETTINGS],
            source=source_of(request),
        )
