"""Passwords: changed by a caller who knows the current one, or reset by the link in a letter."""

from typing import Any

from aiohttp import web

from server.accounts import passwords
from server.accounts.links import check_link, request_link
from server.errors import FieldFaults, TooManyRequests
from server.mail.letters import PASSWORD_RESET
from server.settings.account_model import load_account_fields
from server.web.app_keys import DB, LETTERS, LIMITS, ONE_TIME_TOKENS, PASSWORDS, SETTINGS
from server.web.bodies import read_body
from server.web.clients import source_of
from server.web.endpoints import Access, Endpoints
from server.web.guards import counts_invalid_links, me, only_same_twice, only_strong, read_with_password
from server.web.html_pages.asking import ask_page
from server.web.html_pages.pages import link_page
from server.web.schemas import by_settings
from server.web.schemas.fields import PASSWORD_MISMATCH
from server.web.schemas.objects import Address

endpoints = Endpoints("passwords")


@endpoints.post("/auth/users/set_password/", body=by_settings.set_password, status=204, errors=(TooManyRequests,))
async def set_password(request: web.Request) -> None:
    """Set another password. All your other sessions and your API token end."""
    faults = FieldFaults()
    given, checked_hash = await read_with_password(request, faults)
    identity, account = me(request), request.app[SETTINGS].account
    if "new_password" in given:
        with faults.collect():
            only_strong(
                "new_password",
                given["new_password"],
                username=identity.username,
                email=identity.email,
                texts=account.texts(load_account_fields(identity.account_fields)),
            )
    faults.check()
    only_same_twice(given, "new_password", PASSWORD_MISMATCH)
    places = request.app[LIMITS].places(source_of(request), user_id=identity.id)
    new_hash = await request.app[PASSWORDS].hash(given["new_password"], holders=places)
    async with request.app[DB].transaction() as transaction:
        await passwords.change(
            transaction,
            me(request).id,
            checked_hash=checked_hash,
            new_hash=new_hash,
            kept_session=me(request).session_id,
            letters=request.app[LETTERS],
            settings=request.app[SETTINGS],
            source=source_of(request),
        )


@endpoints.post(
    "/auth/users/reset_password/", access=Access.PUBLIC, body=Address, status=204, errors=(TooManyRequests,)
)
async def ask_for_reset(request: web.Request) -> None:
    """Send a letter with a link to choose another password.

    The response does not reveal whether the address is known.
    """
    given = await read_body(request)
    app = request.app
    await request_link(
        app[DB],
        PASSWORD_RESET,
        given["email"],
        letters=app[LETTERS],
        limits=app[LIMITS],
        settings=app[SETTINGS],
        source=source_of(request),
    )


@endpoints.post(
    "/auth/users/reset_password_confirm/",
    access=Access.PUBLIC,
    body=by_settings.reset_password,
    status=204,
    errors=(TooManyRequests,),
)
async def reset_password(request: web.Request) -> None:
    """Choose another password with the uid and token of a link in a letter. Every session of the account ends."""
    await _reset(request, await read_body(request))


ask_page(endpoints, PASSWORD_RESET)


@link_page(
    endpoints,
    "/password/reset/{uid}/{token}",
    "password_reset",
    "password_changed",
    purposes=(PASSWORD_RESET,),
    body=by_settings.password_page,
)
async def reset_password_on_page(request: web.Request, given: dict[str, Any]) -> None:
    """Choose another password on the page that the link in a letter opens."""
    await _reset(request, given)


@counts_invalid_links
async def _reset(request: web.Request, given: dict[str, Any]) -> None:
    """Reset a password; faults are reported in the contract's order: strength, repetition, account, token."""
    app, new_password = request.app, given["new_password"]
    only_strong("new_password", new_password)
    only_same_twice(given, "new_password", PASSWORD_MISMATCH)
    # The link is checked before the password is hashed: a forged link must cost no hash.
    user = await check_link(
        app[DB], app[ONE_TIME_TOKENS], uid=given["uid"], token=given["token"], purpose=PASSWORD_RESET
    )
    only_strong(
        "new_password",
        new_password,
        username=user["username"],
        email=user["email"],
        texts=app[SETTINGS].account.texts(load_account_fields(user["account_fields"])),
    )
    places = app[LIMITS].places(source_of(request), user_id=user["id"])
    new_hash = await app[PASSWORDS].hash(new_password, holders=places)
    async with app[DB].transaction() as transaction:
        await passwords.reset(
            transaction,
            user["id"],
            token=given["token"],
            new_hash=new_hash,
            one_time_tokens=app[ONE_TIME_TOKENS],
            letters=app[LETTERS],
            settings=app[SETTINGS],
            source=source_of(request),
        )
