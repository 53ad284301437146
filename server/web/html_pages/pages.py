"""The HTML pages behind the links in letters. They need no script, and load nothing from other sites.

GET changes nothing and reveals nothing, because mail scanners follow every link (security 26). The button of the form
posts to the same path, which does the same as the JSON endpoint.
"""

import logging
import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import jinja2
from aiohttp import hdrs, web
from marshmallow import fields

from server.auth.one_time_tokens import LINK_PART_MAX_LENGTH
from server.errors import FieldErrors, NotFound, Problem, StaleToken
from server.templates import TEXTS
from server.web.app_keys import SETTINGS, TEMPLATES
from server.web.bodies import read_body
from server.web.endpoints import Access, Endpoints, SchemaChoice, endpoint_of
from server.web.files import send_file
from server.web.responses import SECURITY_HEADERS, error_response
from server.web.schemas.fields import Body

log = logging.getLogger(__name__)

endpoints = Endpoints("pages", other_methods=Access.ANONYMOUS)

Act = Callable[[web.Request, dict[str, Any]], Awaitable[dict[str, Any] | None]]

STYLESHEET = "pages/style.css"
PAGE_POLICY = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
PAGE_HEADERS = {
    **SECURITY_HEADERS,
    "Content-Security-Policy": PAGE_POLICY,
    "Referrer-Policy": "no-referrer",  # the path holds a token
    "Cache-Control": "no-store",
    "Vary": "Accept-Language",
}
# What mail programs take for a part of a link: punctuation that follows it, or closes what is around it.
GLUED_CHARACTERS = ".,;:!?'\">)]»”’"
_LINK_PART = re.compile(rf"[A-Za-z0-9_=-]{{1,{LINK_PART_MAX_LENGTH}}}")
TYPED_MAX_LENGTH = 300  # of a value that the form shows again


class Typed(Body):
    """The fields whose values the form shows again; passwords are not shown."""

    new_username = fields.Raw()
    new_email = fields.Raw()


def link_page(
    endpoints: Endpoints, path: str, form: str, done: str, *, body: SchemaChoice = Body
) -> Callable[[Act], Act]:
    """Declare GET and POST of the page at `path`, which has `{uid}` and `{token}` in it: a decorator of the act.

    GET shows the template `form`; POST runs the act and shows the template `done`. The act receives the fields of
    `body`, uid and token, and returns values for `done`. Its FieldErrors are shown in the form, every other Problem on
    a separate page.
    """
    declare = partial(
        endpoints.declare,
        path=path,
        access=Access.ANONYMOUS,
        body=body,  # of the GET, too: the form has its fields
        other_methods=Access.ANONYMOUS,
        is_json=False,
        in_document=False,
        render_error=error_page,
    )

    def decorate(act: Act) -> Act:
        @declare("GET")
        async def show(request: web.Request) -> web.Response:
            _link(request)
            return _form(request, form)

        @declare("POST")
        async def send(request: web.Request) -> web.Response:
            link = _link(request)
            try:
                values = await act(request, await read_body(request) | link)
            except FieldErrors as failure:
                return await _form_again(request, form, failure)
            return html_response(request, done, **(values or {}))

        show.__doc__ = send.__doc__ = act.__doc__
        return act

    return decorate


def html_response(request: web.Request, name: str, status: int = 200, **values: Any) -> web.Response:
    """Respond with the template `pages/NAME.html` in the language that the client asks for (Accept-Language)."""
    templates, settings = request.app[TEMPLATES], request.app[SETTINGS]
    language = templates.choose(", ".join(request.headers.getall(hdrs.ACCEPT_LANGUAGE, ())))
    # Below a sub-path of a proxy (contract 11.33): browsers need the sub-path, the proxy removes it.
    style = f"{urlsplit(settings.site_url).path}/{STYLESHEET}"
    text = templates.render(language, f"pages/{name}.html", site_name=settings.site_name, style=style, **values)
    return web.Response(text=text, status=status, content_type="text/html", charset="utf-8", headers=PAGE_HEADERS)


def error_page(request: web.Request, problem: Problem) -> web.Response:
    """Render a failure as a page."""
    try:
        response = html_response(request, "problem", problem.status, kind=_kind(problem))
    except jinja2.TemplateError:  # a template of the site itself is broken
        log.exception("the page of a failure cannot be rendered")
        return error_response(problem)
    response.headers.update(problem.headers)
    return response


@endpoints.get(f"/{STYLESHEET}", access=Access.ANONYMOUS, is_json=False, in_document=False)
async def read_style(request: web.Request) -> web.Response:
    """Read the style sheet of the pages."""
    own = request.app[SETTINGS].templates_dir
    file = own / STYLESHEET if own and (own / STYLESHEET).is_file() else TEXTS / STYLESHEET
    return send_file(request, STYLESHEET, file.read_bytes(), PAGE_POLICY)


def _link(request: web.Request) -> dict[str, str]:
    """The uid and token of the path. Raises NotFound for characters that no link has."""
    # Not checked by the pattern of the path: a link that was lengthened must match it, or its token would be logged.
    link = {name: request.match_info[name] for name in ("uid", "token")}
    link["token"] = link["token"].rstrip(GLUED_CHARACTERS)
    if not all(_LINK_PART.fullmatch(part) for part in link.values()):
        raise NotFound
    return link


def _form(
    request: web.Request, name: str, faults: dict[str, Any] | None = None, typed: dict[str, str] | None = None
) -> web.Response:
    asked = tuple(endpoint_of(request.match_info.handler).body().fields)  # type: ignore[misc]
    status = 400 if faults else 200
    return html_response(request, name, status, asked=asked, faults=faults or {}, typed=typed or {})


async def _form_again(request: web.Request, name: str, failure: FieldErrors) -> web.Response:
    """Show the form again with the faults beside its fields. Raises the failure if it concerns other fields."""
    asked = list(endpoint_of(request.match_info.handler).body().fields)  # type: ignore[misc]
    faults = dict(failure.fields)
    if asked and "non_field_errors" in faults:
        faults[asked[-1]] = faults.pop("non_field_errors")  # a mismatch is shown at the second field
    if not set(faults) <= set(asked):
        raise failure
    typed = await read_body(request, Typed)
    return _form(request, name, faults, {field: str(value)[:TYPED_MAX_LENGTH] for field, value in typed.items()})


def _kind(problem: Problem) -> str:
    """The name of a failure in the template: its status, or a word where a status has several meanings."""
    if isinstance(problem, StaleToken):
        return "stale"
    if isinstance(problem, FieldErrors) and {"uid", "token"} & set(problem.fields):
        return "link"
    if isinstance(problem, FieldErrors) and "email" in problem.fields:
        return "taken"
    return str(problem.status)
