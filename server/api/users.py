"""Accounts. Only the owner and staff see an account; to other callers it does not exist."""

from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import hdrs, web
from marshmallow import Schema

from server.accounts import activation, addresses, deletion, fields, listing, passwords, registration, roles, usernames
from server.accounts.listing import Asked
from server.accounts.registration import NewAccount
from server.accounts.uniqueness import TAKEN_EMAIL, TAKEN_USERNAME
from server.errors import FieldFaults, Forbidden, NotFound, TooManyRequests
from server.settings.settings import Settings
from server.web.app_keys import DB, LETTERS, LIMITS, PASSWORDS, SETTINGS, TEMPLATES
from server.web.bodies import read_body
from server.web.clients import source_of
from server.web.endpoints import LONG_BODY_MAX_BYTES, Access, Endpoints, with_account_fields
from server.web.guards import (
    confirm_password,
    gone,
    me,
    only_same_twice,
    only_self_or_staff,
    path_id,
)
from server.web.lagging import read_list
from server.web.paging import page_response, write_page
from server.web.queries import read_query
from server.web.representations import USER_COLUMNS, user_object, user_object_for_staff
from server.web.schemas import by_settings, lists
from server.web.schemas.account_fields import first_values, given_values
from server.web.schemas.fields import PASSWORD_MISMATCH
from server.web.schemas.objects import CurrentPassword
from server.web.schemas.role_fields import known

endpoints = Endpoints("users")


@endpoints.post(
    "/auth/users/",
    access=Access.PUBLIC,
    body=by_settings.registration,
    body_max_bytes=LONG_BODY_MAX_BYTES,
    response=by_settings.user,
    status=201,
    errors=(TooManyRequests,),
)
async def register(request: web.Request) -> Any:
    """Register: make an account with its profile, or nothing."""
    app = request.app
    given = await _read_registration(request)
    only_same_twice(given, "password", PASSWORD_MISMATCH)
    if given["email"] and (app[SETTINGS].send_activation_email or app[SETTINGS].send_confirmation_email):
        await app[LIMITS].take_letter(app[DB], given["email"], source_of(request))
    places = app[LIMITS].places(source_of(request))
    account = _new_account(request, given, await app[PASSWORDS].hash(given["password"], holders=places))
    async with app[DB].transaction() as transaction:
        user = await registration.register(
            transaction, account, letters=app[LETTERS], settings=app[SETTINGS], source=source_of(request)
        )
    return _shown(request, user)


@endpoints.get("/auth/users/", query=lists.users, response=by_settings.user_seen_by_staff, many=True)
async def list_users(request: web.Request) -> Any:
    """List the accounts that you may see: staff see all, with their state; other callers see their own."""
    given, caller = read_query(request), me(request)
    flags = {name: given.pop(name) for name in ("is_active", "is_staff", "awaits_activation")}
    asked = Asked(**given)
    if caller.is_staff:
        rows = await read_list(request, lambda db: listing.accounts(db, asked, **flags))
        shown = [user_object_for_staff(request.app[SETTINGS], row) for row in rows]
    elif not request.app[SETTINGS].hide_users:
        if asked == Asked(after=asked.after, limit=asked.limit):
            rows = await read_list(request, lambda db: db.rows("users/list", asked.after, asked.limit + 1, False))
        else:
            rows = await read_list(request, lambda db: listing.accounts(db, asked, is_active=True, by_name_alone=True))
        shown = [_seen(request, {name: row[name] for name in USER_COLUMNS}) for row in rows]  # without the state
    else:
        return [_mine(request)] if caller.id > asked.after else []
    return page_response(request, write_page(rows, shown, asked.limit))


@endpoints.get("/auth/users/me/", response=by_settings.user)
async def read_me(request: web.Request) -> Any:
    """Read your account."""
    return _mine(request)


