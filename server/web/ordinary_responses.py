"""Ordinary responses: JSON with the usual headers and no others. They are written as one piece, joined beforehand.

Measured in docs/decisions/speed.md. `Protocol.finish_response` decides whether a response may be written like that.
"""

import asyncio
import functools
import time
from email.utils import formatdate
from http import HTTPStatus

from aiohttp import HttpVersion11, hdrs, web

from server.web.responses import JSON_HEADERS, json_bytes_response

_VARY = JSON_HEADERS[hdrs.VARY]
VARY_BY_ORIGIN = f"{_VARY}, Origin"


class OrdinaryResponse(web.StreamResponse):
    """A JSON response with a body, and the usual headers alone.

    A StreamResponse for the types only: aiohttp never gets one. It is written as it is, or `to_response` makes a
    response for aiohttp of it.
    """

    def __init__(self, body: bytes, status: int, allow: str) -> None:
        # Not super().__init__(): what that makes is what this class does without.
        self.content = body
        self.allow = allow
        self.vary = _VARY
        self.request_id = ""
        self.is_last = False  # the connection closes after it
        self._of_status = status

    @property
    def status(self) -> int:
        """The status code."""
        return self._of_status

    @property
    def keep_alive(self) -> bool:
        """Whether the connection stays open: only a response for aiohttp closes it."""
        return True

    def force_close(self) -> None:
        """Close the connection after this response."""
        self.is_last = True

    def suits(self, request: web.BaseRequest) -> bool:
        """Whether `write_to` may respond. HEAD, HTTP/1.0 and what closes the connection are left to aiohttp."""
        return (
            not self.is_last
            and request.method != hdrs.METH_HEAD
            and request.version == HttpVersion11
            and request.keep_alive
        )

    def write_to(self, request: web.BaseRequest, transport: asyncio.Transport | None) -> bool:
        """Write the response in one piece: whether the client is still there."""
        if transport is None or transport.is_closing():
            return False
        data = self._to_bytes()
        request.writer.output_size += len(data)
        transport.write(data)
        return True

    def _to_bytes(self) -> bytes:
        head = _head(self._of_status, self.allow, self.vary)
        rest = f"{self.request_id}\r\nContent-Length: {len(self.content)}\r\nDate: {_date(int(time.time()))}\r\n\r\n"
        return b"".join((head, rest.encode(), self.content))

    def to_response(self) -> web.Response:
        """The same response for aiohttp, to which headers can be added."""
        response = json_bytes_response(self.content, self._of_status)
        response.headers[hdrs.VARY] = self.vary
        response.headers[hdrs.ALLOW] = self.allow
        if self.request_id:
            response.headers["X-Request-ID"] = self.request_id
        if self.is_last:
            response.force_close()
        return response


@functools.lru_cache(1024)  # more than endpoints times statuses
def _head(status: int, allow: str, vary: str) -> bytes:
    """The status line and the headers up to the value of X-Request-ID, the last one that the service sets itself."""
    headers = {**JSON_HEADERS, hdrs.VARY: vary, hdrs.ALLOW: allow}
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {headers[name]}" for name in headers)]
    return "\r\n".join([*lines, "X-Request-ID: "]).encode()


@functools.lru_cache(1)
def _date(second: int) -> str:
    """The Date header (RFC 9110 §5.6.7) for a time in epoch seconds."""
    return formatdate(second, usegmt=True)
