"""What an account signs in with: changed by a caller who knows the password, or by the link in a letter.

With LOGIN_FIELD=email that is the address, and the fields are called `new_email` (contract 7.1).
"""

from typing import Any

from aiohttp import web

from server.accounts import passwords, usernames
from server.accounts.links import check_link, request_link, use_link
from server.errors import FieldErrors, FieldFaults, TooManyRequests
from server.mail.letters import USERNAME_RESET
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


@endpoints.post("/auth/users/set_username/", body=by_settings.set_username, status=204, errors=(TooManyRequests,))
async def set_username(request: web.Request) -> None:
    """Set another username."""
    app, user_id = request.app, me(request).id
    faults = FieldFaults()
    given, checked_hash = await read_with_password(request, faults)
    login = given.get(by_settings.new_login(app[SETTINGS]), "")
    if login:
        faults.add(await usernames.taken_login(app[DB], user_id, login, settings=app[SETTINGS]))
    faults.check()
    only_same_twice(given, by_settings.new_login(app[SETTINGS]), USERNAME_MISMATCH)
    if login and app[SETTINGS].login_field == "email" and app[SETTINGS].send_activation_email:
        await app[LIMITS].take_letter(app[DB], login, source_of(request))
    async with app[DB].transaction() as transaction:
        await passwords.lock(transaction, user_id, checked_hash=checked_hash)
        await usernames.change_login(
            transaction,
            user_id,
            login,
            letters=app[LETTERS],
            settings=app[SETTINGS],
            source=source_of(request),
        )


@endpoints.post(
    "/auth/users/reset_username/", access=Access.PUBLIC, body=Address, status=204, errors=(TooManyRequests,)
)
async def ask_for_username_reset(request: web.Request) -> None:
    """Send a letter with the username and a link to choose another.

    The response does not reveal whether the address is known.
    """
    given = await read_body(request)
    app = request.app
    await request_link(
        app[DB],
        USERNAME_RESET,
        given["email"],
        letters=app[LETTERS],
        limits=app[LIMITS],
        settings=app[SETTINGS],
        source=source_of(request),
    )


@endpoints.post(
    "/auth/users/reset_username_confirm/",
    access=Access.PUBLIC,
    body=by_settings.reset_username,
    status=204,
    errors=(TooManyRequests,),
)
async def reset_username(request: web.Request) -> None:
    """Choose another username with the uid and token of a link in a letter."""
    await _reset(request, await read_body(request))


ask_page(endpoints, USERNAME_RESET)


@link_page(
    endpoints,
    "/username/reset/{uid}/{token}",
    "username_reset",
    "username_changed",
    purposes=(USERNAME_RESET,),
    body=by_settings.username_page,
)
async def reset_username_on_page(request: web.Request, given: dict[str, Any]) -> dict[str, Any]:
    """Choose another username on the page that the link in a letter opens."""
    await _reset(request, given)
    settings = request.app[SETTINGS]
    is_email = settings.login_field == "email"
    return {"is_email": is_email, "is_waiting": is_email and settings.send_activation_email}


@counts_invalid_links
async def _reset(request: web.Request, given: dict[str, Any]) -> None:
    """Reset a username; faults are reported in the contract's order: name, repetition, account, token.

    Only a caller with a valid link learns that the name is taken (contract 12).
    """
    app, field = request.app, by_settings.new_login(request.app[SETTINGS])
    try:
        user = await check_link(
            app[DB], app[ONE_TIME_TOKENS], uid=given["uid"], token=given["token"], purpose=USERNAME_RESET
        )
    except FieldErrors:
        only_same_twice(given, field, USERNAME_MISMATCH)
        raise
    faults = FieldFaults()
    faults.add(await usernames.taken_login(app[DB], user["id"], given[field], settings=app[SETTINGS]))
    faults.check()
    only_same_twice(given, field, USERNAME_MISMATCH)
    async with app[DB].transaction() as transaction:
        await use_link(transaction, app[ONE_TIME_TOKENS], user["id"], given["token"], USERNAME_RESET)
        await usernames.change_login(
            transaction,
            user["id"],
            given[field],
            letters=app[LETTERS],
            settings=app[SETTINGS],
            source=source_of(request),
        )
