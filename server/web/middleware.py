"""Around every handler: failures become answers in one place, and doors are closed unless declared open."""

import logging
import re
import time

import asyncpg
from aiohttp import hdrs, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from server.auth.passwords import client_connection
from server.auth.sessions import Identity, identify
from server.auth.tokens import ACCESS
from server.errors import (
    AccessTokenNotValid,
    BadAuthorizationHeader,
    BadCredentials,
    BadRequest,
    Forbidden,
    NotAcceptable,
    NotAuthenticated,
    NotFound,
    ParseError,
    Problem,
    TokenNotValid,
    TooLarge,
)
from server.telemetry.logs import new_id, request_id
from server.web.app_keys import API_TOKENS, DB, SETTINGS, STOPPING, TOKENS
from server.web.endpoints import Access, declared
from server.web.responses import refuse

log = logging.getLogger(__name__)

IDENTITY = web.RequestKey("IDENTITY", Identity)
_LONG_PIECE = re.compile("[^/]{32,}")  # no path of ours has one; a token has 43 characters
_GOOD_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request its id, and turn whatever is raised below into an answer."""
    given = request.headers.get("X-Request-ID")
    number = given if given and _GOOD_ID.fullmatch(given) else new_id()
    request_id.set(number)
    client_connection.set(request.protocol)  # type: ignore[arg-type]  # a connection of our Runner is one
    began = time.perf_counter()
    try:
        response = await handler(request)
    except Exception as failure:
        response = _refused(request, _problem(request, failure))
        allow = getattr(request.match_info.handler, "allow", None)
        if allow:
            response.headers[hdrs.ALLOW] = allow
    response.headers["X-Request-ID"] = number
    app = request.app
    if app[STOPPING].is_set():
        response.force_close()
    if app[SETTINGS].access_log:
        spent = (time.perf_counter() - began) * 1000
        log.info("%s %s %s %.1f ms", request.method, _path(request), response.status, spent)
    return response


def _refused(request: web.Request, problem: Problem) -> web.Response:
    endpoint = getattr(request.match_info.handler, "endpoint", None)
    return endpoint.render_error(request, problem) if endpoint and endpoint.render_error else refuse(problem)


def _problem(request: web.Request, failure: Exception) -> Problem:
    if isinstance(failure, Problem):
        return failure
    if isinstance(failure, web.HTTPRequestEntityTooLarge):
        return TooLarge()
    if isinstance(failure, ConnectionError | web.RequestPayloadError):
        return ParseError("The request body was cut off.")
    if isinstance(failure, HttpProcessingError):  # a compressed or chunked body that is none
        return BadRequest("The request body could not be decoded.")
    if isinstance(failure, asyncpg.PostgresError):
        failure.detail = None  # it shows whole rows, password hashes included
    log.error("%s %s failed", request.method, _path(request), exc_info=failure)
    return Problem()


def _path(request: web.Request) -> str:
    """The path as it may stand in a log: a letter's link opens an account, so it stands there by its pattern.

    A link that was cut or lengthened on its way meets no pattern; a piece of it that could be a token is left out.
    """
    resource = request.match_info.route.resource
    if resource and "{token}" in resource.canonical:
        return resource.canonical
    return _LONG_PIECE.sub("…", request.rel_url.raw_path)


@web.middleware
async def access(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Close every door that was not declared open; find out who asks, before the body is read."""
    if request.match_info.http_exception is not None:
        raise NotFound
    endpoint = declared(request.match_info.handler)
    if endpoint.is_json and not _takes_json(", ".join(request.headers.getall(hdrs.ACCEPT, ()))):
        raise NotAcceptable
    if endpoint.access is Access.ANONYMOUS:
        return await handler(request)
    identity = await _identity(request)
    if identity is not None:
        request[IDENTITY] = identity
    elif endpoint.access is not Access.PUBLIC:
        raise NotAuthenticated
    return await handler(request)


async def identify_again(request: web.Request) -> None:
    """Find out anew who asks, where somebody does: it may be over by now. Raises a 401, or Forbidden."""
    if IDENTITY in request:
        identity = await _identity(request)
        assert identity is not None  # the header is the same
        if request[IDENTITY].is_staff and not identity.is_staff:
            raise Forbidden  # doors that staff alone may pass lie behind already
        request[IDENTITY] = identity


async def _identity(request: web.Request) -> Identity | None:
    """Who the Authorization header speaks for, or None when it does not try (contract 1.6). Raises a 401."""
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
    app = request.app
    try:
        return await identify(app[DB], app[TOKENS].read(token, ACCESS))
    except TokenNotValid as failure:
        raise AccessTokenNotValid(failure.detail) from None


def _api_token(values: list[str]) -> str:
    if not values:
        raise BadCredentials("Invalid token header. No credentials provided.")
    if len(values) > 1:
        raise BadCredentials("Invalid token header. Token string should not contain spaces.")
    return values[0]


def _takes_json(accept: str) -> bool:
    """Whether an Accept header leaves room for JSON (RFC 9110 §12.5.1: the most specific range decides)."""
    if not accept or accept == "*/*" or accept == "application/json":
        return True
    quality = {}
    for part in accept.lower().split(","):
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        quality[kind] = not any(re.fullmatch(r"q=0(\.0{0,3})?", parameter) for parameter in parameters)
    for kind in ("application/json", "application/*", "*/*"):
        if kind in quality:
            return quality[kind]
    return False
