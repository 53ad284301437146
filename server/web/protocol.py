"""Malformed HTTP gets a JSON response that repeats none of it, and one line in the log (contract 12)."""

import asyncio
import logging
import re
from typing import Any, cast

from aiohttp import hdrs, web
from aiohttp.http_exceptions import BadHttpMethod
from aiohttp.web_protocol import RequestHandler

from server.errors import BadRequest, ExpectationFailed, MethodNotAllowed, NotFound, Problem
from server.telemetry import metrics
from server.telemetry.logs import new_id, request_id
from server.web.responses import error_response

log = logging.getLogger(__name__)

# The parser stops at a method that it does not know; its failure quotes the request line.
_REQUEST_LINE = re.compile(r"b'([A-Za-z-]{1,32}) (/[^\s?#'\\]*)\S* HTTP/1\.[01]'")


class Protocol(RequestHandler):
    """One connection. It responds to malformed HTTP itself, because that never reaches the middleware."""

    app: web.Application | None = None
    waiting: "asyncio.Task[Any] | None" = None
    """A task in a queue, cancelled when the client disconnects; work that has begun is not cancelled."""

    def connection_lost(self, exc: BaseException | None) -> None:
        """Cancel what still waits for this client."""
        super().connection_lost(exc)
        if self.waiting is not None:
            self.waiting.cancel()

    def leave(self) -> None:
        """Close the connection, unless a request is in progress on it."""
        if self._waiter is not None and not self._waiter.done():
            self.force_close()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Respond with a JSON 400 that repeats nothing of the request, log one line, and close the connection."""
        _give_id()
        if isinstance(exc, UnicodeEncodeError) and hdrs.EXPECT in request.headers:
            # aiohttp's own refusal quotes the header, and fails when its bytes are not text.
            log.info("refused before any handler from %s: an Expect header that is not text", request.remote)
            return _error_response(ExpectationFailed())
        if status >= 500:
            log.error("unhandled failure outside of a handler", exc_info=exc)
        else:
            log.info("malformed request from %s: %s", request.remote, type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError("the response has begun already")
        response = self._unknown_method(exc) if isinstance(exc, BadHttpMethod) else None
        if response is None:
            response = _error_response(BadRequest() if status < 500 else Problem())
        response.force_close()
        return response

    def _unknown_method(self, failure: BadHttpMethod) -> web.Response | None:
        """The response to a method that HTTP's registry does not have: 405 with Allow, or 404 (contract 12)."""
        line = _REQUEST_LINE.search(failure.message)
        if line is None or self.app is None:
            return None
        for resource in self.app.router.resources():
            # Only an async method is public, and this one is called where nothing can be awaited.
            if isinstance(resource, web.Resource) and resource._match(line[2]) is not None:
                allow = next((getattr(route.handler, "allow", None) for route in resource), None)
                if allow is None:
                    return None
                response = _error_response(MethodNotAllowed(line[1]))
                response.headers[hdrs.ALLOW] = allow
                return response
        return _error_response(NotFound())

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Replace aiohttp's refusal of an unknown Expect header by JSON: it comes before any middleware."""
        if resp.status == ExpectationFailed.status and isinstance(resp, web.HTTPExpectationFailed):
            _give_id()
            log.info("refused before any handler from %s: %s", request.remote, resp.reason)
            resp = _error_response(ExpectationFailed())
        return await super().finish_response(request, resp, start_time)


def _give_id() -> None:
    """Give the request an id, unless the middleware has done so."""
    if not request_id.get():
        request_id.set(new_id())


def _error_response(problem: Problem) -> web.Response:
    metrics.HTTP_REQUESTS.add(metrics.OTHER_METHOD, metrics.MALFORMED_ROUTE, problem.status)
    response = error_response(problem)
    response.headers["X-Request-ID"] = request_id.get()
    return response


class Server(web.Server):
    """aiohttp's server with Protocol for its connections."""

    app: web.Application | None = None

    def __call__(self) -> RequestHandler:
        """Make the protocol of one connection."""
        protocol = Protocol(self, loop=self._loop, **self._kwargs)
        protocol.app = self.app
        return protocol


class Runner(web.AppRunner):
    """aiohttp's runner with Server as its server."""

    @property
    def connections(self) -> list[Protocol]:
        """The open connections."""
        return cast("list[Protocol]", self.server.connections) if self.server else []

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        # aiohttp has no way to choose the class; Server differs from web.Server only in __call__.
        server.__class__ = Server
        cast("Server", server).app = self.app
        return server
