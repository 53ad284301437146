"""Lists are ordered by id and paged by id: a late page costs as much as the first (contract 11.16)."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from aiohttp import web

from server.database.ids import MAX_ID
from server.web.app_keys import SETTINGS
from server.web.queries import read_query
from server.web.responses import json_bytes_response, to_json
from server.web.schemas.fields import Query, WholeNumber

PAGE_ROWS = 100
PAGE_MAX_ROWS = 1000


class PageQuery(Query):
    """Which page of a list a client asks for."""

    limit = WholeNumber(1, PAGE_MAX_ROWS, load_default=PAGE_ROWS, metadata={"description": "Rows at most."})
    after = WholeNumber(
        0,
        MAX_ID,
        load_default=0,
        metadata={"description": "The id after which the page begins.", "format": "int64"},
    )


class Page(NamedTuple):
    """The rows that a client asks for: those with an id above `after`, at most `limit`."""

    after: int
    limit: int


def read_page(request: web.Request) -> Page:
    """Read the page from the query string of an endpoint with `query=PageQuery`.

    Raises FieldErrors for a wrong `limit` or `after`.
    """
    return Page(**read_query(request))


class Written(NamedTuple):
    """A page as JSON, and the id after which the next page begins, or None on the last page."""

    body: bytes
    last: int | None


def write_page(rows: Sequence[Mapping[str, Any]], limit: int) -> Written:
    """Write the first `limit` of `rows` as an array; a row more than that means that there is a next page."""
    shown = rows[:limit]
    return Written(to_json(shown), shown[-1]["id"] if len(rows) > limit else None)


def page_response(request: web.Request, page: Page, written: Written) -> web.Response:
    """Respond with a page, and with a Link to the next page if there is one (RFC 8288)."""
    headers = {}
    if written.last is not None:
        limit = f"limit={page.limit}&" if "limit" in request.query else ""
        path = request.app[SETTINGS].public_path + request.rel_url.raw_path
        headers["Link"] = f'<{path}?{limit}after={written.last}>; rel="next"'
    return json_bytes_response(written.body, headers=headers)
