"""CORS (Fetch standard): pages of the listed origins may send requests, with a token and never with cookies."""

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from server.web.responses import json_response

ALLOWED_METHODS = "GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS"
ALLOWED_HEADERS = "Accept, Authorization, Content-Type, X-Request-ID"
EXPOSED_HEADERS = "Link, Retry-After, WWW-Authenticate, X-Request-ID"
PREFLIGHT_SECONDS = "3600"


def cors(origins: tuple[str, ...]) -> Middleware:
    """The middleware that names the allowed origin in every response, errors included."""

    @web.middleware
    async def add_cors(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get(hdrs.ORIGIN)
        is_allowed = origin is not None and ("*" in origins or origin in origins)
        response = await handler(request)
        # For other origins, too: a cache must not give the response for one origin to another.
        vary = response.headers.get(hdrs.VARY)
        response.headers[hdrs.VARY] = f"{vary}, Origin" if vary else "Origin"
        if is_allowed and origin:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = "*" if "*" in origins else origin
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = EXPOSED_HEADERS
        return response

    return add_cors


@web.middleware
async def preflight(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Respond to a preflight request. It has no credentials, so it must not reach `access`."""
    return _preflight_response() if _is_preflight(request) else await handler(request)


def _is_preflight(request: web.Request) -> bool:
    return (
        request.method == hdrs.METH_OPTIONS
        and hdrs.ORIGIN in request.headers
        and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
    )


def _preflight_response() -> web.Response:
    headers: dict[str, str] = {
        hdrs.ACCESS_CONTROL_ALLOW_METHODS: ALLOWED_METHODS,
        hdrs.ACCESS_CONTROL_ALLOW_HEADERS: ALLOWED_HEADERS,
        hdrs.ACCESS_CONTROL_MAX_AGE: PREFLIGHT_SECONDS,
    }
    return json_response(None, 204, headers)
