"""How an endpoint is declared: one decorator states its path, its access, its body and its response.

Access is closed by default: an endpoint that states no access is SIGNED_IN.
"""

import contextlib
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import partial
from typing import Any

from aiohttp import HttpVersion11, hdrs, web
from marshmallow import Schema

from server.errors import MethodNotAllowed, Problem
from server.settings.settings import Settings
from server.web.app_keys import SETTINGS
from server.web.ordinary_responses import OrdinaryResponse
from server.web.pieces import PIECE_BYTES
from server.web.responses import json_bytes_response, to_json

Handler = Callable[[web.Request], Awaitable[Any]]
SchemaChoice = type[Schema] | Callable[[Settings], type[Schema]] | None
"""A schema, or a function that chooses one by the settings."""
ErrorRenderer = Callable[[web.Request, Problem], web.Response]
HTTP_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
BODY_MAX_BYTES = 16 * 1024  # of an endpoint that states nothing else (security 38)
LONG_BODY_MAX_BYTES = 1024 * 1024  # where profiles, fields of roles or declared account fields may come
MEDIA_TYPES = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data")


class Access(Enum):
    """Which callers an endpoint admits."""

    SIGNED_IN = "callers who are signed in"
    STAFF = "callers who are signed in and staff; others get 403"
    PUBLIC = "all callers, but credentials that are sent must be valid (contract 1.6)"
    ANONYMOUS = "all callers; credentials are not read"


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One method of one path; the middleware and the OpenAPI document read it from the handler."""

    method: str
    path: str
    function: Handler
    access: Access
    tag: str
    body: type[Schema] | None = None
    body_max_bytes: int = BODY_MAX_BYTES
    query: type[Schema] | None = None
    response: type[Schema] | None = None
    many: bool = False  # the response is an array of `response`
    status: int = 200
    errors: tuple[type[Problem], ...] = ()
    other_methods: Access | None = None  # of methods that the path does not have; None: as the table says
    is_json: bool = True
    in_document: bool = True
    render_error: ErrorRenderer | None = None  # None: failures are JSON


@dataclass
class Path:
    """One path: its endpoints by method, and the access of all other methods."""

    access: Access
    endpoints: dict[str, Endpoint] = field(default_factory=dict)

    @property
    def allow(self) -> str:
        """The Allow header, in the contract's order (contract 1.4)."""
        methods = [method for method in HTTP_METHODS if method in self.endpoints]
        head = ["HEAD"] if "GET" in self.endpoints else []
        return ", ".join([*methods, *head, "OPTIONS"])

    def add(self, endpoint: Endpoint) -> None:
        """Add one more method. Raises ValueError when the path has it already: one of the two would never run."""
        first = self.endpoints.setdefault(endpoint.method, endpoint)
        if first is not endpoint:
            names = " and ".join(
                f"{each.__module__}.{each.__qualname__}" for each in (first.function, endpoint.function)
            )
            raise ValueError(f"{endpoint.method} {endpoint.path} is declared twice: by {names}.")


def _always(settings: Settings) -> bool:
    return True


class Endpoints:
    """A table of endpoints under one tag. `other_methods` is the access of methods that a path does not have."""

    def __init__(self, tag: str, *, other_methods: Access = Access.SIGNED_IN) -> None:
        self.tag = tag
        self.other_methods = other_methods
        self.get = partial(self.declare, "GET")  # HEAD, too
        self.post = partial(self.declare, "POST")
        self.put = partial(self.declare, "PUT")
        self.patch = partial(self.declare, "PATCH")
        self.delete = partial(self.declare, "DELETE")
        self._table: list[tuple[Callable[[Settings], bool], Callable[[Settings], Endpoint]]] = []

    def for_settings(self, settings: Settings) -> Iterator[Endpoint]:
        """The endpoints that exist with `settings`, with the schemas that they choose."""
        return (make(settings) for exists, make in self._table if exists(settings))

    def declare(
        self,
        method: str,
        path: str,
        *,
        when: Callable[[Settings], bool] = _always,
        access: Access = Access.SIGNED_IN,
        body: SchemaChoice = None,
        body_max_bytes: int | Callable[[Settings], int] = BODY_MAX_BYTES,
        query: SchemaChoice = None,
        response: SchemaChoice = None,
        many: bool = False,
        status: int = 200,
        errors: tuple[type[Problem], ...] = (),
        other_methods: Access | None = None,
        is_json: bool = True,
        in_document: bool = True,
        render_error: ErrorRenderer | None = None,
    ) -> Callable[[Handler], Handler]:
        """Declare an endpoint: a decorator. The keywords are the fields of Endpoint.

        It exists on sites whose settings `when` accepts; on all others its path is not found.
        """

        def decorate(function: Handler) -> Handler:
            def make(settings: Settings) -> Endpoint:
                return Endpoint(
                    method=method,
                    path=placed(path, settings),
                    function=function,
                    access=access,
                    tag=self.tag,
                    body=_chosen(body, settings),
                    body_max_bytes=body_max_bytes if isinstance(body_max_bytes, int) else body_max_bytes(settings),
                    query=_chosen(query, settings),
                    response=_chosen(response, settings),
                    many=many,
                    status=status,
                    errors=errors,
                    other_methods=other_methods,
                    is_json=is_json,
                    in_document=in_document,
                    render_error=render_error,
                )

            self._table.append((when, make))
            return function

        return decorate


