"""The connections of the service: their bounds, and the response to malformed HTTP (contract 12, security 37 to 41).

This module, `plain_paths.py` and `malformed.py` use private names of aiohttp; `tests/web/test_aiohttp.py` fails when
they change.
"""

import asyncio
import contextlib
import logging
import socket
from typing import Any, cast

from aiohttp import hdrs, web
from aiohttp.http_exceptions import BadHttpMethod
from aiohttp.web_protocol import RequestHandler

from server.errors import ExpectationFailed, Problem
from server.web.arriving import Arriving
from server.web.connections import USUAL_MAX_CONNECTIONS, Bounds
from server.web.heads import problem_of
from server.web.malformed import give_id, malformed_response, unknown_method_response
from server.web.ordinary_responses import OrdinaryResponse
from server.web.pieces import Pieces, Streamed
from server.web.plain_paths import PlainPaths
from server.web.readers import ReaderWatch, has_taken

log = logging.getLogger(__name__)

SOCKET_BUFFER_BYTES = 64 * 1024  # the kernel would keep up to 4 MB for a client that does not read
LINGER_SECONDS = 2.0  # after the response to a request that was refused while it arrived
LINGER_MAX_BYTES = 1024 * 1024


class Protocol(RequestHandler):
    """One connection. It responds to malformed HTTP itself, because that never reaches the middleware."""

    app: web.Application | None = None
    waiting: "asyncio.Task[Any] | None" = None
    """A task in a queue, cancelled when the client disconnects; work that has begun is not cancelled."""

    def __init__(self, manager: web.Server, bounds: Bounds, *, loop: asyncio.AbstractEventLoop, **kwargs: Any) -> None:
        super().__init__(manager, loop=loop, **kwargs)
        self._bounds = bounds
        self._socket: asyncio.Transport | None = None  # until it is closed; aiohttp's `transport` is None earlier
        self._arriving: Arriving | None = None
        self._is_half_closed = False
        self._response: web.StreamResponse | None = None  # the one that is being sent
        self._reader = ReaderWatch(loop)
        self._lingering: asyncio.Future[None] | None = None
        self._dropped_bytes = 0
        # Without its parser aiohttp still works, with the bounds that it has itself.
        if hasattr(getattr(self, "_parser", None), "feed_data"):
            read_on = self._resume_reading_if_drained
            self._arriving = self._parser = Arriving(self._parser, bounds, self.drop, read_on)  # type: ignore[arg-type, assignment]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Have `pause_writing` called as soon as the client does not take everything."""
        if not self._bounds.connections.has_room():
            cast("asyncio.Transport", transport).abort()
            return
        self._socket = cast("asyncio.Transport", transport)
        self._socket.set_write_buffer_limits(high=0)
        kernel_socket = transport.get_extra_info("socket")
        if kernel_socket is not None:
            for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                kernel_socket.setsockopt(socket.SOL_SOCKET, option, SOCKET_BUFFER_BYTES)
        super().connection_made(transport)
        self._bounds.connections.add(self)
        self._bounds.relief.note()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Cancel what still waits for this client, and give back its part of the bounds."""
        self._bounds.connections.remove(self)
        self._bounds.relief.note()
        self._watch_reader(None)
        self._end_lingering()
        self._socket = None
        if self._arriving is not None:
            self._arriving.close()
        super().connection_lost(exc)
        if self.waiting is not None:
            self.waiting.cancel()

    def data_received(self, data: bytes) -> None:
        """Read bytes, and keep none that are refused."""
        super().data_received(data)
        if self._waits_for_turn:
            self._pause_reading_for_buffer()
        if self._arriving is not None and self._arriving.is_broken:
            if self._arriving.is_refusal_due:
                super().data_received(b"")
            self._arriving.forget_bytes()
            self._dropped_bytes += len(data)
            if self._dropped_bytes > LINGER_MAX_BYTES:
                self._end_lingering()

    def eof_received(self) -> bool | None:  # type: ignore[override]  # asyncio's own type
        """Keep a connection open whose client sends no more but has requests in progress: it gets its responses.

        A client that closes while its task waits in a queue has left: one that only stops sending cannot be told apart.
        """
        self._end_lingering()
        arriving = self._arriving
        if arriving is None or self.waiting is not None:
            return None
        # The refusal of a malformed request is a response, too.
        if not (arriving.is_handling or (arriving.is_broken and arriving.requests)):
            return None
        self._is_half_closed = True
        return True

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Read on after a pause. aiohttp would let the parser read nothing after every body: 2 µs of its request."""
        if self._reading_paused:
            super().resume_reading(resume_parser)

    def _resume_reading_for_buffer(self) -> None:
        """Read on, unless bytes wait for their turn: those first."""
        if not self._waits_for_turn:
            super()._resume_reading_for_buffer()

    @property
    def _waits_for_turn(self) -> bool:
        return self._bounds.turns.is_waiting(self._arriving)

    def pause_writing(self) -> None:
        """The client does not take everything: from now on it must take enough of it."""
        super().pause_writing()
        assert self._socket is not None
        self._watch_reader(self._socket)

    def resume_writing(self) -> None:
        """The client has taken everything."""
        super().resume_writing()
        self._watch_reader(None)

    def give_way(self) -> None:
        """Drop the client, so that its response uses no memory."""
        log.info("dropped a client that reads too slowly while many do")
        self.drop()

    def _watch_reader(self, unread: asyncio.Transport | None) -> None:
        """Watch the client of a connection that has unsent bytes. None: there are none."""
        if unread is None:
            self._reader.end()
            self._bounds.unsent.hold(self, 0)
            return
        self._reader.begin(unread)
        body = getattr(self._response, "body", None)
        own_bytes = body.own_bytes if isinstance(body, Pieces | Streamed) else 0
        self._bounds.unsent.hold(self, unread.get_write_buffer_size() + own_bytes)

    @property
    def waits_for_client(self) -> bool:
        """Whether only the client can bring this connection on."""
        if self._arriving is None or self._reader.is_on:
            return True
        return not self._arriving.is_handling and not self._waits_for_turn

    @property
    def last_used(self) -> float:
        """Another number after each response."""
        return self._next_keepalive_close_time

    def drop(self) -> None:
        """Close the connection at once. Requests that wait are let go, but one that aiohttp may be about to take."""
        while len(self._messages) > 1:
            self._messages.pop()
        if self._socket is not None:
            self._socket.abort()

    def leave(self) -> None:
        """Close the connection, unless a request is in progress on it, or may be in what is not read yet."""
        if self._waiter is not None and not self._waiter.done() and not self._waits_for_turn:
            self.force_close()

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Respond with a JSON 400 that repeats nothing of the request, log one line, and close the connection."""
        give_id()
        if isinstance(exc, UnicodeEncodeError) and hdrs.EXPECT in request.headers:
            # aiohttp's own refusal quotes the header, and fails when its bytes are not text.
            log.info("refused before any handler from %s: an Expect header that is not text", request.remote)
            return malformed_response(ExpectationFailed())
        if status >= 500:
            log.error("unhandled failure outside of a handler", exc_info=exc)
        else:
            log.info("malformed request from %s: %s", request.remote, type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError("the response has begun already")
        response = None
        if isinstance(exc, BadHttpMethod) and self.app is not None:
            response = unknown_method_response(self.app, exc)
        if response is None:
            response = malformed_response(problem_of(exc) if status < 500 else Problem())
        response.force_close()
        return response

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Replace aiohttp's refusal of an unknown Expect header by JSON: it comes before any middleware."""
        if resp.status == ExpectationFailed.status and isinstance(resp, web.HTTPExpectationFailed):
            give_id()
            log.info("refused before any handler from %s: %s", request.remote, resp.reason)
            resp = malformed_response(ExpectationFailed())
        arriving = self._arriving
        if type(resp) is OrdinaryResponse:
            is_ending = arriving is None or arriving.is_broken or self._is_half_closed or self._upgraded
            if arriving is not None and not is_ending and resp.suits(request):
                # The next request waits until this response is taken, as aiohttp does with its own.
                is_there = resp.write_to(request, self.transport) and (not self._paused or await has_taken(request))
                arriving.finish()
                return resp, not is_there or (self._is_half_closed and not arriving.requests)  # no request follows
            resp = resp.to_response()
        if arriving is None:
            return await super().finish_response(request, resp, start_time)
        if arriving.requests <= 1 and (arriving.is_broken or self._is_half_closed):
            resp.force_close()
        self._response = resp
        try:
            done = await super().finish_response(request, resp, start_time)
            if arriving.is_last_response:
                await self._linger()
            return done
        finally:
            self._response = None
            arriving.finish()

    async def _linger(self) -> None:
        """Read on for a while, and drop what comes: closing at once would reset the response (RFC 9112 §9.6)."""
        if self._is_half_closed or self._socket is None or self._socket.is_closing():
            return
        if not self._socket.can_write_eof():
            return
        self._socket.write_eof()
        self._lingering = asyncio.get_running_loop().create_future()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                await self._lingering

    def _end_lingering(self) -> None:
        if self._lingering is not None and not self._lingering.done():
            self._lingering.set_result(None)


