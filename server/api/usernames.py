"""What an account signs in with: changed by a caller who knows the password, or by the link in a letter.

The endpoints are named after it (contract 11.29): `…_username` where accounts have a username, and `…_email` where they
sign in with their address. An address is also changed by an edit of the account where it is not the login field.
"""

from typing import Any

from aiohttp import web

from server.accounts import addresses, passwords, usernames
from server.accounts.links import check_link, request_link, use_link
from server.accounts.usernames import EMAIL, USERNAME, Login
from server.errors import FieldErrors, FieldFaults, TooManyRequests
from server.settings.settings import Settings
from server.web.app_keys import DB, LETTERS, LIMITS, ONE_TIME_TOKENS, SETTINGS
from server.web.bodies import read_body
from server.web.clients import source_of
from server.web.endpoints import Access, Endpoints
from server.web.guards import counts_invalid_links, me, only_same_twice, read_with_password
from server.web.html_pages.asking import ask_page
from server.web.html_pages.pages import link_page
from server.web.schemas import by_settings
from server.web.schemas.fields import USERNAME_MISMATCH
from server.web.schemas.objects import Address

endpoints = Endpoints("usernames")


def has_usernames(settings: Settings) -> bool:
    """Whether accounts of the site have a username."""
    return settings.account.has_username


def signs_in_by_email(settings: Settings) -> bool:
    """Whether accounts of the site sign in with their address alone."""
    return settings.login_field == "email"


@endpoints.post(
    "/auth/users/set_username/",
    when=has_usernames,
    body=by_settings.set_username,
    status=204,
    errors=(TooManyRequests,),
)
async def set_username(request: web.Request) -> None:
    """Set another username."""
    await _set(request, USERNAME)


@endpoints.post(
    "/auth/users/set_email/",
    when=signs_in_by_email,
    body=by_settings.set_email,
    status=204,
    errors=(TooManyRequests,),
)
async def set_email(request: web.Request) -> None:
    """Set another address to sign in with. With activation it waits for the link in a letter."""
    await _set(request, EMAIL)


@endpoints.post(
    "/auth/users/reset_username/",
    when=has_usernames,
    access=Access.PUBLIC,
    body=Address,
    status=204,
    errors=(TooManyRequests,),
)
async def ask_for_username_reset(request: web.Request) -> None:
    """Send a letter with the username and a link to choose another.

    The response does not reveal whether the address is known.
    """
    await _ask(request, USERNAME)


@endpoints.post(
    "/auth/users/reset_email/",
    when=signs_in_by_email,
    access=Access.PUBLIC,
    body=Address,
    status=204,
    errors=(TooManyRequests,),
)
async def ask_for_email_reset(request: web.Request) -> None:
    """Send a letter with a link to choose another address.

    The response does not reveal whether the address is known.
    """
    await _ask(request, EMAIL)


@endpoints.post(
    "/auth/users/reset_username_confirm/",
    when=has_usernames,
    access=Access.PUBLIC,
    body=by_settings.reset_username,
    status=204,
    errors=(TooManyRequests,),
)
async def reset_username(request: web.Request) -> None:
    """Choose another username with the uid and token of a link in a letter."""
    await _reset(request, await read_body(request), USERNAME)


@endpoints.post(
    "/auth/users/reset_email_confirm/",
    when=signs_in_by_email,
    access=Access.PUBLIC,
    body=by_settings.reset_email,
    status=204,
    errors=(TooManyRequests,),
)
async def reset_email(request: web.Request) -> None:
    """Choose another address with the uid and token of a link in a letter."""
    await _reset(request, await read_body(request), EMAIL)


ask_page(endpoints, USERNAME.purpose, when=has_usernames)
ask_page(endpoints, EMAIL.purpose, when=signs_in_by_email)


@link_page(
    endpoints,
    "/username/reset/{uid}/{token}",
    "username_reset",
    "username_changed",
    when=has_usernames,
    purposes=(USERNAME.purpose,),
    body=by_settings.username_page,
)
async def reset_username_on_page(request: web.Request, given: dict[str, Any]) -> dict[str, Any]:
    """Choose another username on the page that the link in a letter opens."""
    await _reset(request, given, USERNAME)
    return {"is_email": False, "is_waiting": False}


@link_page(
    endpoints,
    "/email/reset/{uid}/{token}",
    "username_reset",
    "username_changed",
    when=signs_in_by_email,
    purposes=(EMAIL.purpose,),
    body=by_settings.email_page,
)
async def reset_email_on_page(request: web.Request, given: dict[str, Any]) -> dict[str, Any]:
    """Choose another address on the page that the link in a letter opens."""
    await _reset(request, given, EMAIL)
    return {"is_email": True, "is_waiting": request.app[SETTINGS].send_activation_email}


async def _set(request: web.Request, login: Login) -> None:
    app, user_id, source = request.app, me(request).id, source_of(request)
    faults = FieldFaults()
    given, checked_hash = await read_with_password(request, faults)
    text = given.get(login.field, "")
    if text:
        if not me(request).is_staff:  # staff see all accounts
            await app[LIMITS].take_change(app[DB], user_id, source)
        faults.add(await usernames.taken(app[DB], login, user_id, text))
    faults.check()
    only_same_twice(given, login.field, USERNAME_MISMATCH)
    is_respelt = login is EMAIL and await addresses.is_same(app[DB], me(request).email, text)
    if login is EMAIL and not is_respelt and app[SETTINGS].send_activation_email:
        await app[LIMITS].take_letter(app[DB], text, source)
    async with app[DB].transaction() as transaction:
        await passwords.lock(transaction, user_id, checked_hash=checked_hash)
        await usernames.change_login(
            transaction, login, user_id, text, letters=app[LETTERS], settings=app[SETTINGS], source=source
        )


async def _ask(request: web.Request, login: Login) -> None:
    app, given = request.app, await read_body(request)
    await request_link(
        app[DB],
        login.purpose,
        given["email"],
        letters=app[LETTERS],
        limits=app[LIMITS],
        settings=app[SETTINGS],
        source=source_of(request),
    )


@counts_invalid_links
async def _reset(request: web.Request, given: dict[str, Any], login: Login) -> None:
    """Reset a username or an address; faults are reported in the contract's order: name, repetition, account, token.

    Only a caller with a valid link learns that the name is taken (contract 12).
    """
    app, source = request.app, source_of(request)
    try:
        user = await check_link(
            app[DB], app[ONE_TIME_TOKENS], uid=given["uid"], token=given["token"], purpose=login.purpose
        )
    except FieldErrors:
        only_same_twice(given, login.field, USERNAME_MISMATCH)
        raise
    faults = FieldFaults()
    await app[LIMITS].take_change(app[DB], user["id"], source)  # a name that is taken does not use up the link
    faults.add(await usernames.taken(app[DB], login, user["id"], given[login.field]))
    faults.check()
    only_same_twice(given, login.field, USERNAME_MISMATCH)
    if login is EMAIL and app[SETTINGS].send_activation_email:
        await app[LIMITS].take_letter(app[DB], given[login.field], source)
    async with app[DB].transaction() as transaction:
        await use_link(transaction, app[ONE_TIME_TOKENS], user["id"], given["token"], login.purpose)
        await usernames.change_login(
            transaction,
            login,
            user["id"],
            given[login.field],
            letters=app[LETTERS],
            settings=app[SETTINGS],
            source=source,
        )
