"""Pages of the origins that the operator names may call, with a bearer token; cookies are never part of it."""

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from server.web.responses import json_response

METHODS = "GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS"
HEADERS = "Accept, Authorization, Content-Type, X-Request-ID"
EXPOSED = "Link, Retry-After, WWW-Authenticate, X-Request-ID"
PREFLIGHT_SECONDS = "3600"


def cors(origins: tuple[str, ...]) -> Middleware:
    """The middleware that names the allowed origin on every answer, errors included (Fetch standard, CORS)."""

    @web.middleware
    async def add_cors(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get(hdrs.ORIGIN)
        is_allowed = origin is not None and ("*" in origins or origin in origins)
        response = await handler(request)
        # Not only for allowed origins: a cache must not hand the answer of one to another.
        vary = response.headers.get(hdrs.VARY)
        response.headers[hdrs.VARY] = f"{vary}, Origin" if vary else "Origin"
        if is_allowed and origin:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = "*" if "*" in origins else origin
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = EXPOSED
        return response

    return add_cors


@web.middleware
async def preflight(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer a browser that asks beforehand: it shows no credentials, so it must not get as far as access."""
    return _allowed() if _is_preflight(request) else await handler(request)


def _is_preflight(request: web.Request) -> bool:
    return (
        request.method == hdrs.METH_OPTIONS
        and hdrs.ORIGIN in request.headers
        and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
    )


def _allowed() -> web.Response:
    headers: dict[str, str] = {
        hdrs.ACCESS_CONTROL_ALLOW_METHODS: METHODS,
        hdrs.ACCESS_CONTROL_ALLOW_HEADERS: HEADERS,
        hdrs.ACCESS_CONTROL_MAX_AGE: PREFLIGHT_SECONDS,
    }
    return json_response(None, 204, headers)
