"""Accounts. An account is its owner's and staff's; to everybody else it does not exist."""

from typing import Any

import asyncpg
from aiohttp import hdrs, web

from server.errors import FieldErrors, NotFound
from server.web.bodies import body
from server.web.endpoints import Access, Endpoints
from server.web.fields import TAKEN_EMAIL, TAKEN_USERNAME
from server.web.guards import confirm_password, me, only_self_or_staff, path_id
from server.web.pages import answer_page, read_page
from server.web.parts import DB, PASSWORDS, SETTINGS
from server.web.schemas import CurrentPassword, Registration, User, UserEdit, UserEditByStaff

endpoints = Endpoints("users")

# The constraints that callers can run into, and what they say (contract 8).
CONSTRAINTS = {
    "users_username_key": {"username": [TAKEN_USERNAME]},
    "users_email_key": {"email": [TAKEN_EMAIL]},
}


@endpoints.post("/auth/users/", access=Access.PUBLIC, reads=Registration, answers=User, status=201)
async def register(request: web.Request) -> Any:
    """Register: make an account, and with it a profile."""
    given = await _read_registration(request)
    password = await request.app[PASSWORDS].hash(given["password"])
    try:
        row = await request.app[DB].row("users/register", given["username"], given["email"], password, False)
    except asyncpg.UniqueViolationError as failure:
        raise _taken(failure) from None
    return dict(row) if row else None


@endpoints.get("/auth/users/", answers=User, many=True)
async def list_users(request: web.Request) -> Any:
    """List the accounts that you may see: staff all, everybody else their own."""
    page = read_page(request)
    if me(request).is_staff:
        rows = await request.app[DB].rows("users/list", page.after, page.limit + 1)
        return answer_page(request, page, [dict(row) for row in rows])
    return [_mine(request)] if me(request).id > page.after else []


@endpoints.get("/auth/users/me/", answers=User)
async def read_me(request: web.Request) -> Any:
    """Read your account."""
    return _mine(request)


@endpoints.put("/auth/users/me/", reads=UserEdit, answers=User)
@endpoints.patch("/auth/users/me/", reads=UserEditByStaff, answers=User)
async def edit_me(request: web.Request) -> Any:
    """Edit your account."""
    return await _edit(request, me(request).id)


@endpoints.delete("/auth/users/me/", reads=CurrentPassword, status=204)
async def delete_me(request: web.Request) -> None:
    """Delete your account and all that is its own. Asks for your password."""
    await _delete(request, me(request).id)


@endpoints.get("/auth/users/{id}/", answers=User, raises=(NotFound,))
async def read_user(request: web.Request) -> Any:
    """Read an account."""
    return await _find(request, path_id(request))


@endpoints.put("/auth/users/{id}/", reads=UserEdit, answers=User, raises=(NotFound,))
@endpoints.patch("/auth/users/{id}/", reads=UserEditByStaff, answers=User, raises=(NotFound,))
async def edit_user(request: web.Request) -> Any:
    """Edit an account."""
    user = await _find(request, path_id(request))
    return await _edit(request, user["id"])


@endpoints.delete("/auth/users/{id}/", reads=CurrentPassword, status=204, raises=(NotFound,))
async def delete_user(request: web.Request) -> None:
    """Delete an account and all that is its own. Asks for your own password, also when the account is another's."""
    user = await _find(request, path_id(request))
    await _delete(request, user["id"])


def _mine(request: web.Request) -> dict[str, Any]:
    identity = me(request)
    return {"email": identity.email, "id": identity.id, "username": identity.username}


async def _find(request: web.Request, user_id: int) -> dict[str, Any]:
    only_self_or_staff(request, user_id)
    if user_id == me(request).id:
        return _mine(request)
    row = await request.app[DB].row("users/find", user_id)
    if row is None:
        raise NotFound
    return dict(row)


async def _edit(request: web.Request, user_id: int) -> dict[str, Any]:
    # From anybody but staff, is_active is a field like any other that nobody asked for.
    may_switch = me(request).is_staff and request.method == hdrs.METH_PATCH
    given = await body(request, UserEditByStaff if may_switch else UserEdit)
    try:
        row = await request.app[DB].row("users/edit", user_id, given.get("email"), given.get("is_active"))
    except asyncpg.UniqueViolationError as failure:
        raise _taken(failure) from None
    if row is None:
        raise NotFound
    return dict(row)


async def _delete(request: web.Request, user_id: int) -> None:
    given = await body(request)
    await confirm_password(request, given["current_password"])
    if await request.app[DB].row("users/delete", user_id) is None:
        raise NotFound


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
