"""A path that the service does not have: a page for people, JSON for clients (contract 11.1)."""

import re

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from server.errors import NotFound
from server.web.authentication import ACCEPT_MAX_LENGTH
from server.web.html_pages.pages import error_page

_QUALITY = re.compile(r"q\s*=\s*(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)", re.ASCII)  # RFC 9110 §12.4.2


@web.middleware
async def unknown_paths(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Respond with a page for a path without a route, if the client prefers HTML to JSON."""
    if request.match_info.http_exception is None or not prefers_html(request.headers.getall(hdrs.ACCEPT, ())):
        return await handler(request)
    response = error_page(request, NotFound())
    response.headers[hdrs.VARY] = "Accept, Accept-Language"
    return response


def prefers_html(headers: tuple[str, ...] | list[str]) -> bool:
    """Whether Accept headers name text/html itself, and prefer it to JSON (RFC 9110 §12.5.1).

    Browsers name it. A client that sends nothing, `*/*` or `application/json, text/plain, */*` gets JSON.
    """
    qualities: dict[str, float] = {}
    for part in ", ".join(headers)[:ACCEPT_MAX_LENGTH].lower().split(","):
        media_range, *parameters = (piece.strip() for piece in part.split(";"))
        found = [match for each in parameters if (match := _QUALITY.fullmatch(each))]
        qualities[media_range] = float(found[0][1]) if found else 1.0
    json_ranges = ("application/json", "application/*", "*/*")
    json_quality = next((qualities[each] for each in json_ranges if each in qualities), 0.0)
    return qualities.get("text/html", 0.0) > json_quality