@endpoints.put(
    "/auth/users/me/",
    body=by_settings.user_edit_whole_by_staff,
    body_max_bytes=with_account_fields,
    response=by_settings.user,
    errors=(TooManyRequests,),
)
@endpoints.patch(
    "/auth/users/me/",
    body=by_settings.user_edit_by_staff,
    body_max_bytes=with_account_fields,
    response=by_settings.user_seen_by_staff,
    errors=(TooManyRequests,),
)
async def edit_me(request: web.Request) -> Any:
    """Edit your account."""
    return await _edit(request, _mine(request))


@endpoints.delete("/auth/users/me/", body=CurrentPassword, status=204, errors=(TooManyRequests,))
async def delete_me(request: web.Request) -> None:
    """Delete your account and everything that belongs to it. Needs your password."""
    await _delete(request, me(request).id)


@endpoints.get("/auth/users/{id}/", response=by_settings.user_seen_by_staff, errors=(Forbidden, NotFound))
async def read_user(request: web.Request) -> Any:
    """Read an account; staff also see its state."""
    return await _as_seen(request, await _find(request, path_id(request)))


@endpoints.put(
    "/auth/users/{id}/",
    body=by_settings.user_edit_whole_by_staff,
    body_max_bytes=with_account_fields,
    response=by_settings.user_seen_by_staff,
    errors=(Forbidden, NotFound, TooManyRequests),
)
@endpoints.patch(
    "/auth/users/{id}/",
    body=by_settings.user_edit_by_staff,
    body_max_bytes=with_account_fields,
    response=by_settings.user_seen_by_staff,
    errors=(Forbidden, NotFound, TooManyRequests),
)
async def edit_user(request: web.Request) -> Any:
    """Edit an account; staff also see its state."""
    return await _edit(request, await _find(request, path_id(request)))


@endpoints.delete("/auth/users/{id}/", body=CurrentPassword, status=204, errors=(Forbidden, NotFound, TooManyRequests))
async def delete_user(request: web.Request) -> None:
    """Delete an account and everything that belongs to it. Needs your own password, also for another account."""
    user = await _find(request, path_id(request))
    await _delete(request, user["id"])


def _shown(request: web.Request, user: Mapping[str, Any]) -> dict[str, Any]:
    return user_object(request.app[SETTINGS], user)


def _seen(request: web.Request, user: Mapping[str, Any]) -> dict[str, Any]:
    """The user object of a list, with what a caller who is not staff may see of it."""
    return user_object(request.app[SETTINGS], user, is_stranger=me(request).id != user["id"])


def _mine(request: web.Request) -> dict[str, Any]:
    identity = me(request)
    return _shown(request, {name: getattr(identity, name) for name in USER_COLUMNS})


async def _find(request: web.Request, user_id: int) -> dict[str, Any]:
    if user_id == me(request).id:
        return _mine(request)
    row = await request.app[DB].row("users/find", user_id)
    if row is None:
        raise NotFound
    only_self_or_staff(request, user_id)
    return _shown(request, row)


async def _as_seen(request: web.Request, user: dict[str, Any]) -> dict[str, Any]:
    """The user object as the caller sees it: staff see the state of the account, too (contract 2.3)."""
    if not me(request).is_staff:
        return user
    row = await request.app[DB].row("users/with_state", [user["id"]])
    if row is None:
        raise gone(request, user["id"])
    return user_object_for_staff(request.app[SETTINGS], row)


async def _edit(request: web.Request, user: dict[str, Any]) -> Any:
    app, source = request.app, source_of(request)
    given = await _read_edit(request, user)
    async with app[DB].transaction() as transaction:
        if "email" in given:
            changed = await addresses.change(
                transaction,
                user["id"],
                given["email"],
                letters=app[LETTERS],
                settings=app[SETTINGS],
                source=source,
            )
            user = _changed(request, user, changed)
        if "username" in given:
            renamed = await usernames.change(
                transaction,
                user["id"],
                given["username"],
                letters=app[LETTERS],
                settings=app[SETTINGS],
                source=source,
            )
            user = _changed(request, user, renamed)
        if "is_active" in given:
            switched = await activation.set_active(transaction, user["id"], active=given["is_active"], source=source)
            user = _changed(request, user, switched)
        if "role" in given:
            changed_role = await roles.set_role(transaction, user["id"], given["role"], source=source)
            user = _changed(request, user, changed_role)
        if values := given_values(app[SETTINGS].account, given):
            user = _changed(request, user, await fields.change(transaction, user["id"], values, source=source))
    # `me` answers with the object of the contract alone, unless a field was set that it does not have.
    return user if "id" not in request.match_info and "is_active" not in given else await _as_seen(request, user)


