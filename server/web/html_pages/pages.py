"""Pages for people: what a letter's link opens. They work without script, and nothing in them comes from elsewhere.

Whoever fetches a page changes nothing and learns nothing: scanners of mail follow every link (trust 26). The form's
button posts to the same address, which does the act of the JSON endpoint.
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

from server.auth.one_time_tokens import MAX_LENGTH
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

STYLE = "pages/style.css"
POLICY = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
HEADERS = {
    **SECURITY_HEADERS,
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",  # the path opens an account
    "Cache-Control": "no-store",
    "Vary": "Accept-Language",
}
_LINK = re.compile(rf"[A-Za-z0-9_=-]{{1,{MAX_LENGTH}}}")
_SHOWN = 300  # characters of what was typed that are shown again


class Typed(Body):
    """What may be shown again to whoever typed it; passwords are not among it."""

    new_username = fields.Raw()
    new_email = fields.Raw()


def link_page(
    endpoints: Endpoints, path: str, form: str, done: str, *, body: SchemaChoice = Body
) -> Callable[[Act], Act]:
    """Declare the page at `path`, with `{uid}` and `{token}` in it: template `form` asks, the act runs, `done` tells.

    The act is given the fields of `body`, uid and token; what it returns are facts for `done`. Its FieldErrors come
    back in the form, every other Problem on a page of its own.
    """
    declared = partial(
        endpoints.declare,
        path=path,
        access=Access.ANONYMOUS,
        body=body,  # of the GET, too: the form has its fields
        other_methods=Access.ANONYMOUS,
        is_json=False,
        in_document=False,
        render_error=error_page,
    )

    def declare(act: Act) -> Act:
        @declared("GET")
        async def show(request: web.Request) -> web.Response:
            _link(request)
            return _form(request, form)

        @declared("POST")
        async def send(request: web.Request) -> web.Response:
            link = _link(request)
            try:
                facts = await act(request, await read_body(request) | link)
            except FieldErrors as failure:
                return await _form_again(request, form, failure)
            return html_response(request, done, **(facts or {}))

        show.__doc__ = send.__doc__ = act.__doc__
        return act

    return declare


def html_response(request: web.Request, name: str, status: int = 200, **facts: Any) -> web.Response:
    """The template `pages/NAME.html` in the language that the reader asks for (Accept-Language)."""
    templates, settings = request.app[TEMPLATES], request.app[SETTINGS]
    language = templates.choose(", ".join(request.headers.getall(hdrs.ACCEPT_LANGUAGE, ())))
    # A proxy that gives the service a folder of the site takes it off again.
    style = f"{urlsplit(settings.site_url).path}/{STYLE}"
    text = templates.render(language, f"pages/{name}.html", site_name=settings.site_name, style=style, **facts)
    return web.Response(text=text, status=status, content_type="text/html", charset="utf-8", headers=HEADERS)


def error_page(request: web.Request, problem: Problem) -> web.Response:
    """A failure as a page."""
    try:
        response = html_response(request, "problem", problem.status, kind=_kind(problem))
    except jinja2.TemplateError:  # a site's own template; the failure may have been another one's
        log.exception("the page of a failure cannot be shown")
        return error_response(problem)
    response.headers.update(problem.headers)
    return response


@endpoints.get(f"/{STYLE}", access=Access.ANONYMOUS, is_json=False, in_document=False)
async def read_style(request: web.Request) -> web.Response:
    """Read how pages look."""
    own = request.app[SETTINGS].templates_dir
    file = own / STYLE if own and (own / STYLE).is_file() else TEXTS / STYLE
    return send_file(request, STYLE, file.read_bytes(), POLICY)


def _link(request: web.Request) -> dict[str, str]:
    """The uid and token of the path. Raises NotFound for what no letter carries."""
    # Not in the pattern of the path: the log knows a link by it, and so one that was lengthened on its way, too.
    link = {name: request.match_info[name] for name in ("uid", "token")}
    if not all(_LINK.fullmatch(part) for part in link.values()):
        raise NotFound
    return link


def _form(
    request: web.Request, name: str, faults: dict[str, Any] | None = None, typed: dict[str, str] | None = None
) -> web.Response:
    asked = tuple(endpoint_of(request.match_info.handler).body().fields)  # type: ignore[misc]
    status = 400 if faults else 200
    return html_response(request, name, status, asked=asked, faults=faults or {}, typed=typed or {})


async def _form_again(request: web.Request, name: str, failure: FieldErrors) -> web.Response:
    """The form with its faults beside the fields. Raises the failure when it is none of a field."""
    asked = list(endpoint_of(request.match_info.handler).body().fields)  # type: ignore[misc]
    faults = dict(failure.fields)
    if asked and "non_field_errors" in faults:
        faults[asked[-1]] = faults.pop("non_field_errors")  # two typings that differ: the second is the odd one
    if not set(faults) <= set(asked):
        raise failure
    typed = await read_body(request, Typed)
    return _form(request, name, faults, {field: str(value)[:_SHOWN] for field, value in typed.items()})


def _kind(problem: Problem) -> str:
    """The word by which the template knows a failure: the status, or more where a status has several meanings."""
    if isinstance(problem, StaleToken):
        return "stale"
    if isinstance(problem, FieldErrors) and {"uid", "token"} & set(problem.fields):
        return "link"
    if isinstance(problem, FieldErrors) and "email" in problem.fields:
        return "taken"
    return str(problem.status)
