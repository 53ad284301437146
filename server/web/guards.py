"""A guard returns or raises, and never answers False: who forgets to look at its answer has still closed the door."""

from aiohttp import web

from server.auth.sessions import Identity
from server.errors import FieldErrors, Forbidden, NotFound
from server.web.middleware import IDENTITY
from server.web.parts import DB, PASSWORDS

MAX_ID = 2**63 - 1


def me(request: web.Request) -> Identity:
    """Who asks. Only where the access is SIGNED_IN; elsewhere there may be nobody (KeyError)."""
    return request[IDENTITY]


def path_id(request: web.Request) -> int:
    """The `{id}` of the path. Raises NotFound for one that no row can have."""
    digits = request.match_info["id"].lstrip("0") or "0"
    if len(digits) > 19 or int(digits) > MAX_ID:  # the length first: int() takes its time with long ones
        raise NotFound
    return int(digits)


def only_owner(request: web.Request, user_id: int) -> None:
    """Raises Forbidden to everybody but the account `user_id`, staff included (contract 2)."""
    if me(request).id != user_id:
        raise Forbidden


def only_self_or_staff(request: web.Request, user_id: int) -> None:
    """Raises NotFound to a stranger: whether the account exists is not theirs to know (contract 11.9)."""
    if me(request).id != user_id and not me(request).is_staff:
        raise NotFound


async def confirm_password(request: web.Request, current_password: str) -> None:
    """The caller's own password, once more. Raises FieldErrors when it is not."""
    row = await request.app[DB].row("users/password", me(request).id)
    if not await request.app[PASSWORDS].check(current_password, row and row["password"]):
        raise FieldErrors({"current_password": ["Invalid password."]})