async def _read_edit(request: web.Request, user: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an edit of `user`. All faults report together, taken names and addresses included (contract 12)."""
    app, faults = request.app, FieldFaults()
    given: dict[str, Any] = {}
    with faults.collect():
        given = await read_body(request, _edit_schema(request)(app[SETTINGS]))
    given = given or faults.valid
    username, email, user_id = given.get("username") or "", given.get("email") or "", user["id"]
    is_moved = bool(email) and not await addresses.is_same(app[DB], user["email"], email)
    is_renamed = bool(username) and username != user.get("username")
    if (is_moved or is_renamed) and not me(request).is_staff:  # staff see all accounts
        await app[LIMITS].take_change(app[DB], me(request).id, source_of(request))
    if is_moved and app[SETTINGS].unique_email and await addresses.is_taken(app[DB], email, except_user_id=user_id):
        faults.add({"email": [TAKEN_EMAIL]})
    if is_renamed and await usernames.is_taken(app[DB], username, user_id):
        faults.add({"username": [TAKEN_USERNAME]})
    faults.check()
    if is_moved and app[SETTINGS].send_activation_email:
        await app[LIMITS].take_letter(app[DB], email, source_of(request))
    return given


def _edit_schema(request: web.Request) -> Callable[[Settings], type[Schema]]:
    """The schema of an edit. From a caller who is not staff, what staff may change is ignored like an unknown field."""
    is_staff = me(request).is_staff
    if request.method == hdrs.METH_PUT:
        return by_settings.user_edit_whole_by_staff if is_staff else by_settings.user_edit
    return by_settings.user_edit_by_staff if is_staff else by_settings.user_edit_partly


def _changed(request: web.Request, user: Any, row: Any) -> dict[str, Any]:
    """The user object after a change of `user`. Raises NotFound or a 401 when the account was deleted meanwhile."""
    if row is None:
        raise gone(request, user["id"])
    return _shown(request, row)


async def _delete(request: web.Request, user_id: int) -> None:
    given = await read_body(request)
    checked_hash = await confirm_password(request, given["current_password"])
    async with request.app[DB].transaction() as transaction:
        await passwords.lock(transaction, me(request).id, checked_hash=checked_hash)
        if not await deletion.delete(transaction, user_id, source=source_of(request)):
            raise gone(request, user_id)


async def _read_registration(request: web.Request) -> dict[str, Any]:
    """The fields of a registration. All faults report together, taken names and addresses included (contract 12)."""
    faults = FieldFaults()
    given: dict[str, Any] = {}
    with faults.collect():
        given = await read_body(request)
    given = given or faults.valid
    # Before the look-up, which tells who has an account: each try counts.
    await request.app[LIMITS].take_registration(request.app[DB], source_of(request))
    email = given.get("email", "") if request.app[SETTINGS].unique_email else ""
    username = given.get("username") or ""
    faults.add(await registration.taken_fields(request.app[DB], username=username, email=email))
    faults.check()
    return given


def _new_account(request: web.Request, given: Mapping[str, Any], password_hash: str) -> NewAccount:
    profile = given.get("profile", {})
    role = request.app[SETTINGS].roles.get(given.get("role"))
    return NewAccount(
        username=given.get("username"),
        email=given["email"],
        account_fields=first_values(request.app[SETTINGS].account, given),
        password_hash=password_hash,
        language=request.app[TEMPLATES].choose(request.headers.get(hdrs.ACCEPT_LANGUAGE, "")),
        role=given.get("role"),
        role_fields=known(role, profile["fields"]) if role and "fields" in profile else None,
        description=profile.get("description"),
        location=profile.get("location"),
        is_creator=profile.get("is_creator"),
    )
