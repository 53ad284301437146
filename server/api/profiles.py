"""Profiles. Every signed-in caller reads them; only the owner changes one, not even staff (contract 2)."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import asyncpg
import orjson
from aiohttp import hdrs, web

from server.accounts import listing
from server.accounts.listing import Asked
from server.database.transaction import Transaction
from server.errors import Conflict, FieldFaults, Forbidden, NotFound, UserNotFound
from server.settings.account_model import AccountModel
from server.settings.roles import Roles
from server.web.app_keys import DB, SETTINGS
from server.web.bodies import read_body
from server.web.endpoints import LONG_BODY_MAX_BYTES, Endpoints
from server.web.guards import me, only_owner, path_id
from server.web.lagging import read_list, read_of_others
from server.web.paging import Written, page_response, write_page
from server.web.queries import read_query
from server.web.representations import profile_object
from server.web.schemas import by_roles, by_settings, lists
from server.web.schemas.role_fields import change

endpoints = Endpoints("profiles")


class NoProfile(NotFound):
    """No profile has this id."""

    text = "No userProfile matches the given query."


@endpoints.get("/api/accounts/all-profiles", query=lists.profiles, response=by_settings.profile, many=True)
async def list_profiles(request: web.Request) -> Any:
    """List all profiles, page by page. Only staff see those of deactivated accounts."""
    asked, is_staff = Asked(**read_query(request)), me(request).is_staff
    settings = request.app[SETTINGS]
    write = _page_writer(settings.account, settings.roles)
    if asked == Asked(after=asked.after, limit=asked.limit):  # the whole list: simultaneous callers share its pages
        written = await read_list(
            request, lambda db: db.share("profiles/list", write, asked.after, asked.limit + 1, is_staff)
        )
    else:
        rows = await read_list(request, lambda db: listing.profiles(db, asked, of_deactivated=is_staff))
        written = write(rows, asked.after, asked.limit + 1, is_staff)
    return page_response(request, written)


@endpoints.post(
    "/api/accounts/all-profiles",
    body=by_roles.profile_edit,
    body_max_bytes=LONG_BODY_MAX_BYTES,
    response=by_settings.profile,
    status=201,
    errors=(Conflict,),
)
async def create_profile(request: web.Request) -> Any:
    """Create your profile again, if you deleted it."""
    given = await _read_edit(request, {"role": me(request).role, "fields": None})
    fields = [given.get(name) for name in ("description", "location", "is_creator")]
    try:
        async with request.app[DB].transaction() as transaction:
            row = await transaction.row("profiles/create", me(request).id, *fields)
            if row is not None and "fields" in given:
                row = await _write_fields(request, transaction, row, given)
    except asyncpg.ForeignKeyViolationError:  # the account was deleted meanwhile
        raise UserNotFound from None
    if row is None:
        raise Conflict("You have a profile already.")
    return _shown(request, row)


@endpoints.get("/api/accounts/profile/{id}", response=by_settings.profile, errors=(NotFound,))
async def read_profile(request: web.Request) -> Any:
    """Read a profile."""
    profile_id = path_id(request, NoProfile)
    row = await read_of_others(request, lambda db: db.find("profiles/find", profile_id), lambda row: row["user_id"])
    if row is None:
        raise NoProfile
    return _shown(request, row)


@endpoints.put(
    "/api/accounts/profile/{id}",
    body=by_roles.profile_edit,
    body_max_bytes=LONG_BODY_MAX_BYTES,
    response=by_settings.profile,
    errors=(Forbidden, NotFound),
)
@endpoints.patch(
    "/api/accounts/profile/{id}",
    body=by_roles.profile_edit_partly,
    body_max_bytes=LONG_BODY_MAX_BYTES,
    response=by_settings.profile,
    errors=(Forbidden, NotFound),
)
async def edit_profile(request: web.Request) -> Any:
    """Edit your profile."""
    profile = await _find(request)
    only_owner(request, profile["user_id"])
    given = await _read_edit(request, profile)
    if "fields" in given:
        row = await _edit_with_fields(request, profile["id"], given)
    else:
        row = await request.app[DB].change("profiles/edit", profile["id"], given, lock="profiles/lock")
    if row is None:
        raise NoProfile
    return _shown(request, row)


@endpoints.delete("/api/accounts/profile/{id}", status=204, errors=(Forbidden, NotFound))
async def delete_profile(request: web.Request) -> None:
    """Delete your profile, with the fields of your role; your account stays."""
    profile = await _find(request)
    only_owner(request, profile["user_id"])
    if await request.app[DB].row("profiles/delete", profile["id"], me(request).id) is None:
        raise NoProfile


async def _find(request: web.Request) -> Any:
    row = await request.app[DB].find("profiles/find", path_id(request, NoProfile))
    if row is None:
        raise NoProfile
    return row


async def _read_edit(request: web.Request, profile: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an edit. Reports all faults together; checks the role's fields against `profile` as it is now."""
    faults = FieldFaults()
    given: dict[str, Any] = {}
    with faults.collect():
        given = await read_body(request)
    given = given or faults.valid
    if "fields" in given:
        with faults.collect():
            _role_fields_after(request, profile, given)
    faults.check()
    return given


async def _edit_with_fields(request: web.Request, profile_id: int, given: dict[str, Any]) -> Any:
    """Edit a profile under a lock on its row: the fields that were validated are those that are stored."""
    async with request.app[DB].transaction() as transaction:
        if await transaction.row("profiles/lock", profile_id) is None:
            return None
        profile = await transaction.row("profiles/find", [profile_id])
        return profile and await _write_fields(request, transaction, profile, given)


async def _write_fields(request: web.Request, transaction: Transaction, profile: Any, given: Mapping[str, Any]) -> Any:
    """Write what is given into a profile that this transaction has locked: the row. Raises FieldErrors."""
    fields = _role_fields_after(request, profile, given)
    if profile["role"] is not None:
        await transaction.row("role_fields/write", profile["user_id"], profile["role"], orjson.dumps(fields).decode())
    rest = orjson.dumps({name: value for name, value in given.items() if name != "fields"}).decode()
    return await transaction.row("profiles/edit", [profile["id"]], [rest])


def _role_fields_after(request: web.Request, profile: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The role's fields after the edit: PATCH merges, PUT and POST replace. Raises FieldErrors."""
    merge = request.method == hdrs.METH_PATCH
    return change(request.app[SETTINGS].roles, profile, given["fields"], merge=merge)


def _shown(request: web.Request, row: Any) -> dict[str, Any]:
    settings = request.app[SETTINGS]
    return profile_object(settings.account, settings.roles, row)


@functools.cache
def _page_writer(account: AccountModel, roles: Roles) -> Callable[[Sequence[Any], int, int, bool], Written]:
    """The function that writes a page of this site: the same one each time, so that simultaneous callers share it."""

    def write(rows: Sequence[Any], after: int, limit: int, is_staff: bool) -> Written:
        return write_page(rows, [profile_object(account, roles, row) for row in rows], limit - 1)

    return write
