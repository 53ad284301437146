"""Lists are ordered by id and paged by it: a page costs the same however deep it lies (contract 11.16)."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from aiohttp import web

from server.database.ids import MAX_ID
from server.errors import FieldErrors
from server.web.responses import json_bytes_response, to_json

LIMIT = 100
MAX_LIMIT = 1000


class Page(NamedTuple):
    """Which rows a caller wants: those with an id above `after`, `limit` at most."""

    after: int
    limit: int


def read_page(request: web.Request) -> Page:
    """The page that the query string asks for. Raises FieldErrors for a bad `limit` or `after`."""
    faults: dict[str, list[str]] = {}
    after = _number(request, "after", 0, 0, MAX_ID, faults)
    limit = _number(request, "limit", LIMIT, 1, MAX_LIMIT, faults)
    if faults:
        raise FieldErrors(faults)
    return Page(after, limit)


def _number(request: web.Request, name: str, default: int, low: int, high: int, faults: dict[str, list[str]]) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and low <= int(text) <= high):
        faults[name] = [f"Must be a whole number from {low} to {high}."]
        return default
    return int(text)


class Written(NamedTuple):
    """A page as JSON, and the id after which the next one begins, or None."""

    body: bytes
    last: int | None


def write_page(rows: Sequence[Mapping[str, Any]], limit: int) -> Written:
    """The first `limit` of `rows` as an array; where more came there is a next page."""
    shown = rows[:limit]
    return Written(to_json(shown), shown[-1]["id"] if len(rows) > limit else None)


def page_response(request: web.Request, page: Page, written: Written) -> web.Response:
    """A page, with a Link to the next one where there is one (RFC 8288)."""
    headers = {}
    if written.last is not None:
        limit = f"limit={page.limit}&" if "limit" in request.query else ""
        headers["Link"] = f'<{request.rel_url.raw_path}?{limit}after={written.last}>; rel="next"'
    return json_bytes_response(written.body, headers=headers)
