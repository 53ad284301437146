"""The identity that sends a request, read from the Authorization header before the handler runs."""

import re

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from server.auth.sessions import Identity, identify
from server.auth.tokens import ACCESS
from server.errors import (
    AccessTokenNotValid,
    BadAuthorizationHeader,
    BadCredentials,
    Forbidden,
    NotAcceptable,
    NotAuthenticated,
    NotFound,
    TokenNotValid,
)
from server.web.app_keys import API_TOKENS, DB, SESSION_USES, TOKENS
from server.web.endpoints import Access, endpoint_of

ACCEPT_MAX_LENGTH = 1000  # characters of Accept; the rest is ignored

IDENTITY = web.RequestKey("IDENTITY", Identity)


@web.middleware
async def access(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let a request reach its endpoint only if the endpoint's access allows it; the body is not read yet.

    Raises NotFound, NotAcceptable, Forbidden, or a 401.
    """
    if request.match_info.http_exception is not None:
        raise NotFound
    endpoint = endpoint_of(request.match_info.handler)
    if endpoint.is_json and not _accepts_json(", ".join(request.headers.getall(hdrs.ACCEPT, ()))):
        raise NotAcceptable
    if endpoint.access is Access.ANONYMOUS:
        return await handler(request)
    identity = await _identity(request)
    if identity is not None:
        if endpoint.access is Access.STAFF and not identity.is_staff:
            raise Forbidden
        request[IDENTITY] = identity
    elif endpoint.access is not Access.PUBLIC:
        raise NotAuthenticated
    return await handler(request)


async def identify_again(request: web.Request) -> None:
    """Read the identity of a signed-in caller again: after a long wait the session may have ended.

    Does nothing when the caller is not signed in. Raises a 401, or Forbidden when the account is no longer staff.
    """
    if IDENTITY in request:
        identity = await _identity(request)
        assert identity is not None  # the header is the same as before
        if request[IDENTITY].is_staff and not identity.is_staff:
            raise Forbidden  # checks that only staff pass may have been passed already
        request[IDENTITY] = identity


async def _identity(request: web.Request) -> Identity | None:
    """The identity that the Authorization header proves, or None without credentials (contract 1.6). Raises a 401."""
    headers = request.headers.getall(hdrs.AUTHORIZATION, ())
    if not headers:
        return None
    if len(headers) > 1:
        raise BadAuthorizationHeader
    keyword, *values = headers[0].split()[:3] or [""]
    match keyword.lower():
        case "bearer" | "jwt":
            if len(values) != 1:
                raise BadAuthorizationHeader
            return await _bearer(request, values[0])
        case "token":
            return await request.app[API_TOKENS].identify(request.app[DB], _api_token(values))
        case _:
            return None


async def _bearer(request: web.Request, token: str) -> Identity:
    """The identity that an access token proves. Raises a 401."""
    app = request.app
    try:
        claims = app[TOKENS].read(token, ACCESS)
        identity = await identify(app[DB], claims)
    except TokenNotValid as failure:
        raise AccessTokenNotValid(failure.detail) from None
    app[SESSION_USES].note(claims.session_id, claims.user_id)
    return identity


def _api_token(values: list[str]) -> str:
    if not values:
        raise BadCredentials("Invalid token header. No credentials provided.")
    if len(values) > 1:
        raise BadCredentials("Invalid token header. Token string should not contain spaces.")
    return values[0]


def _accepts_json(accept: str) -> bool:
    """Whether an Accept header allows JSON (RFC 9110 §12.5.1: the most specific range decides)."""
    if not accept or accept == "*/*" or accept == "application/json":
        return True
    allowed = {}
    for part in accept[:ACCEPT_MAX_LENGTH].lower().split(","):
        media_range, *parameters = (piece.strip() for piece in part.split(";"))
        allowed[media_range] = not any(re.fullmatch(r"q=0(\.0{0,3})?", parameter) for parameter in parameters)
    for media_range in ("application/json", "application/*", "*/*"):
        if media_range in allowed:
            return allowed[media_range]
    return False
