"""Finds the endpoint of an ordinary path in one look, before aiohttp's router (docs/decisions/speed.md).

An ordinary path is written as it is declared, or with digits where the declaration has `{id}`.
"""

import functools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

RequestHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_ID = "{id}"


class PlainPaths:
    """The endpoints of an application by method and path; whatever is not among them goes to `router`.

    `router` is the application's own way: it also decodes paths, and answers what asks for `100 Continue`.
    """

    def __init__(self, app: web.Application, router: RequestHandler) -> None:
        self._app = app
        self._router = router
        self._plain: dict[tuple[str, str], tuple[web.UrlMappingMatchInfo, Handler]] = {}
        self._with_id: dict[tuple[str, str], tuple[web.AbstractRoute, Handler]] = {}
        for route in app.router.routes():
            path = route.resource.canonical if route.resource else ""
            handler = _within(app.middlewares, route.handler)
            if route.method == hdrs.METH_ANY:
                continue
            if isinstance(route.resource, web.PlainResource):
                self._plain[route.method, path] = self._match({}, route), handler
            elif path.count("{") == 1 and path.rstrip("/").endswith(f"/{_ID}"):
                self._with_id[route.method, path] = route, handler

    def handle(self, request: web.Request) -> Awaitable[web.StreamResponse]:
        """Handle a request. Not a coroutine of its own: each costs every request half a microsecond."""
        # The target as it was sent: one with a query or an escape is found by the router.
        method, path = request.method, request.raw_path
        if hdrs.EXPECT in request.headers:
            return self._router(request)
        found = self._plain.get((method, path))
        if found is not None:
            request._match_info, handler = found
            return handler(request)
        slash = "/" if path[-1:] == "/" else ""
        stem, _, last = path.removesuffix(slash).rpartition("/")
        found_with_id = self._with_id.get((method, f"{stem}/{_ID}{slash}"))
        if found_with_id is None or not (last.isdigit() and last.isascii()):
            return self._router(request)
        route, handler = found_with_id
        request._match_info = self._match({"id": last}, route)
        return handler(request)

    def _match(self, found: dict[str, str], route: web.AbstractRoute) -> web.UrlMappingMatchInfo:
        match_info = web.UrlMappingMatchInfo(found, route)
        match_info.add_app(self._app)
        match_info.freeze()
        return match_info


def _within(middlewares: Sequence[Any], handler: Handler) -> Handler:
    """`handler` inside of the middlewares, the first one outermost."""
    for middleware in reversed(middlewares):
        handler = functools.partial(middleware, handler=handler)
    return handler