def scheme_of_target(request: web.Request) -> str:
    """The scheme of a target in absolute form, which aiohttp replaces (RFC 9112 §3.2.2); empty in all other forms."""
    return request._message.url.scheme


class Server(web.Server):
    """aiohttp's server with Protocol for its connections."""

    app: web.Application | None = None
    bounds: Bounds

    def __call__(self) -> RequestHandler:
        """Make the protocol of one connection."""
        protocol = Protocol(self, self.bounds, loop=self._loop, **self._kwargs)
        protocol.app = self.app
        return protocol


class Runner(web.AppRunner):
    """aiohttp's runner with Server as its server."""

    def __init__(self, app: web.Application, *, max_connections: int = USUAL_MAX_CONNECTIONS, **options: Any) -> None:
        super().__init__(app, **options)
        self._max_connections = max_connections

    @property
    def connections(self) -> list[Protocol]:
        """The open connections."""
        return cast("list[Protocol]", self.server.connections) if self.server else []

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        # aiohttp has no way to choose the class; Server differs from web.Server only in __call__.
        server.__class__ = Server
        ours = cast("Server", server)
        ours.app, ours.bounds = self.app, Bounds(self._max_connections)
        router = ours.request_handler
        ours.request_handler = PlainPaths(self.app, router).handle  # type: ignore[assignment]  # they are web.Request
        return ours
