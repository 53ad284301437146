"""Guards: checks that return or raise, and never return False, so that an unread result cannot grant access."""

import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Concatenate, ParamSpec, TypeVar

from aiohttp import web

from server.accounts.limits import network_of
from server.accounts.links import link_attempt
from server.accounts.passwords import InvalidPassword
from server.accounts.sign_in import check_password, renew_hash
from server.auth.password_rules import password_faults
from server.auth.sessions import Identity
from server.database.ids import read_id
from server.errors import FieldErrors, FieldFaults, Forbidden, NotFound, Problem, UserNotFound
from server.web.app_keys import DB, LIMITS, PASSWORDS, SETTINGS
from server.web.authentication import IDENTITY, identify_again
from server.web.bodies import read_body
from server.web.clients import source_of

P = ParamSpec("P")
R = TypeVar("R")


def me(request: web.Request) -> Identity:
    """The identity of the caller, with access SIGNED_IN or STAFF; elsewhere it may be absent (KeyError)."""
    return request[IDENTITY]


def path_id(request: web.Request, missing: type[NotFound] = NotFound) -> int:
    """The `{id}` of the path. Raises `missing` when it is out of the range of ids."""
    found = read_id(request.match_info["id"])
    if found is None:
        raise missing
    return found


def only_owner(request: web.Request, user_id: int) -> None:
    """Raises Forbidden unless the caller is the account `user_id`; staff are refused, too (contract 2)."""
    if me(request).id != user_id:
        raise Forbidden


def only_self_or_staff(request: web.Request, user_id: int) -> None:
    """Raises NotFound to other callers, who must not learn whether the account exists (contract 11.9).

    Raises Forbidden instead where HIDE_USERS is off.
    """
    if me(request).id != user_id and not me(request).is_staff:
        raise NotFound if request.app[SETTINGS].hide_users else Forbidden


async def confirm_password(request: web.Request, current_password: str) -> str:
    """Check the caller's own password again: the stored hash that it matches.

    Raises FieldErrors when it is wrong, TooManyRequests after too many wrong ones (security 9), UserNotFound when the
    account was deleted meanwhile.
    """
    db, passwords, limits = request.app[DB], request.app[PASSWORDS], request.app[LIMITS]
    user_id, source = me(request).id, source_of(request)
    row = await db.row("users/password", user_id, network_of(source.address))
    if row is None:
        raise UserNotFound
    buckets = limits.sign_in(source, name="", user_id=user_id, knows_network=row["knows_network"])
    fits = await check_password(
        db, passwords, limits, current_password, row["password"], buckets=buckets, user_id=user_id, source=source
    )
    if not fits:
        raise InvalidPassword
    places = limits.places(source, user_id=user_id)
    stored = await renew_hash(db, passwords, user_id, current_password, row["password"], places=places)
    await identify_again(request)  # a hash may wait long for a thread
    return stored


async def read_with_password(request: web.Request, faults: FieldFaults) -> tuple[dict[str, Any], str]:
    """Read a body that has the caller's own password: its fields without a fault, and the hash that it matches.

    Adds the faults of every field, a wrong password included, so that one response reports all (contract 12). The hash
    is empty when `faults` has one of the password.
    """
    given: dict[str, Any] = {}
    checked_hash = ""
    with faults.collect():
        given = await read_body(request)
    given = given or faults.valid
    if "current_password" in given:
        with faults.collect():
            checked_hash = await confirm_password(request, given["current_password"])
    return given, checked_hash


def counts_invalid_links(act: Callable[Concatenate[web.Request, P], Awaitable[R]]) -> Callable[..., Awaitable[R]]:
    """Let an act that follows the link of a letter count against the caller's network when the link is not valid.

    The act then raises TooManyRequests after too many of them (security 9).
    """

    @functools.wraps(act)
    async def limited(request: web.Request, *arguments: P.args, **named: P.kwargs) -> R:
        app = request.app
        async with link_attempt(app[DB], app[LIMITS], source_of(request)):
            return await act(request, *arguments, **named)

    return limited


def gone(request: web.Request, user_id: int) -> Problem:
    """The failure to raise for an account that was deleted meanwhile: a 401 if it is the caller's own."""
    return UserNotFound() if me(request).id == user_id else NotFound()


def only_strong(
    field: str,
    password: str,
    *,
    username: str | None = "",
    email: str = "",
    texts: Mapping[str, str] | None = None,
) -> None:
    """Raises FieldErrors with the text of every rule that a new password breaks (contract 5)."""
    faults = password_faults(password, username=username, email=email, texts=texts)
    if faults:
        raise FieldErrors({field: faults})


def only_same_twice(given: dict[str, Any], field: str, text: str) -> None:
    """Raises FieldErrors with `text` when the body also has `re_FIELD` and the two differ."""
    again = f"re_{field}"
    if again in given and given[again] != given[field]:
        raise FieldErrors({"non_field_errors": [text]})
