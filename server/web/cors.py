"""CORS (Fetch standard): pages of the listed origins may send requests (contract 11.32).

The service sets no cookies and reads none. Credentials are allowed all the same, for origins that are listed by name:
many front ends switch them on for every request, and the browser then refuses a response that does not allow them.
"""

import re

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from server.settings.origins import canonical
from server.web.ordinary_responses import VARY_BY_ORIGIN, OrdinaryResponse
from server.web.responses import json_response

ALLOWED_METHODS = "GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS"
ALLOWED_HEADERS = "Accept, Authorization, Content-Type, X-Request-ID"  # when the preflight names none
REQUESTED_HEADERS_MAX_LENGTH = 2000
EXPOSED_HEADERS = "Link, RateLimit, RateLimit-Policy, Retry-After, WWW-Authenticate, X-Request-ID"
PREFLIGHT_SECONDS = "3600"

_HEADER_NAMES = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+(\s*,\s*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*")  # RFC 9110 §5.6.2


def cors(origins: tuple[str, ...]) -> Middleware:
    """The middleware that names the allowed origin in every response, errors included."""

    @web.middleware
    async def add_cors(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get(hdrs.ORIGIN)
        is_listed = origin is not None and canonical(origin) in origins
        response = await handler(request)
        if type(response) is OrdinaryResponse:
            if origin is None:
                response.vary = VARY_BY_ORIGIN
                return response
            response = response.to_response()
        # For other origins, too: a cache must not give the response for one origin to another.
        vary = response.headers.get(hdrs.VARY)
        response.headers[hdrs.VARY] = f"{vary}, Origin" if vary else "Origin"
        if origin and (is_listed or "*" in origins):
            # The origin as the browser wrote it: it compares character by character.
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin if is_listed else "*"
            if is_listed:
                response.headers[hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS] = "true"
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = EXPOSED_HEADERS
        return response

    return add_cors


@web.middleware
async def preflight(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Respond to a preflight request. It has no credentials, so it must not reach `access`."""
    return _preflight_response(request) if _is_preflight(request) else await handler(request)


def _is_preflight(request: web.Request) -> bool:
    return (
        request.method == hdrs.METH_OPTIONS
        and hdrs.ORIGIN in request.headers
        and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
    )


def _preflight_response(request: web.Request) -> web.Response:
    headers: dict[str, str] = {
        hdrs.ACCESS_CONTROL_ALLOW_METHODS: ALLOWED_METHODS,
        hdrs.ACCESS_CONTROL_ALLOW_HEADERS: _allowed_headers(request),
        hdrs.ACCESS_CONTROL_MAX_AGE: PREFLIGHT_SECONDS,
    }
    return json_response(None, 204, headers | {hdrs.VARY: "Accept, Access-Control-Request-Headers"})


def _allowed_headers(request: web.Request) -> str:
    """The headers that the page asks for: tracing and CSRF headers of all kinds, which the service ignores."""
    requested = ", ".join(request.headers.getall(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, ()))
    is_list = len(requested) <= REQUESTED_HEADERS_MAX_LENGTH and _HEADER_NAMES.fullmatch(requested)
    return requested if is_list else ALLOWED_HEADERS
