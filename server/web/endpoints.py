"""How an endpoint is declared: one decorator says its path, who may enter, what it reads and what it answers.

A door is closed unless it says other_methods: SIGNED_IN is what an endpoint gets that says nothing.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from aiohttp import hdrs, web
from marshmallow import Schema

from server.errors import MethodNotAllowed, Problem
from server.settings.settings import Settings
from server.web.app_keys import SETTINGS
from server.web.responses import answer

Handler = Callable[[web.Request], Awaitable[Any]]
SchemaChoice = type[Schema] | Callable[[Settings], type[Schema]] | None
"""A schema, or what gives it where a switch of the settings decides which."""
ErrorRenderer = Callable[[web.Request, Problem], web.Response]
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
MEDIA_TYPES = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data")


class Access(Enum):
    """Who may enter."""

    SIGNED_IN = "somebody signed in"
    PUBLIC = "anybody, but whoever shows credentials shows good ones (contract 1.6)"
    ANONYMOUS = "anybody, credentials are not looked at"


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """All that is said of one method of one path; the middleware and the document read it from the handler."""

    method: str
    path: str
    function: Handler
    access: Access
    tag: str
    body: type[Schema] | None = None
    response: type[Schema] | None = None
    many: bool = False
    is_paged: bool = True  # of many
    status: int = 200
    errors: tuple[type[Problem], ...] = ()
    other_methods: Access | None = None  # of methods that the path does not know, where the table's is not its own
    is_json: bool = True
    in_document: bool = True
    render_error: ErrorRenderer | None = None  # how a failure looks here; without it it is JSON


@dataclass
class Path:
    """One path: its endpoints by method, and what it says of all the others."""

    access: Access
    endpoints: dict[str, Endpoint] = field(default_factory=dict)

    @property
    def allow(self) -> str:
        """The Allow header, in the contract's order."""
        methods = [method for method in METHODS if method in self.endpoints]
        head = ["HEAD"] if "GET" in self.endpoints else []
        return ", ".join([*methods, *head, "OPTIONS"])


class Endpoints:
    """A table of endpoints under one tag. `other_methods` is the access of methods that a path does not know."""

    def __init__(self, tag: str, *, other_methods: Access = Access.SIGNED_IN) -> None:
        self.tag = tag
        self.other_methods = other_methods
        self._table: list[Callable[[Settings], Endpoint]] = []

    def settled(self, settings: Settings) -> Iterator[Endpoint]:
        """The endpoints, with the shapes that these settings give them."""
        return (declaration(settings) for declaration in self._table)

    def _declare(
        self,
        method: str,
        path: str,
        *,
        access: Access = Access.SIGNED_IN,
        body: SchemaChoice = None,
        response: SchemaChoice = None,
        **says: Any,
    ) -> Callable[..., Any]:
        def declared(function: Handler) -> Handler:
            says.update(method=method, path=path, function=function, access=access, tag=self.tag)
            self._table.append(
                lambda settings: Endpoint(body=_settle(body, settings), response=_settle(response, settings), **says)
            )
            return function

        return declared

    def get(self, path: str, **says: Any) -> Callable[[Handler], Handler]:
        """Declare a GET (and HEAD); `says` are the fields of Endpoint."""
        return self._declare("GET", path, **says)

    def post(self, path: str, **says: Any) -> Callable[[Handler], Handler]:
        """Declare a POST."""
        return self._declare("POST", path, **says)

    def put(self, path: str, **says: Any) -> Callable[[Handler], Handler]:
        """Declare a PUT."""
        return self._declare("PUT", path, **says)

    def patch(self, path: str, **says: Any) -> Callable[[Handler], Handler]:
        """Declare a PATCH."""
        return self._declare("PATCH", path, **says)

    def delete(self, path: str, **says: Any) -> Callable[[Handler], Handler]:
        """Declare a DELETE."""
        return self._declare("DELETE", path, **says)


def install(app: web.Application, tables: Iterable[Endpoints]) -> list[Endpoint]:
    """Add every endpoint to the router, each path with and without its last slash (contract 11.1): all of them."""
    paths: dict[str, Path] = {}
    for table in tables:
        for endpoint in table.settled(app[SETTINGS]):
            path = paths.setdefault(_with_digits(endpoint.path), Path(endpoint.other_methods or table.other_methods))
            path.endpoints[endpoint.method] = endpoint
    for pattern, known in paths.items():
        handlers = {method: _handler(endpoint, known) for method, endpoint in known.endpoints.items()}
        if "GET" in handlers:
            handlers["HEAD"] = handlers["GET"]
        handlers[hdrs.METH_ANY] = _other_methods(known)
        for spelling in {pattern, pattern.rstrip("/") or "/", pattern.rstrip("/") + "/"}:
            resource = app.router.add_resource(spelling)
            for method, handler in handlers.items():
                resource.add_route(method, handler)
    return [endpoint for known in paths.values() for endpoint in known.endpoints.values()]


def _settle(shape: SchemaChoice, settings: Settings) -> type[Schema] | None:
    return shape if shape is None or isinstance(shape, type) else shape(settings)


def _with_digits(path: str) -> str:
    # Ids are digits, ASCII ones; a name that is none never falls through to them (contract 12).
    return path.replace("{id}", "{id:[0-9]+}")


def declared(handler: Any) -> Endpoint:
    """The endpoint that a routed handler belongs to."""
    return handler.endpoint  # type: ignore[no-any-return]


def _handler(endpoint: Endpoint, known: Path) -> Handler:
    function, status, allow = endpoint.function, endpoint.status, known.allow

    async def handle(request: web.Request) -> web.StreamResponse:
        result = await function(request)
        # A dict first: to find that one is no Response, an abstract class, takes ten times as long.
        is_data = isinstance(result, dict) or not isinstance(result, web.Response)
        response = answer(result, status) if is_data else result
        response.headers["Allow"] = allow
        return response

    handle.endpoint = endpoint  # type: ignore[attr-defined]
    handle.allow = allow  # type: ignore[attr-defined]
    return handle


def _other_methods(known: Path) -> Handler:
    """OPTIONS tells what the path is; whatever else comes is 405, and only for those who may know (contract 1.1)."""
    first = next(iter(known.endpoints.values()))

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

    all_others = Endpoint(
        method="*",
        path=first.path,
        function=other,
        access=known.access,
        tag=first.tag,
        is_json=first.is_json,
        in_document=False,
        render_error=first.render_error,
    )
    return _handler(all_others, known)
