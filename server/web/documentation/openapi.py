"""The OpenAPI 3.1 document, derived from the declarations of the endpoints and their schemas.

aiohttp-apispec's decorators annotate the handlers, apispec writes the document. docs/decisions/openapi.md
"""

import copy
import re
from collections.abc import Iterable
from typing import Any

from aiohttp import web
from aiohttp_apispec import AiohttpApiSpec, docs, json_schema, querystring_schema, response_schema
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin

from server import __version__
from server.settings.field_schemas import moved
from server.settings.settings import Settings
from server.web.app_keys import SETTINGS
from server.web.documentation.field_facts import component, field_facts, fields_name
from server.web.documentation.links import LINKS
from server.web.endpoints import MEDIA_TYPES, Access, Endpoint

DESCRIPTION = """Accounts and sign-in for any front end, in the HTTP contract of djoser and simplejwt.

Register at `POST /auth/users/`, sign in at `POST /auth/jwt/create/`, and send `Authorization: Bearer ACCESS`.
Every path works with and without its last slash. Bodies are JSON, form or multipart; responses are JSON."""

_SIGNED_IN: list[dict[str, list[str]]] = [{"bearer": []}, {"token": []}]
_TEXTS = {"type": "array", "items": {"type": "string"}}
_COMPONENTS: dict[str, dict[str, Any]] = {
    "Detail": {
        "type": "object",
        "description": "What went wrong; token errors also have a code.",
        "required": ["detail"],
        "properties": {
            "detail": {"type": "string", "example": "Not found."},
            "code": {"type": "string", "example": "token_not_valid"},
            "messages": {"type": "array", "items": {"type": "object", "additionalProperties": {"type": "string"}}},
        },
        "additionalProperties": False,
    },
    "FieldErrors": {
        "type": "object",
        "description": "Texts by field, nested like the fields; texts for a whole object under `non_field_errors`.",
        "additionalProperties": {"anyOf": [_TEXTS, {"$ref": "#/components/schemas/FieldErrors"}]},
        "example": {"username": ["This field is required."]},
    },
}
_DETAIL = {"$ref": "#/components/schemas/Detail"}
_FIELDS = {"anyOf": [{"$ref": "#/components/schemas/FieldErrors"}, _DETAIL, _TEXTS]}

_FAILURES: dict[int, tuple[str, dict[str, Any]]] = {
    400: ("The request has faults.", _FIELDS),
    401: ("Credentials are missing or not valid.", _DETAIL),
    403: ("The caller may not do this.", _DETAIL),
    404: ("It does not exist, or the caller may not know that it does.", _DETAIL),
    406: ("The Accept header excludes JSON.", _DETAIL),
    408: ("The body did not arrive in time.", _DETAIL),
    409: ("It exists already.", _DETAIL),
    413: ("The body is larger than {endpoint.body_max_bytes} bytes.", _DETAIL),
    415: ("The media type or the encoding of the body is not supported.", _DETAIL),
    429: ("A limit is used up: too many tries of this account, address or network.", _DETAIL),
    503: ("The database is unavailable, or a queue is full.", _DETAIL),
}

_TEXT: dict[str, Any] = {"schema": {"type": "string"}}
_EVERY_RESPONSE = {
    "Allow": {**_TEXT, "required": True, "description": "The methods of this path."},
    "X-Request-ID": {**_TEXT, "required": True, "description": "The id of this request in the log."},
}
_HEADERS: dict[int, dict[str, Any]] = {
    400: {},  # malformed HTTP is refused before the path is known
    # No Allow: an unknown path has no methods, and a path with an id that is not a number is unknown.
    404: {"X-Request-ID": _EVERY_RESPONSE["X-Request-ID"]},
    401: _EVERY_RESPONSE | {"WWW-Authenticate": {**_TEXT, "required": True, "description": "RFC 6750, section 3."}},
    429: _EVERY_RESPONSE
    | {
        "Retry-After": {**_TEXT, "required": True, "description": "Seconds."},
        "RateLimit-Policy": {**_TEXT, "required": True, "description": "A limit: uses `q` in seconds `w`."},
        "RateLimit": {
            **_TEXT,
            "required": True,
            "description": "Uses left `r`, seconds `t` until more.",
        },
    },
    503: _EVERY_RESPONSE | {"Retry-After": {**_TEXT, "required": True, "description": "Seconds."}},
}
_LINK_HEADER = {"Link": {**_TEXT, "description": 'The next page, `<…>; rel="next"`, if there is one.'}}

# By the part of a path that they fill.
_PARAMETERS: dict[str, dict[str, Any]] = {
    "{id}": {
        "in": "path",
        "name": "id",
        "required": True,
        "schema": {"type": "integer", "format": "int64", "minimum": 1},
    },
    "{session}": {"in": "path", "name": "session", "required": True, "schema": {"type": "string", "format": "uuid"}},
}


def openapi(app: web.Application) -> dict[str, Any]:
    """Make the OpenAPI 3.1 document of the endpoints in the router of `app` that are declared `in_document`."""
    spec = _Spec(app[SETTINGS])
    for route in app.router.routes():
        endpoint = getattr(route.handler, "endpoint", None)
        canonical = route.resource.canonical if route.resource else ""
        if (
            endpoint
            and endpoint.in_document
            and (endpoint.method, _without_patterns(endpoint.path)) == (route.method, canonical)
        ):
            _annotate(route.handler, endpoint)
            spec._register_route(route, endpoint.method.lower(), route.handler)
    return spec.swagger_dict()  # type: ignore[no-any-return]


