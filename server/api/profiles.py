"""Profiles. Everybody signed in reads them; each is its owner's to change, and not even staff's."""

from typing import Any

import asyncpg
from aiohttp import web

from server.errors import Conflict, Forbidden, NotFound, UserNotFound
from server.web.bodies import body
from server.web.endpoints import Endpoints
from server.web.guards import me, only_owner, path_id
from server.web.pages import answer_page, read_page
from server.web.parts import DB
from server.web.schemas import Profile, ProfileEdit

endpoints = Endpoints("profiles")


class NoProfile(NotFound):
    """No profile has this id."""

    text = "No userProfile matches the given query."


@endpoints.get("/api/accounts/all-profiles", answers=Profile, many=True)
async def list_profiles(request: web.Request) -> Any:
    """List all profiles, a page at a time; those of deactivated accounts only for staff."""
    page = read_page(request)
    rows = await request.app[DB].rows("profiles/list", page.after, page.limit + 1, me(request).is_staff)
    return answer_page(request, page, [_shown(row) for row in rows])


@endpoints.post("/api/accounts/all-profiles", reads=ProfileEdit, answers=Profile, status=201, raises=(Conflict,))
async def create_profile(request: web.Request) -> Any:
    """Make your profile anew, if you deleted it."""
    given = await body(request)
    fields = [given.get(name) for name in ("description", "location", "is_creator")]
    try:
        row = await request.app[DB].row("profiles/create", me(request).id, *fields)
    except asyncpg.ForeignKeyViolationError:  # the account was deleted while this was under way
        raise UserNotFound from None
    if row is None:
        raise Conflict("You have a profile already.")
    return _shown(row)


@endpoints.get("/api/accounts/profile/{id}", answers=Profile, raises=(NotFound,))
async def read_profile(request: web.Request) -> Any:
    """Read a profile."""
    return _shown(await _find(request))


@endpoints.put("/api/accounts/profile/{id}", reads=ProfileEdit, answers=Profile, raises=(Forbidden, NotFound))
@endpoints.patch("/api/accounts/profile/{id}", reads=ProfileEdit, answers=Profile, raises=(Forbidden, NotFound))
async def edit_profile(request: web.Request) -> Any:
    """Edit your profile."""
    profile = await _find(request)
    only_owner(request, profile["user_id"])
    row = await request.app[DB].change("profiles/edit", profile["id"], await body(request))
    if row is None:
        raise NoProfile
    return _shown(row)


@endpoints.delete("/api/accounts/profile/{id}", status=204, raises=(Forbidden, NotFound))
async def delete_profile(request: web.Request) -> None:
    """Delete your profile; your account stays."""
    profile = await _find(request)
    only_owner(request, profile["user_id"])
    if await request.app[DB].row("profiles/delete", profile["id"], me(request).id) is None:
        raise NoProfile


async def _find(request: web.Request) -> Any:
    row = await request.app[DB].find("profiles/find", path_id(request))
    if row is None:
        raise NoProfile
    return row


def _shown(row: Any) -> dict[str, Any]:
    """The profile object of the contract: the owner shows by name, the owner's id is for guards."""
    shown = dict(row)
    del shown["user_id"]
    return shown
