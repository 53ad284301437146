"""A guard returns or raises, and never answers False: who forgets to look at its answer has still closed the door."""

from typing import Any

from aiohttp import web

from server.accounts.passwords import InvalidPassword
from server.auth.password_rules import password_faults
from server.auth.sessions import Identity, renew_hash
from server.database.database import read_id
from server.errors import FieldErrors, Forbidden, NotFound, Problem, UserNotFound
from server.web.app_keys import DB, PASSWORDS, SETTINGS
from server.web.middleware import IDENTITY, identify_again


def me(request: web.Request) -> Identity:
    """Who asks. Only where the access is SIGNED_IN; elsewhere there may be nobody (KeyError)."""
    return request[IDENTITY]


def path_id(request: web.Request) -> int:
    """The `{id}` of the path. Raises NotFound for one that no row can have."""
    found = read_id(request.match_info["id"])
    if found is None:
        raise NotFound
    return found


def only_owner(request: web.Request, user_id: int) -> None:
    """Raises Forbidden to everybody but the account `user_id`, staff included (contract 2)."""
    if me(request).id != user_id:
        raise Forbidden


def only_self_or_staff(request: web.Request, user_id: int) -> None:
    """Raises NotFound to a stranger: whether the account exists is not theirs to know (contract 11.9).

    With HIDE_USERS off it is, and then Forbidden is raised.
    """
    if me(request).id != user_id and not me(request).is_staff:
        raise NotFound if request.app[SETTINGS].hide_users else Forbidden


async def confirm_password(request: web.Request, current_password: str) -> str:
    """The caller's own password, once more: the hash that it fits.

    Raises FieldErrors when it fits none, UserNotFound when the account went away meanwhile.
    """
    db, passwords = request.app[DB], request.app[PASSWORDS]
    row = await db.row("users/password", me(request).id)
    if row is None:
        raise UserNotFound
    if not await passwords.check(current_password, row["password"]):
        raise InvalidPassword
    stored = await renew_hash(db, passwords, me(request).id, current_password, row["password"])
    await identify_again(request)  # a hash may have waited for long
    return stored


def gone(request: web.Request, user_id: int) -> Problem:
    """What to raise for an account that went away meanwhile: the caller's own is nobody's any more."""
    return UserNotFound() if me(request).id == user_id else NotFound()


def only_strong(field: str, password: str, *, username: str = "", email: str = "") -> None:
    """Raises FieldErrors with every rule that a new password breaks (contract 5)."""
    faults = password_faults(password, username=username, email=email)
    if faults:
        raise FieldErrors({field: faults})


def only_same_twice(given: dict[str, Any], field: str, text: str) -> None:
    """Raises FieldErrors with `text` when `field` was asked for twice, as `re_…`, and the two differ."""
    again = f"re_{field}"
    if again in given and given[again] != given[field]:
        raise FieldErrors({"non_field_errors": [text]})
