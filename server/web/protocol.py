"""Bytes that are no HTTP are answered, too: in JSON, echoing nothing, with one line in the log."""

import asyncio
import logging
from typing import Any, cast

from aiohttp import hdrs, web
from aiohttp.web_protocol import RequestHandler

from server.errors import BadRequest, ExpectationFailed, Problem
from server.telemetry.logs import new_id, request_id
from server.web.responses import error_response

log = logging.getLogger(__name__)


class Protocol(RequestHandler):
    """Answers bytes that are no HTTP: no handler ever sees them, so the middleware cannot."""

    waiting: "asyncio.Task[Any] | None" = None
    """Whom to cancel when the client leaves: what it waits for has not begun. What has begun is left to its end."""

    def connection_lost(self, exc: BaseException | None) -> None:
        """Nobody waits for the answer any more."""
        super().connection_lost(exc)
        if self.waiting is not None:
            self.waiting.cancel()

    def leave(self) -> None:
        """Close the connection, unless a request is under way on it."""
        if self._waiter is not None and not self._waiter.done():
            self.force_close()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """A JSON 400 that echoes nothing, one line in the log, and the connection closed."""
        _give_id()
        if isinstance(exc, UnicodeEncodeError) and hdrs.EXPECT in request.headers:
            # aiohttp's own refusal quotes the header, and an answer cannot hold bytes that are no text.
            log.info("refused before any handler from %s: an expectation of odd bytes", request.remote)
            return _refuse(ExpectationFailed())
        if status >= 500:
            log.error("unhandled failure outside of a handler", exc_info=exc)
        else:
            log.info("malformed request from %s: %s", request.remote, type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        response = _refuse(BadRequest() if status < 500 else Problem())
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """What aiohttp itself refuses before any middleware (an Expect header it cannot meet) is JSON, too."""
        if resp.status == ExpectationFailed.status and isinstance(resp, web.HTTPExpectationFailed):
            _give_id()
            log.info("refused before any handler from %s: %s", request.remote, resp.reason)
            resp = _refuse(ExpectationFailed())
        return await super().finish_response(request, resp, start_time)


def _give_id() -> None:
    """What never comes to the middleware gets its id here."""
    if not request_id.get():
        request_id.set(new_id())


def _refuse(problem: Problem) -> web.Response:
    response = error_response(problem)
    response.headers["X-Request-ID"] = request_id.get()
    return response


class Server(web.Server):
    """aiohttp's server with our protocol."""

    def __call__(self) -> RequestHandler:
        """A protocol for one connection."""
        return Protocol(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """aiohttp's runner with our server."""

    @property
    def connections(self) -> list[Protocol]:
        """Who is connected."""
        return cast("list[Protocol]", self.server.connections) if self.server else []

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        # aiohttp offers no seam here; the class differs in __call__ alone.
        server.__class__ = Server
        return server
