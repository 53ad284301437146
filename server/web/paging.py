"""Pages of lists: each begins after the last row of the one before, so that none is skipped (contract 11.16)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from aiohttp import web

from server.database.ids import MAX_ID
from server.web.app_keys import SETTINGS
from server.web.queries import read_query
from server.web.responses import json_bytes_response, to_json
from server.web.schemas.fields import Query, WholeNumber

PAGE_ROWS = 100
PAGE_MAX_ROWS = 1000
PAGE_MAX_BYTES = 1_000_000  # of JSON; a page ends early, with its Link (security 36). The statements stop there, too


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


def write_rows(rows: Sequence[Any]) -> tuple[bytes, int]:
    """Write the first of `rows` as an array of at most PAGE_MAX_BYTES: the array, and how many are in it.

    One row is always in it, also if it is longer.
    """
    body = to_json(rows)
    if len(body) <= PAGE_MAX_BYTES:
        return body, len(rows)
    written, size = list[bytes](), 1
    for row in rows:
        each = to_json(row)
        size += len(each) + 1  # with its comma or the last bracket
        if written and size > PAGE_MAX_BYTES:
            break
        written.append(each)
    return b"[%b]" % b",".join(written), len(written)


def write_page(rows: Sequence[Mapping[str, Any]], shown: Sequence[Any], limit: int) -> Written:
    """Write the first `limit` of `rows`, which `shown` has as objects; fewer when they are long.

    `has_next` of a row says whether another one comes after it.
    """
    body, count = write_rows(shown[:limit])
    return Written(body, rows[count - 1]["id"] if count and rows[count - 1]["has_next"] else None)


def page_response(request: web.Request, page: Page, written: Written) -> web.Response:
    """Respond with a page, and with a Link to the next page if there is one (RFC 8288)."""
    headers = {}
    if written.last is not None:
        limit = f"limit={page.limit}&" if "limit" in request.query else ""
        path = request.app[SETTINGS].public_path + request.rel_url.raw_path
        headers["Link"] = f'<{path}?{limit}after={written.last}>; rel="next"'
    return json_bytes_response(written.body, headers=headers)


def rows_response(
    request: web.Request, objects: Sequence[Any], *, limit: int, place: Callable[[Any], Mapping[str, str | int]]
) -> web.Response:
    """Respond with the first `limit` of `objects`; one more means that there is a next page.

    The Link to it is the query of the request with what `place` returns for the last object.
    """
    body, count = write_rows(objects[:limit])
    headers = {}
    if len(objects) > count:
        path = request.app[SETTINGS].public_path + request.rel_url.raw_path
        query = request.rel_url.update_query(place(objects[count - 1])).raw_query_string
        headers["Link"] = f'<{path}?{query}>; rel="next"'
    return json_bytes_response(body, headers=headers)