def _without_patterns(path: str) -> str:
    return re.sub(r"\{(\w+):[^}]*\}", r"{\1}", path)


def _annotate(handler: Any, endpoint: Endpoint) -> None:
    """Annotate a handler with its endpoint, by aiohttp-apispec's decorators."""
    summary, _, description = (endpoint.function.__doc__ or "").strip().partition("\n")
    docs(
        tags=[endpoint.tag],
        operationId=_operation_id(endpoint),
        summary=summary.rstrip("."),
        description=" ".join(description.split()),
        parameters=[copy.deepcopy(each) for part, each in _PARAMETERS.items() if part in endpoint.path],
        security=_SIGNED_IN if endpoint.access in (Access.SIGNED_IN, Access.STAFF) else [],
        responses={str(status): _failure(status, endpoint) for status in _statuses(endpoint)},
    )(handler)
    if endpoint.body:
        json_schema(endpoint.body)(handler)
        handler.__apispec__["needs_body"] = any(field.required for field in endpoint.body().fields.values())
    if endpoint.query:
        querystring_schema(endpoint.query)(handler)
    response = endpoint.response(many=endpoint.many) if endpoint.response else None
    if response:
        response_schema(response, endpoint.status, description="Done.")(handler)
    handler.__apispec__["done"] = (
        endpoint.status,
        response,
        _EVERY_RESPONSE | (_LINK_HEADER if _is_paged(endpoint) else {}),
    )


def _is_paged(endpoint: Endpoint) -> bool:
    return endpoint.query is not None and "limit" in endpoint.query().fields


def _operation_id(endpoint: Endpoint) -> str:
    # PUT and PATCH share a function, and every operation needs an id of its own.
    name = getattr(endpoint.function, "__name__", "")
    return f"{name}_partly" if endpoint.method == "PATCH" else name


def _statuses(endpoint: Endpoint) -> Iterable[int]:
    statuses = {400, 406} | {problem.status for problem in endpoint.errors}
    if endpoint.body:
        statuses |= {408, 413, 415}
    if endpoint.access is not Access.ANONYMOUS:
        statuses.add(401)
    if endpoint.access is not Access.ANONYMOUS or endpoint.body:
        statuses.add(503)
    if endpoint.access is Access.STAFF:
        statuses.add(403)
    if any(part in endpoint.path for part in _PARAMETERS):
        statuses.add(404)
    return sorted(statuses)


def _failure(status: int, endpoint: Endpoint) -> dict[str, Any]:
    text, schema = _FAILURES[status]
    description = text.format(endpoint=endpoint)
    headers = _HEADERS.get(status, _EVERY_RESPONSE)
    if any(problem.status == status and not problem.has_body for problem in endpoint.errors):
        return {"description": f"{description} It may have no body.", "headers": headers}
    return {"description": description, "headers": headers, "content": {"application/json": {"schema": schema}}}


class _Spec(AiohttpApiSpec):  # type: ignore[misc]
    """Writes aiohttp-apispec's annotations as OpenAPI 3.1; the library itself writes version 2.0."""

    def __init__(self, settings: Settings) -> None:
        # super().__init__() is not called: it makes a document of version 2.0, and needs a URL to serve it.
        self.prefix = ""
        self.plugin = MarshmallowPlugin(schema_name_resolver=_schema_name)
        self.spec = APISpec(
            title="Frontdesk",
            version=__version__,
            openapi_version="3.1.0",
            info={
                "description": DESCRIPTION.replace("/auth/", f"{settings.auth_path}/"),
                "license": {"name": "MIT", "identifier": "MIT"},
            },
            servers=[{"url": settings.public_path or "/"}],
            security=_SIGNED_IN,
            plugins=[self.plugin],
        )
        assert self.plugin.converter is not None  # APISpec has set it
        self.converter = self.plugin.converter
        self.converter.add_attribute_function(field_facts)  # type: ignore[no-untyped-call]
        self.spec.components.security_scheme(
            "bearer", {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "An access token."}
        )
        self.spec.components.security_scheme(
            "token",
            {
                "type": "apiKey",
                "in": "header",
                "name": "Authorization",
                "description": "`Token ` and the `auth_token` that token login returns.",
            },
        )
        for name, schema in _COMPONENTS.items():
            self.spec.components.schema(name, schema)
        for role in settings.roles:
            self.spec.components.schema(fields_name(role), moved(role.fields, component(fields_name(role))))

    def _update_paths(self, data: dict[str, Any], method: str, url_path: str) -> None:
        operation = copy.deepcopy({name: data[name] for name in _OPERATION_KEYS if data.get(name) not in (None, "")})
        status, response, headers = data["done"]
        done: dict[str, Any] = {"description": "Done.", "headers": headers}
        if response:
            done["content"] = {"application/json": {"schema": response}}
        if data["operationId"] in LINKS:
            done["links"] = copy.deepcopy(LINKS[data["operationId"]])
        operation["responses"] = {str(status): done} | {
            key: value for key, value in operation["responses"].items() if key != str(status)
        }
        for annotated in data["schemas"]:
            if annotated["location"] == "querystring":
                operation["parameters"] += self.converter.schema2parameters(annotated["schema"], location="query")
            else:
                content = {media_type: {"schema": annotated["schema"]} for media_type in MEDIA_TYPES}
                operation["requestBody"] = {"required": data["needs_body"], "content": content}
        self.spec.path(path=_without_patterns(url_path), operations={method: operation})


_OPERATION_KEYS = ("tags", "operationId", "summary", "description", "parameters", "security", "responses")


def _schema_name(schema: Any) -> str:
    return schema.__name__ if isinstance(schema, type) else type(schema).__name__
