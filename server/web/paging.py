"""Pages of lists: each begins after the last row of the one before, so that none is skipped (contract 11.16)."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode

from aiohttp import web

from server.web.app_keys import SETTINGS
from server.web.endpoints import endpoint_of
from server.web.responses import json_bytes_response, to_json

PAGE_MAX_BYTES = 1_000_000  # of JSON; a page ends early, with its Link (security 36). The statements stop there, too


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


def page_response(request: web.Request, written: Written) -> web.Response:
    """Respond with a page, and with a Link to the next page if there is one (RFC 8288).

    The Link is the query of the request with another `after`.
    """
    headers = {}
    if written.last is not None:
        schema = endpoint_of(request.match_info.handler).query
        assert schema is not None
        # What the endpoint does not know is left out; of a repeated parameter the first counted.
        kept = {name: request.query[name] for name in schema().fields if name in request.query and name != "after"}
        path = request.app[SETTINGS].public_path + request.rel_url.raw_path
        headers["Link"] = f'<{path}?{urlencode(kept | {"after": written.last})}>; rel="next"'
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
