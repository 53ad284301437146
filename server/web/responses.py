"""What leaves: JSON of the database's row, and the headers that every answer carries (contract 1.4)."""

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web
from multidict import CIMultiDict

from server.errors import Problem

SECURITY_HEADERS = {
    "Server": "Frontdesk",  # instead of the versions of Python and aiohttp
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_JSON = CIMultiDict(
    {
        "Content-Type": "application/json",
        "Vary": "Accept",
        "Cache-Control": "no-store",
        **SECURITY_HEADERS,
    }  # RFC 6749 §5.1
)
_BARE = CIMultiDict({name: value for name, value in _JSON.items() if name != "Content-Type"})


def to_json(data: Any) -> bytes:
    """Compact UTF-8; times in UTC with `Z` and, where there are any, six digits of fraction."""
    return orjson.dumps(data, option=orjson.OPT_UTC_Z)


def answer(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """`data` as JSON; with status 204 there is no body, and no content type."""
    return json_bytes_response(None if status == 204 else to_json(data), status, headers)


def json_bytes_response(
    body: bytes | None, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """JSON that is ready to go, or no body."""
    kept = _BARE.copy() if body is None else _JSON.copy()
    if headers:
        kept.update(headers)
    return web.Response(body=body, status=status, headers=kept)


def refuse(problem: Problem) -> web.Response:
    """A failure as its answer."""
    body = to_json(problem.body) if problem.has_body else None
    return json_bytes_response(body, problem.status, problem.headers)
