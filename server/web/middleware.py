"""The middleware around all others: it gives each request its id and renders every failure."""

import functools
import logging
import re
import time

import asyncpg
from aiohttp import HttpVersion10, HttpVersion11, hdrs, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.typedefs import Handler

from server.auth.passwords import client_connection
from server.errors import BadRequest, Problem
from server.telemetry import metrics
from server.telemetry.logs import new_id, request_id
from server.web.app_keys import SETTINGS, STOPPING
from server.web.authentication import IDENTITY
from server.web.clients import client_address
from server.web.endpoints import HTTP_METHODS
from server.web.ordinary_responses import OrdinaryResponse
from server.web.protocol import scheme_of_target
from server.web.refusals import TransferEncodingNotSupported, VersionNotSupported
from server.web.responses import error_response

log = logging.getLogger(__name__)

_VERSIONS = (HttpVersion11, HttpVersion10)
_LONG_SEGMENT = re.compile("[^/]{32,}")  # no path of the service has one; a token has 43 characters
_SCHEMES = ("http", "https")  # of a target in absolute form (RFC 9112 §3.2.2)
_HOST = re.compile(r"([\w.-]+|\[[\da-fA-F:.]+\])(:\d{1,5})?", re.ASCII)
HOST_MAX_LENGTH = 300  # a name has 253 characters at most
COUNTED_METHODS = frozenset({*HTTP_METHODS, "HEAD", "OPTIONS"})
_USABLE_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request its id, render every failure of its handler, and write the access log."""
    given = request.headers.get("X-Request-ID")
    number = given if given and _USABLE_ID.fullmatch(given) else new_id()
    request_id.set(number)
    client_connection.set(request.protocol)  # type: ignore[arg-type]  # every connection of Runner is a Protocol
    began = time.perf_counter()
    try:
        _check_http(request)
        response = await handler(request)
    except Exception as failure:
        response = _render(request, _problem(request, failure))
        if isinstance(failure, VersionNotSupported | TransferEncodingNotSupported):
            response.force_close()
        failure.__traceback__ = None  # it holds the body, in a cycle if the request knows the failure
        allow = getattr(request.match_info.handler, "allow", None)
        if allow:
            response.headers[hdrs.ALLOW] = allow
    if type(response) is OrdinaryResponse:
        response.request_id = number
    else:
        response.headers["X-Request-ID"] = number
    app, status, seconds = request.app, response.status, time.perf_counter() - began
    if app[STOPPING].is_set():
        response.force_close()
    method, route = _counted_method(request), route_of(request)
    metrics.HTTP_REQUESTS.add(method, route, status)
    metrics.HTTP_SECONDS.observe(seconds, method, route)
    if app[SETTINGS].access_log:
        _log_request(request, status, seconds)
    return response


def route_of(request: web.Request) -> str:
    """The template of the request's path, for metrics and logs: never what a client chose."""
    endpoint = getattr(request.match_info.handler, "endpoint", None)
    return endpoint.path if endpoint else metrics.UNKNOWN_ROUTE


def _log_request(request: web.Request, status: int, seconds: float) -> None:
    identity = request.get(IDENTITY)
    fields = {
        "method": request.method,
        "route": route_of(request),
        "path": _log_path(request),
        "status": status,
        "ms": round(seconds * 1000, 1),
        "client": client_address(request),
        "account": identity.id if identity else None,
    }
    log.info("request", extra={"fields": fields})


def _counted_method(request: web.Request) -> str:
    return request.method if request.method in COUNTED_METHODS else metrics.OTHER_METHOD


def _check_http(request: web.Request) -> None:
    """Check version, Transfer-Encoding, target and Host on every route (RFC 9112 §2.3, §6.1, §3.2).

    aiohttp's parser refuses most versions and codings, a Host that is repeated, and one that is missing in HTTP/1.1.
    Raises VersionNotSupported, TransferEncodingNotSupported, BadRequest.
    """
    if request.version not in _VERSIONS:
        raise VersionNotSupported
    coding = request.headers.get(hdrs.TRANSFER_ENCODING) if request.body_exists else None
    # HTTP/1.0 has no codings: what is before the service may have read the body in another way.
    if coding is not None and (coding.lower() != "chunked" or request.version == HttpVersion10):
        raise TransferEncodingNotSupported
    scheme = scheme_of_target(request)
    if scheme and scheme not in _SCHEMES:
        raise BadRequest("The target of the request is not of this service.")
    host = request.headers.get(hdrs.HOST)
    if host is not None and not is_host(host):
        raise BadRequest("The Host header is not valid.")


@functools.lru_cache(256)
def is_host(text: str) -> bool:
    """Whether a text is a host, with a port or without (RFC 3986 §3.2.2)."""
    return len(text) <= HOST_MAX_LENGTH and _HOST.fullmatch(text) is not None


def _render(request: web.Request, problem: Problem) -> web.Response:
    endpoint = getattr(request.match_info.handler, "endpoint", None)
    render = endpoint.render_error if endpoint else None
    return render(request, problem) if render else error_response(problem)


def _problem(request: web.Request, failure: Exception) -> Problem:
    """The Problem that the client gets for a failure; an unforeseen failure is logged."""
    if isinstance(failure, Problem):
        return failure
    if isinstance(failure, HttpProcessingError):  # a body that is not compressed or chunked as its headers say
        return BadRequest("The request body could not be decoded.")
    if isinstance(failure, asyncpg.PostgresError):
        failure.detail = None  # it quotes whole rows, password hashes included
    log.error("%s %s failed", request.method, _log_path(request), exc_info=failure)
    return Problem()


def _log_path(request: web.Request) -> str:
    """The path for a log line, without tokens (security 34): for the link of a letter, the pattern of its route.

    A link that was cut or lengthened may match no route. Then every segment long enough to be a token is left out.
    """
    resource = request.match_info.route.resource
    if resource and "{token}" in resource.canonical:
        return resource.canonical
    return _LONG_SEGMENT.sub("…", request.rel_url.raw_path)
