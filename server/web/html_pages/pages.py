"""The HTML pages behind the links in letters. They need no script, and load nothing from other sites.

GET looks the link up and uses nothing up, because mail scanners follow every link (security 26). The button of the form
posts to the same path, which does the same as the JSON endpoint.
"""

import html
import logging
import re
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import asyncpg
import jinja2
from aiohttp import hdrs, web
from marshmallow import fields

from server.accounts.links import InvalidLink, look_at_link
from server.auth.one_time_tokens import (
    ACTIVATION,
    EMAIL_RESET,
    LINK_PART_MAX_LENGTH,
    PASSWORD_RESET,
    USERNAME_RESET,
)
from server.errors import FieldErrors, NotFound, Problem, StaleToken
from server.templates import TEXTS
from server.web.app_keys import DB, ONE_TIME_TOKENS, SETTINGS, TEMPLATES
from server.web.bodies import read_body
from server.web.endpoints import Access, Endpoints, SchemaChoice, endpoint_of
from server.web.endpoints import Handler as EndpointFunction
from server.web.files import send_file
from server.web.responses import SECURITY_HEADERS, error_response
from server.web.schemas.fields import Body

log = logging.getLogger(__name__)

endpoints = Endpoints("pages", other_methods=Access.ANONYMOUS)

Act = Callable[[web.Request, dict[str, Any]], Awaitable[dict[str, Any] | None]]

LINK_PARTS = "/{uid}/{token}"
# Where people ask for a new link, by the purpose of the link; the page of the link is below it.
ASK_PATHS = {
    ACTIVATION: "/activate",
    PASSWORD_RESET: "/password/reset",
    USERNAME_RESET: "/username/reset",
    EMAIL_RESET: "/email/reset",
}
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
GLUED_CHARACTERS = ".,;:!?'\">)]»”’*&\r\n\t "
_LINK_PART = re.compile(rf"[A-Za-z0-9_=-]{{1,{LINK_PART_MAX_LENGTH}}}")
TYPED_MAX_LENGTH = 300  # of a value that the form shows again


class DeadLink(NotFound):
    """The link of an opened page is used, expired, replaced or was never sent; only a used one is told apart.

    404 and not 410: the service does not know of every dead link that it ever worked (RFC 9110 §15.5.11).
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind  # of the saying in the template


class Typed(Body):
    """The fields whose values the form shows again; passwords are not shown."""

    new_username = fields.Raw()
    new_email = fields.Raw()
    email = fields.Raw()


def link_page(
    endpoints: Endpoints,
    path: str,
    form: str,
    done: str,
    *,
    purposes: tuple[str, ...],
    body: SchemaChoice = Body,
    **declared: Any,
) -> Callable[[Act], Act]:
    """Declare GET and POST of the page at `path`, which has `{uid}` and `{token}` in it: a decorator of the act.

    GET shows the template `form` if the link works for one of `purposes`, and raises DeadLink if not. POST runs the act
    and shows the template `done`. The act receives the fields of `body`, uid and token, and returns values for `done`.
    Its FieldErrors are shown in the form, every other Problem on a separate page.
    `declared` are further keywords of the declaration.
    """
    declare: Callable[..., Callable[[EndpointFunction], EndpointFunction]] = partial(
        endpoints.declare,
        path=path,
        access=Access.ANONYMOUS,
        body=body,  # of the GET, too: the form has its fields
        other_methods=Access.ANONYMOUS,
        is_json=False,
        in_document=False,
        render_error=error_page,
        **declared,
    )

    def decorate(act: Act) -> Act:
        @declare("GET")
        async def show(request: web.Request) -> web.Response:
            looked = await _look(request, purposes)
            if looked is None or looked["is_used"]:
                raise DeadLink(_dead_kind(looked))
            return form_response(request, form, account=_login(request, looked))

        @declare("POST")
        async def send(request: web.Request) -> web.Response:
            link = _link(request)
            try:
                values = await act(request, await read_body(request) | link)
            except FieldErrors as failure:
                if not _concerns_form(request, failure):
                    raise
                looked = await _look(request, purposes)
                if looked is None or looked["is_used"]:
                    raise InvalidLink from None  # no form: nothing that is typed into it can help
                return await form_again(request, form, failure, account=_login(request, looked))
            return html_response(request, done, **(values or {}))

        show.__doc__ = send.__doc__ = act.__doc__
        return act

    return decorate


def html_response(request: web.Request, name: str, status: int = 200, **values: Any) -> web.Response:
    """Respond with the template `pages/NAME.html` in the language that the client asks for (Accept-Language)."""
    templates, settings = request.app[TEMPLATES], request.app[SETTINGS]
    language = templates.choose(", ".join(request.headers.getall(hdrs.ACCEPT_LANGUAGE, ())))
    # Below a sub-path of a proxy (contract 11.33): browsers need the sub-path, the proxy removes it.
    site = {
        "site_name": settings.site_name,
        "style": f"{settings.public_path}/{STYLESHEET}",
        "sign_in_url": settings.sign_in_url,
        "home_url": settings.home_url,
        "login_field": settings.login_field,
    }
    text = templates.render(language, f"pages/{name}.html", **site, **values)
    return web.Response(text=text, status=status, content_type="text/html", charset="utf-8", headers=PAGE_HEADERS)


def error_page(request: web.Request, problem: Problem) -> web.Response:
    """Render a failure as a page."""
    try:
        response = html_response(request, "problem", problem.status, kind=_kind(problem), **_asking(request))
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
    link["token"] = html.unescape(link["token"]).rstrip(GLUED_CHARACTERS)  # "&gt;" is what a page made of ">"
    if not all(_LINK_PART.fullmatch(part) for part in link.values()):
        raise NotFound
    return link


async def _look(request: web.Request, purposes: tuple[str, ...]) -> asyncpg.Record | None:
    """What the link of the path leads to, None when it is dead. Raises NotFound for characters that no link has."""
    app, link = request.app, _link(request)
    return await look_at_link(app[DB], app[ONE_TIME_TOKENS], **link, purposes=purposes)


def _dead_kind(looked: asyncpg.Record | None) -> str:
    """What the page says about a dead link. That a link was used is told to its holder alone."""
    if looked is None:
        return "link"
    return "stale" if looked["purpose"] == ACTIVATION and looked["is_active"] else "used"


def _login(request: web.Request, looked: asyncpg.Record) -> str:
    """What the account signs in with, for password managers. The letter went to the account's own address."""
    is_email = request.app[SETTINGS].login_field == "email"
    return str(looked["email"] if is_email or not looked["username"] else looked["username"])


