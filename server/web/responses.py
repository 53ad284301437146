"""Responses in JSON, and the headers that every response has (contract 1.4)."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson
from aiohttp import web
from multidict import CIMultiDict

from server.errors import Problem
from server.web.pieces import Streamed, body_of

SECURITY_HEADERS = {
    "Server": "Frontdesk",  # instead of the versions of Python and aiohttp
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
JSON_HEADERS = CIMultiDict(
    {
        "Content-Type": "application/json",
        "Vary": "Accept",
        "Cache-Control": "no-store",  # RFC 6749 §5.1
        **SECURITY_HEADERS,
    }
)
_NO_BODY_HEADERS = CIMultiDict({name: value for name, value in JSON_HEADERS.items() if name != "Content-Type"})


def to_json(data: Any) -> bytes:
    """Write compact UTF-8 JSON; times are in UTC with `Z`, with six digits of fraction or none."""
    return orjson.dumps(data, option=orjson.OPT_UTC_Z)


def json_response(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Respond with `data` as JSON; status 204 has no body and no content type."""
    return json_bytes_response(None if status == 204 else to_json(data), status, headers)


def json_bytes_response(
    body: bytes | None, status: int = 200, headers: Mapping[str, str] | None = None, *, is_shared: bool = False
) -> web.Response:
    """Respond with JSON that is written already, or with no body. `is_shared`: all clients get these same bytes."""
    merged = _NO_BODY_HEADERS.copy() if body is None else JSON_HEADERS.copy()
    if headers:
        merged.update(headers)
    return web.Response(body=body and body_of(body, is_shared=is_shared), status=status, headers=merged)


def json_download(parts: AsyncIterator[bytes], name: str) -> web.Response:
    """Respond with the parts of a JSON text as they are made, as a file that browsers save under `name`."""
    headers = JSON_HEADERS.copy()
    headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return web.Response(body=Streamed(parts), headers=headers)


def error_response(problem: Problem) -> web.Response:
    """Render a failure as JSON."""
    body = to_json(problem.body) if problem.has_body else None
    return json_bytes_response(body, problem.status, problem.headers)
