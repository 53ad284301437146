"""Accounts. An account is its owner's and staff's; to everybody else it does not exist."""

from collections.abc import Mapping
from typing import Any

import asyncpg
import orjson
from aiohttp import hdrs, web

from server.accounts import addresses
from server.database.database import Transaction
from server.errors import FieldErrors, Forbidden, NotFound
from server.mail.letters import ACTIVATION, CONFIRMATION
from server.web.app_keys import DB, LETTERS, PASSWORDS, SETTINGS, TEMPLATES
from server.web.bodies import read_body
from server.web.endpoints import Access, Endpoints
from server.web.guards import (
    confirm_password,
    gone,
    me,
    only_same_twice,
    only_self_or_staff,
    only_unchanged_password,
    path_id,
)
from server.web.paging import PageQuery, page_response, read_page, write_page
from server.web.schemas import by_roles, by_settings
from server.web.schemas.fields import PASSWORD_MISMATCH, TAKEN_EMAIL, TAKEN_USERNAME
from server.web.schemas.objects import CurrentPassword
from server.web.schemas.role_fields import known

endpoints = Endpoints("users")

# The constraints that callers can run into, and what they say (contract 8).
CONSTRAINTS = {
    "users_username_key": {"username": [TAKEN_USERNAME]},
    "users_email_key": {"email": [TAKEN_EMAIL]},
}


@endpoints.post("/auth/users/", access=Access.PUBLIC, body=by_settings.registration, response=by_roles.user, status=201)
async def register(request: web.Request) -> Any:
    """Register: make an account, and with it a profile, all of it or nothing."""
    given = await _read_registration(request)
    only_same_twice(given, "password", PASSWORD_MISMATCH)
    password = await request.app[PASSWORDS].hash(given["password"])
    waits = request.app[SETTINGS].send_activation_email
    language = request.app[TEMPLATES].choose(request.headers.get(hdrs.ACCEPT_LANGUAGE, ""))
    account = (given["username"], given["email"], password, False, given.get("role"), waits, language)
    try:
        async with request.app[DB].transaction() as transaction:
            row = await transaction.row("users/register", *account)
            assert row is not None
            await _fill_profile(request, transaction, row, given.get("profile", {}))
            await _welcome(request, transaction, row["id"])
    except asyncpg.UniqueViolationError as failure:
        raise _taken(failure) from None
    return _shown(request, row)


@endpoints.get("/auth/users/", query=PageQuery, response=by_roles.user, many=True)
async def list_users(request: web.Request) -> Any:
    """List the accounts that you may see: staff all, everybody else their own."""
    page = read_page(request)
    if me(request).is_staff or not request.app[SETTINGS].hide_users:
        rows = await request.app[DB].rows("users/list", page.after, page.limit + 1, me(request).is_staff)
        return page_response(request, page, write_page([_shown(request, row) for row in rows], page.limit))
    return [_mine(request)] if me(request).id > page.after else []


@endpoints.get("/auth/users/me/", response=by_roles.user)
async def read_me(request: web.Request) -> Any:
    """Read your account."""
    return _mine(request)


@endpoints.put("/auth/users/me/", body=by_settings.user_edit, response=by_roles.user)
@endpoints.patch("/auth/users/me/", body=by_settings.user_edit_by_staff, response=by_roles.user)
async def edit_me(request: web.Request) -> Any:
    """Edit your account."""
    return await _edit(request, _mine(request))


@endpoints.delete("/auth/users/me/", body=CurrentPassword, status=204)
async def delete_me(request: web.Request) -> None:
    """Delete your account and all that is its own. Asks for your password."""
    await _delete(request, me(request).id)


@endpoints.get("/auth/users/{id}/", response=by_roles.user, errors=(Forbidden, NotFound))
async def read_user(request: web.Request) -> Any:
    """Read an account."""
    return await _find(request, path_id(request))


@endpoints.put("/auth/users/{id}/", body=by_settings.user_edit, response=by_roles.user, errors=(Forbidden, NotFound))
@endpoints.patch(
    "/auth/users/{id}/", body=by_settings.user_edit_by_staff, response=by_roles.user, errors=(Forbidden, NotFound)
)
async def edit_user(request: web.Request) -> Any:
    """Edit an account."""
    return await _edit(request, await _find(request, path_id(request)))


@endpoints.delete("/auth/users/{id}/", body=CurrentPassword, status=204, errors=(Forbidden, NotFound))
async def delete_user(request: web.Request) -> None:
    """Delete an account and all that is its own. Asks for your own password, also when the account is another's."""
    user = await _find(request, path_id(request))
    await _delete(request, user["id"])