def _asking(request: web.Request) -> dict[str, str]:
    """Variables of the form that asks for a new link, empty where there is none."""
    endpoint = getattr(request.match_info.handler, "endpoint", None)
    path = endpoint.path.removesuffix(LINK_PARTS) if endpoint else ""
    about = next((purpose for purpose, ask_path in ASK_PATHS.items() if ask_path == path), "")
    settings = request.app[SETTINGS]
    if not about or (about == ACTIVATION and not settings.send_activation_email):
        return {"about": "", "ask_path": ""}
    return {"about": about, "ask_path": settings.public_path + path}


def form_response(
    request: web.Request,
    name: str,
    faults: dict[str, Any] | None = None,
    typed: dict[str, str] | None = None,
    **values: Any,
) -> web.Response:
    """Respond with the form of the template `name`: 400 when it has faults."""
    asked = tuple(_asked(request))
    status = 400 if faults else 200
    return html_response(request, name, status, asked=asked, faults=faults or {}, typed=typed or {}, **values)


async def form_again(request: web.Request, name: str, failure: FieldErrors, **values: Any) -> web.Response:
    """Show the form again with the faults beside its fields. Raises the failure if it concerns other fields."""
    if not _concerns_form(request, failure):
        raise failure
    faults = dict(failure.fields)
    if "non_field_errors" in faults:
        faults[_asked(request)[-1]] = faults.pop("non_field_errors")  # a mismatch is shown at the second field
    typed = await read_body(request, Typed)
    return form_response(
        request, name, faults, {field: str(value)[:TYPED_MAX_LENGTH] for field, value in typed.items()}, **values
    )


def _concerns_form(request: web.Request, failure: FieldErrors) -> bool:
    """Whether every fault has a place in the form."""
    asked = _asked(request)
    return bool(asked) and set(failure.fields) <= {*asked, "non_field_errors"}


def _asked(request: web.Request) -> list[str]:
    """The names of the fields of the form."""
    return list(endpoint_of(request.match_info.handler).body().fields)  # type: ignore[misc]


def _kind(problem: Problem) -> str:
    """The name of a failure in the template: its status, or a word where a status has several meanings."""
    if isinstance(problem, DeadLink):
        return problem.kind
    if isinstance(problem, StaleToken):
        return "stale"
    if isinstance(problem, FieldErrors) and {"uid", "token"} & set(problem.fields):
        return "link"
    if isinstance(problem, FieldErrors) and "email" in problem.fields:
        return "taken"
    return str(problem.status)
