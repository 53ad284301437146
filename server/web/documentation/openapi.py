"""The OpenAPI 3.1 document, derived from the declarations of the endpoints and their schemas.

aiohttp-apispec's decorators annotate the handlers, apispec writes the document. docs/decisions/openapi.md
"""

import copy
import re
from typing import Any

from aiohttp import web
from aiohttp_apispec import AiohttpApiSpec, docs, json_schema, querystring_schema, response_schema
from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin

from server import __version__
from server.settings.settings import Settings
from server.web.app_keys import SETTINGS
from server.web.documentation.failures import COMPONENTS, EVERY_RESPONSE, failures
from server.web.documentation.field_facts import accepted_facts, field_facts
from server.web.documentation.links import LINKS
from server.web.documentation.role_components import role_components, type_roles
from server.web.documentation.tags import TAGS
from server.web.endpoints import MEDIA_TYPES, Access, Endpoint

DESCRIPTION = """Accounts and sign-in for any front end, in the HTTP contract of djoser and simplejwt.

Register at `POST /auth/users/`, sign in at `POST /auth/jwt/create/`, and send `Authorization: Bearer ACCESS`.
Every path works with and without its last slash. Responses are JSON.

Bodies are JSON here. Every endpoint also reads the same fields as a form, `application/x-www-form-urlencoded` or
`multipart/form-data`; there a field of an object is named with a dot: `profile.location`."""

_SIGNED_IN: list[dict[str, list[str]]] = [{"bearer": []}, {"token": []}]
_TEXT: dict[str, Any] = {"schema": {"type": "string"}}
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


def openapi(app: web.Application, *, is_whole: bool = False) -> dict[str, Any]:
    """Make the OpenAPI 3.1 document of the endpoints in the router of `app` that are declared `in_document`.

    It says what a client sends: one media type for a body, one type for a field. With `is_whole` it says everything
    that the service accepts.
    """
    settings = app[SETTINGS]
    spec = _Spec(settings, is_whole=is_whole)
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
    described: dict[str, Any] = spec.swagger_dict()
    if not is_whole:
        type_roles(described["components"]["schemas"], settings.roles)
    return described


def _without_patterns(path: str) -> str:
    return re.sub(r"\{(\w+):[^}]*\}", r"{\1}", path)


def _annotate(handler: Any, endpoint: Endpoint) -> None:
    """Annotate a handler with its endpoint, by aiohttp-apispec's decorators."""
    vars(handler).pop("__apispec__", None)  # of another document
    summary, _, description = (endpoint.function.__doc__ or "").strip().partition("\n")
    docs(
        tags=[endpoint.tag],
        operationId=_operation_id(endpoint),
        summary=summary.rstrip("."),
        description=" ".join(description.split()),
        parameters=[copy.deepcopy(each) for part, each in _PARAMETERS.items() if part in endpoint.path],
        security=_SIGNED_IN if endpoint.access in (Access.SIGNED_IN, Access.STAFF) else [],
        responses=failures(endpoint),
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
        EVERY_RESPONSE | (_LINK_HEADER if _is_paged(endpoint) else {}),
    )


def _is_paged(endpoint: Endpoint) -> bool:
    return endpoint.query is not None and "limit" in endpoint.query().fields


def _operation_id(endpoint: Endpoint) -> str:
    # PUT and PATCH share a function, and every operation needs an id of its own.
    name: str = getattr(endpoint.function, "__name__", "")
    return name.replace("edit_", {"PUT": "replace_", "PATCH": "update_"}.get(endpoint.method, "edit_"))


class _Spec(AiohttpApiSpec):  # type: ignore[misc]
    """Writes aiohttp-apispec's annotations as OpenAPI 3.1; the library itself writes version 2.0."""

    def __init__(self, settings: Settings, *, is_whole: bool) -> None:
        # super().__init__() is not called: it makes a document of version 2.0, and needs a URL to serve it.
        self.prefix = ""
        self.media_types = MEDIA_TYPES if is_whole else MEDIA_TYPES[:1]
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
            tags=[{"name": name, "description": text} for name, text in TAGS.items()],
            plugins=[self.plugin],
        )
        assert self.plugin.converter is not None  # APISpec has set it
        self.converter = self.plugin.converter
        self.converter.add_attribute_function(accepted_facts if is_whole else field_facts)  # type: ignore[no-untyped-call]
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
        for name, schema in (COMPONENTS | role_components(settings.roles)).items():
            self.spec.components.schema(name, schema)

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
                content = {media_type: {"schema": annotated["schema"]} for media_type in self.media_types}
                operation["requestBody"] = {"required": data["needs_body"], "content": content}
        self.spec.path(path=_without_patterns(url_path), operations={method: operation})


_OPERATION_KEYS = ("tags", "operationId", "summary", "description", "parameters", "security", "responses")


def _schema_name(schema: Any) -> str:
    named = schema if isinstance(schema, type) else type(schema)
    return str(getattr(named, "component", named.__name__))
