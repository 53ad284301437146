"""The response to what is no request of HTTP: it never reaches the middleware (contract 12)."""

import re

from aiohttp import hdrs, web
from aiohttp.http_exceptions import BadHttpMethod

from server.errors import MethodNotAllowed, NotFound, Problem
from server.telemetry import metrics
from server.telemetry.logs import new_id, request_id
from server.web.responses import error_response

# The parser stops at a method that it does not know; its failure quotes the request line.
# Possessive: the line may have 16 kB, and a match that goes back over it would hold up all others (security 39).
_REQUEST_LINE = re.compile(r"b'([A-Za-z-]{1,32}) (/[^\s?#'\\]*+)\S*+ HTTP/1\.[01]'")


def give_id() -> None:
    """Give the request an id, unless the middleware has done so."""
    if not request_id.get():
        request_id.set(new_id())


def malformed_response(problem: Problem) -> web.Response:
    """Count and render a request that reached no route. It has an id."""
    metrics.HTTP_REQUESTS.add(metrics.OTHER_METHOD, metrics.MALFORMED_ROUTE, problem.status)
    response = error_response(problem)
    response.headers["X-Request-ID"] = request_id.get()
    return response


def unknown_method_response(app: web.Application, failure: BadHttpMethod) -> web.Response | None:
    """The response to a method that HTTP's registry does not have: 405 with Allow, or 404 (contract 12).

    None: the failure quotes no whole request line, or the path has no methods of its own.
    """
    line = _REQUEST_LINE.search(failure.message)
    if line is None:
        return None
    for resource in app.router.resources():
        # Only an async method is public, and this one is called where nothing can be awaited.
        if isinstance(resource, web.Resource) and resource._match(line[2]) is not None:
            allow = next((getattr(route.handler, "allow", None) for route in resource), None)
            if allow is None:
                return None
            response = malformed_response(MethodNotAllowed(line[1]))
            response.headers[hdrs.ALLOW] = allow
            return response
    return malformed_response(NotFound())
