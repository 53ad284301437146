"""The OpenAPI document and Swagger UI, served by the service itself under a strict policy (security 35)."""

import functools
from typing import Any

from aiohttp import web

from server.errors import NotFound
from server.resources import package
from server.settings.settings import Settings
from server.web.app_keys import SETTINGS
from server.web.documentation.openapi import openapi
from server.web.endpoints import Access, Endpoints
from server.web.files import send_file
from server.web.responses import json_bytes_response, to_json

endpoints = Endpoints("documentation", other_methods=Access.ANONYMOUS)


def has_docs(settings: Settings) -> bool:
    """Whether the site shows its document and Swagger UI."""
    return settings.docs


class Document:
    """The document of one application; made at the first request, so that the start does not wait for it."""

    def __init__(self, app: web.Application) -> None:
        self._app = app

    @functools.cached_property
    def content(self) -> dict[str, Any]:
        """The document as data."""
        return openapi(self._app)

    @functools.cached_property
    def whole(self) -> dict[str, Any]:
        """The document with everything that the service accepts."""
        return openapi(self._app, is_whole=True)

    @functools.cached_property
    def body(self) -> bytes:
        """The document as JSON."""
        return to_json(self.content)


DOCUMENT = web.AppKey("DOCUMENT", Document)

# Swagger UI writes style attributes and inline SVG images; scripts are loaded from the service alone.
SWAGGER_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SWAGGER_FILES = ("swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png", "page.css", "sign-in.js", "start.js")


def describe(app: web.Application) -> None:
    """Let `app` serve a document of its endpoints."""
    app[DOCUMENT] = Document(app)


def document(app: web.Application, *, is_whole: bool = False) -> dict[str, Any]:
    """The OpenAPI document of `app`; with `is_whole` it says everything that the service accepts."""
    return app[DOCUMENT].whole if is_whole else app[DOCUMENT].content


@endpoints.get("/openapi.json", when=has_docs, access=Access.ANONYMOUS, in_document=False)
async def read_document(request: web.Request) -> web.Response:
    """Read the OpenAPI document."""
    return json_bytes_response(request.app[DOCUMENT].body, is_shared=True)


@endpoints.get("/", when=has_docs, access=Access.ANONYMOUS, is_json=False, in_document=False)
async def redirect_to_docs(request: web.Request) -> web.Response:
    """Redirect the root path to the documentation."""
    return json_bytes_response(None, 302, {"Location": f"{request.app[SETTINGS].public_path}/docs"})


@endpoints.get("/docs", when=has_docs, access=Access.ANONYMOUS, is_json=False, in_document=False)
async def read_docs(request: web.Request) -> web.Response:
    """Explore the API in Swagger UI."""
    # Below a path of a proxy the addresses of the page's files begin with that path.
    prefix = request.app[SETTINGS].public_path.encode()
    content = _content("index.html").replace(b'"/', b'"' + prefix + b"/")
    return send_file(request, "index.html", content, SWAGGER_POLICY)


@endpoints.get(r"/docs/{file:[\w.-]+}", when=has_docs, access=Access.ANONYMOUS, is_json=False, in_document=False)
async def read_file(request: web.Request) -> web.Response:
    """Read a file of Swagger UI."""
    name = request.match_info["file"]
    if name not in SWAGGER_FILES:
        raise NotFound
    return _file(request, name)


def _file(request: web.Request, name: str) -> web.Response:
    return send_file(request, name, _content(name), SWAGGER_POLICY)


@functools.cache
def _content(name: str) -> bytes:
    return (package("server.web.documentation") / "swagger" / name).read_bytes()