def _shown(request: web.Request, user: Mapping[str, Any]) -> dict[str, Any]:
    """The user object of the contract; on a site with roles the role, too."""
    shown = dict(user)
    if not request.app[SETTINGS].roles:
        del shown["role"]
    return shown


def _mine(request: web.Request) -> dict[str, Any]:
    identity = me(request)
    mine = {"email": identity.email, "id": identity.id, "username": identity.username, "role": identity.role}
    return _shown(request, mine)


async def _find(request: web.Request, user_id: int) -> dict[str, Any]:
    if user_id == me(request).id:
        return _mine(request)
    row = await request.app[DB].row("users/find", user_id)
    if row is None:
        raise NotFound
    only_self_or_staff(request, user_id)
    return _shown(request, row)


async def _edit(request: web.Request, user: dict[str, Any]) -> Any:
    # From anybody but staff, is_active is a field like any other that nobody asked for.
    may_switch = me(request).is_staff and request.method == hdrs.METH_PATCH
    shape = by_settings.user_edit_by_staff if may_switch else by_settings.user_edit
    given = await read_body(request, shape(request.app[SETTINGS]))
    try:
        async with request.app[DB].transaction() as transaction:
            if "email" in given:
                user = _there(request, user, await _change_address(request, transaction, user, given["email"]))
            if "is_active" in given:
                user = _there(request, user, await transaction.row("users/edit", user["id"], given["is_active"]))
            if "role" in given:
                user = _there(request, user, await transaction.row("users/set_role", user["id"], given["role"]))
    except asyncpg.UniqueViolationError as failure:
        raise _taken(failure) from None
    return user


async def _change_address(request: web.Request, transaction: Transaction, user: Any, address: str) -> Any:
    settings = request.app[SETTINGS]
    if settings.send_activation_email and settings.unique_email:
        row = await transaction.row("addresses/taken", user["id"], address)
        if row and row["is_taken"]:
            raise FieldErrors({"email": [TAKEN_EMAIL]})
    confirmed = settings.send_activation_email
    return await addresses.change(transaction, request.app[LETTERS], user["id"], address, confirmed=confirmed)


def _there(request: web.Request, user: Any, row: Any) -> dict[str, Any]:
    """The user object after a change of `user`. Raises NotFound or a 401 when the account went away meanwhile."""
    if row is None:
        raise gone(request, user["id"])
    return _shown(request, row)


async def _delete(request: web.Request, user_id: int) -> None:
    given = await read_body(request)
    stored = await confirm_password(request, given["current_password"])
    async with request.app[DB].transaction() as transaction:
        await only_unchanged_password(request, transaction, stored)
        if await transaction.row("users/delete", user_id) is None:
            raise gone(request, user_id)


async def _welcome(request: web.Request, transaction: Transaction, user_id: int) -> None:
    """Queue the letter that a new account gets."""
    if request.app[SETTINGS].send_activation_email:
        await request.app[LETTERS].queue_link(transaction, ACTIVATION, user_id)
    elif request.app[SETTINGS].send_confirmation_email:
        await request.app[LETTERS].queue(transaction, CONFIRMATION, user_id)


async def _fill_profile(request: web.Request, transaction: Transaction, user: Any, given: dict[str, Any]) -> None:
    """Write what a new account says of itself into the rows that its trigger has made (house 3: a statement later)."""
    written = [given.get(name) for name in ("description", "location", "is_creator")]
    if any(value is not None for value in written):
        await transaction.row("profiles/fill", user["id"], *written)
    role = request.app[SETTINGS].roles.get(user["role"])
    if role and "fields" in given:
        fields = orjson.dumps(known(role, given["fields"])).decode()
        await transaction.row("role_fields/write", user["id"], role.name, fields)


async def _read_registration(request: web.Request) -> dict[str, Any]:
    """The fields of a registration, with all their faults at once: what is taken counts as one (contract 12)."""
    faults: dict[str, Any] = {}
    try:
        given = await read_body(request)
    except FieldErrors as failure:
        faults, given = failure.fields, failure.sound
    faults |= await _taken_already(request, given)
    if faults:
        raise FieldErrors(faults)
    return given


async def _taken_already(request: web.Request, given: dict[str, Any]) -> dict[str, Any]:
    username = given.get("username", "")
    email = given.get("email", "") if request.app[SETTINGS].unique_email else ""
    if not username and not email:
        return {}
    taken = await request.app[DB].row("users/taken", username, email)
    assert taken is not None
    return {
        **({"username": [TAKEN_USERNAME]} if taken["username"] else {}),
        **({"email": [TAKEN_EMAIL]} if taken["email"] else {}),
    }


def _taken(failure: asyncpg.UniqueViolationError) -> Exception:
    fields = CONSTRAINTS.get(failure.constraint_name or "")
    return FieldErrors(fields) if fields else failure
