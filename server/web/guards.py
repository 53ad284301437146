"""Guards: checks that return or raise, and never return False, so that an unread result cannot grant access."""

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from server.accounts.passwords import InvalidPassword
from server.accounts.sign_in import renew_hash
from server.auth.password_rules import password_faults
from server.auth.sessions import Identity
from server.database.ids import read_id
from server.errors import FieldErrors, FieldFaults, Forbidden, NotFound, Problem, UserNotFound
from server.web.app_keys import DB, PASSWORDS, SETTINGS
from server.web.authentication import IDENTITY, identify_again
from server.web.bodies import read_body


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

    Raises FieldErrors when it is wrong, UserNotFound when the account was deleted meanwhile.
    """
    db, passwords = request.app[DB], request.app[PASSWORDS]
    row = await db.row("users/password", me(request).id)
    if row is None:
        raise UserNotFound
    if not await passwords.check(current_password, row["password"]):
        raise InvalidPassword
    stored = await renew_hash(db, passwords, me(request).id, current_password, row["password"])
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
