"""The pages on which people ask for a new link, without script: where the page of a dead link leads on."""

import contextlib
from typing import Any

from aiohttp import web

from server.accounts.links import request_link
from server.auth.one_time_tokens import ACTIVATION
from server.errors import EmailNotFound, FieldErrors, Forbidden, NotFound
from server.web.app_keys import DB, LETTERS, LIMITS, SETTINGS
from server.web.bodies import read_body
from server.web.clients import source_of
from server.web.endpoints import Access, Endpoints
from server.web.html_pages.pages import ASK_PATHS, PAGE_HEADERS, error_page, form_again, form_response, html_response
from server.web.schemas.objects import Address

CHANGE_PASSWORD = "/.well-known/change-password"  # noqa: S105  a path
OWN_FETCHES = ("same-origin", "none")  # none: the address bar, a bookmark

endpoints = Endpoints("pages", other_methods=Access.ANONYMOUS)


def ask_page(endpoints: Endpoints, purpose: str, **declared: Any) -> None:
    """Declare GET and POST of the page that asks for a link of `purpose`. A known and an unknown address look alike.

    `declared` are further keywords of the declaration.
    """
    path = ASK_PATHS[purpose]

    def values(request: web.Request) -> dict[str, Any]:
        settings = request.app[SETTINGS]
        if purpose == ACTIVATION and not settings.send_activation_email:
            raise NotFound
        return {"about": purpose, "ask_path": settings.public_path + path}

    async def show(request: web.Request) -> web.Response:
        """Show the form that asks for a new link."""
        return form_response(request, "ask", **values(request))

    async def send(request: web.Request) -> web.Response:
        """Send a new link to an address."""
        shown = values(request)
        _check_origin(request)
        try:
            given = await read_body(request)
        except FieldErrors as failure:
            return await form_again(request, "ask", failure, **shown)
        app = request.app
        # The settings may allow the JSON endpoints to tell that an address is unknown; the page never does.
        with contextlib.suppress(EmailNotFound):
            await request_link(
                app[DB],
                purpose,
                given["email"],
                letters=app[LETTERS],
                limits=app[LIMITS],
                settings=app[SETTINGS],
                source=source_of(request),
            )
        return html_response(request, "asked", **shown)

    for method, function in (("GET", show), ("POST", send)):
        endpoints.declare(
            method,
            path,
            access=Access.ANONYMOUS,
            body=Address,
            other_methods=Access.ANONYMOUS,
            is_json=False,
            in_document=False,
            render_error=error_page,
            **declared,
        )(function)


@endpoints.get(CHANGE_PASSWORD, access=Access.ANONYMOUS, is_json=False, in_document=False, render_error=error_page)
async def find_change_of_password(request: web.Request) -> web.Response:
    """Lead a password manager to the page where a password is changed.

    Source: W3C, A Well-Known URL for Changing Passwords, §3.1.
    """
    settings = request.app[SETTINGS]
    place = settings.change_password_url or f"{settings.public_path}/password/reset"
    response = web.Response(status=302, headers=PAGE_HEADERS)
    response.headers["Location"] = place
    return response


def _check_origin(request: web.Request) -> None:
    """Raises Forbidden for a form of another site, which could make its visitors send letters.

    By Sec-Fetch-Site alone: the page of a dead link sends no referrer, so its forms have the Origin `null`.
    """
    if request.headers.get("Sec-Fetch-Site", "none") not in OWN_FETCHES:
        raise Forbidden
