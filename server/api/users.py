"""Accounts. An account is its owner's and staff's; to everybody else it does not exist."""

from collections.abc import Mapping
from typing import Any

import asyncpg
import orjson
from aiohttp import hdrs, web

from server.db import Asker
from server.errors import FieldErrors, NotFound
from server.web import role_shapes
from server.web.bodies import body
from server.web.endpoints import Access, Endpoints
from server.web.fields import TAKEN_EMAIL, TAKEN_USERNAME
from server.web.guards import confirm_password, me, only_self_or_staff, path_id
from server.web.pages import answer_page, read_page
from server.web.parts import DB, PASSWORDS, SETTINGS
from server.web.role_fields import known
from server.web.schemas import CurrentPassword, UserEdit

endpoints = Endpoints("users")

# The constraints that callers can run into, and what they say (contract 8).
CONSTRAINTS = {
    "users_username_key": {"username": [TAKEN_USERNAME]},
    "users_email_key": {"email": [TAKEN_EMAIL]},
}


@endpoints.post(
    "/auth/users/", access=Access.PUBLIC, reads=role_shapes.registration, answers=role_shapes.user, status=201
)
async def register(request: web.Request) -> Any:
    """Register: make an account, and with it a profile, all of it or nothing."""
    given = await _read_registration(request)
    password = await request.app[PASSWORDS].hash(given["password"])
    account = (given["username"], given["email"], password, False, given.get("role"))
    try:
        async with request.app[DB].transaction() as asker:
            row = await asker.row("users/register", *account)
            assert row is not None
            await _fill_profile(request, asker, row, given.get("profile", {}))
    except asyncpg.UniqueViolationError as failure:
        raise _taken(failure) from None
    return _shown(request, row)


@endpoints.get("/auth/users/", answers=role_shapes.user, many=True)
async def list_users(request: web.Request) -> Any:
    """List the accounts that you may see: staff all, everybody else their own."""
    page = read_page(request)
    if me(request).is_staff:
        rows = await request.app[DB].rows("users/list", page.after, page.limit + 1)
        return answer_page(request, page, [_shown(request, row) for row in rows])
    return [_mine(request)] if me(request).id > page.after else []


@endpoints.get("/auth/users/me/", answers=role_shapes.user)
async def read_me(request: web.Request) -> Any:
    """Read your account."""
    return _mine(request)


@endpoints.put("/auth/users/me/", reads=UserEdit, answers=role_shapes.user)
@endpoints.patch("/auth/users/me/", reads=role_shapes.user_edit_by_staff, answers=role_shapes.user)
async def edit_me(request: web.Request) -> Any:
    """Edit your account."""
    return await _edit(request, me(request).id)


@endpoints.delete("/auth/users/me/", reads=CurrentPassword, status=204)
async def delete_me(request: web.Request) -> None:
    """Delete your account and all that is its own. Asks for your password."""
    await _delete(request, me(request).id)


@endpoints.get("/auth/users/{id}/", answers=role_shapes.user, raises=(NotFound,))
async def read_user(request: web.Request) -> Any:
    """Read an account."""
    return await _find(request, path_id(request))


@endpoints.put("/auth/users/{id}/", reads=UserEdit, answers=role_shapes.user, raises=(NotFound,))
@endpoints.patch(
    "/auth/users/{id}/", reads=role_shapes.user_edit_by_staff, answers=role_shapes.user, raises=(NotFound,)
)
async def edit_user(request: web.Request) -> Any:
    """Edit an account."""
    user = await _find(request, path_id(request))
    return await _edit(request, user["id"])


@endpoints.delete("/auth/users/{id}/", reads=CurrentPassword, status=204, raises=(NotFound,))
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
    only_self_or_staff(request, user_id)
    if user_id == me(request).id:
        return _mine(request)
    row = await request.app[DB].row("users/find", user_id)
    if row is None:
        raise NotFound
    return _shown(request, row)


async def _edit(request: web.Request, user_id: int) -> dict[str, Any]:
    # From anybody but staff, is_active is a field like any other that nobody asked for.
    may_switch = me(request).is_staff and request.method == hdrs.METH_PATCH
    given = await body(request, role_shapes.user_edit_by_staff(request.app[SETTINGS]) if may_switch else UserEdit)
    try:
        async with request.app[DB].transaction() as asker:
            row = await asker.row("users/edit", user_id, given.get("email"), given.get("is_active"))
            if "role" in given:
                row = await asker.row("users/set_role", user_id, given["role"])
    except asyncpg.UniqueViolationError as failure:
        raise _taken(failure) from None
    if row is None:
        raise NotFound
    return _shown(request, row)


async def _delete(request: web.Request, user_id: int) -> None:
    given = await body(request)
    await confirm_password(request, given["current_password"])
    if await request.app[DB].row("users/delete", user_id) is None:
        raise NotFound


async def _fill_profile(request: web.Request, asker: Asker, user: Any, given: dict[str, Any]) -> None:
    """Write what a new account says of itself into the rows that its trigger has made (house 3: a statement later)."""
    written = [given.get(name) for name in ("description", "location", "is_creator")]
    if any(value is not None for value in written):
        await asker.row("profiles/fill", user["id"], *written)
    role = request.app[SETTINGS].roles.get(user["role"])
    if role and "fields" in given:
        fields = orjson.dumps(known(role, given["fields"])).decode()
        await asker.row("role_fields/write", user["id"], role.name, fields)


async def _read_registration(request: web.Request) -> dict[str, Any]:
    """The fields of a registration, with all their faults at once: what is taken counts as one (contract 12)."""
    faults: dict[str, Any] = {}
    try:
        given = await body(request)
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