def placed(path: str, settings: Settings) -> str:
    """Where a path of the contract is on this site: settings move its two groups (contract 11.33)."""
    for group, place in (("/auth/", settings.auth_path), ("/api/accounts/", settings.accounts_path)):
        if path.startswith(group):
            return f"{place}/{path.removeprefix(group)}"
    return path


def install(app: web.Application, tables: Iterable[Endpoints]) -> list[Endpoint]:
    """Add every endpoint to the router, each path with and without its last slash (contract 11.1): the endpoints.

    Raises ValueError when two endpoints have the same method and path.
    """
    paths: dict[str, Path] = {}
    for table in tables:
        for endpoint in table.for_settings(app[SETTINGS]):
            pattern = _with_digits(endpoint.path).rstrip("/")
            path = paths.setdefault(pattern, Path(endpoint.other_methods or table.other_methods))
            path.add(endpoint)
    for pattern, path in paths.items():
        handlers = {method: _handler(endpoint, path) for method, endpoint in path.endpoints.items()}
        if "GET" in handlers:
            handlers["HEAD"] = handlers["GET"]
        handlers[hdrs.METH_ANY] = _other_methods(path)
        for spelling in {pattern or "/", f"{pattern}/"}:
            resource = app.router.add_resource(spelling)
            for method, handler in handlers.items():
                resource.add_route(method, handler, expect_handler=_expect)
    return [endpoint for path in paths.values() for endpoint in path.endpoints.values()]


async def _expect(request: web.Request) -> None:
    """Ask for the body when the client waits for that; not for one that is too long (security 40, RFC 9110 §10.1.1).

    Raises aiohttp's error for another expectation.
    """
    if request.version < HttpVersion11:
        return
    if request.headers[hdrs.EXPECT].lower() != "100-continue":
        raise web.HTTPExpectationFailed
    endpoint = getattr(request.match_info.handler, "endpoint", None)
    if endpoint is None or (request.content_length or 0) <= endpoint.body_max_bytes:
        with contextlib.suppress(ConnectionError):  # the client has left
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def endpoint_of(handler: Any) -> Endpoint:
    """The endpoint that a handler of the router belongs to."""
    return handler.endpoint  # type: ignore[no-any-return]


def with_account_fields(settings: Settings) -> int:
    """The longest body of an endpoint that reads the declared account fields, if the site has any."""
    return LONG_BODY_MAX_BYTES if settings.account.fields else BODY_MAX_BYTES


def _chosen(schema: SchemaChoice, settings: Settings) -> type[Schema] | None:
    return schema if schema is None or isinstance(schema, type) else schema(settings)


def _with_digits(path: str) -> str:
    # An id is ASCII digits: the name of an action never matches the path of an id (contract 12).
    return path.replace("{id}", "{id:[0-9]+}")


def _handler(endpoint: Endpoint, path: Path) -> Handler:
    function, status, allow = endpoint.function, endpoint.status, path.allow

    async def handle(request: web.Request) -> web.StreamResponse:
        result = await function(request)
        # Dicts first: to find that one is not a Response, an abstract class, takes ten times as long.
        if isinstance(result, dict) or not isinstance(result, web.Response):
            body = None if status == 204 else to_json(result)
            if body is not None and len(body) <= PIECE_BYTES:
                return OrdinaryResponse(body, status, allow)
            result = json_bytes_response(body, status)
        result.headers["Allow"] = allow
        return result

    handle.endpoint = endpoint  # type: ignore[attr-defined]
    handle.allow = allow  # type: ignore[attr-defined]
    return handle


def _other_methods(path: Path) -> Handler:
    """The handler of all other methods: OPTIONS describes the path, the rest is 405.

    Both need the access of the path, so a client that is not signed in gets 401 first (contract 1.1).
    """
    first = next(iter(path.endpoints.values()))

    async def other(request: web.Request) -> Any:
        if request.method != hdrs.METH_OPTIONS:
            raise MethodNotAllowed(request.method)
        name, _, description = (first.function.__doc__ or "").strip().partition("\n")
        return {
            "name": name.rstrip("."),
            "description": " ".join(description.split()),
            "renders": ["application/json"],
            "parses": list(MEDIA_TYPES),
        }

    endpoint = Endpoint(
        method="*",
        path=first.path,
        function=other,
        access=path.access,
        tag=first.tag,
        is_json=first.is_json,
        in_document=False,
        render_error=first.render_error,
    )
    return _handler(endpoint, path)
