"""What arrives on one connection: bounded before and after aiohttp's parser has read it (security 38, 40).

aiohttp bounds one header and the number of headers, but not the head as a whole; and neither the number of chunks nor
the length of their extensions.
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any

from aiohttp import StreamReader, hdrs
from aiohttp.http_exceptions import HttpProcessingError

from server.errors import BadRequest, Busy
from server.web import heads
from server.web.connections import Bounds
from server.web.parsing import CLOSED, NOTHING, Fed, Message, Parser

SLICE_BYTES = 16 * 1024  # the parser gets no more at once, so that bounds are checked in between
FRAMING_MAX_BYTES = 16 * 1024  # of a body: sizes of its chunks, their extensions, trailers; 2,700 chunks at least
QUEUE_MAX_REQUESTS = 32  # aiohttp's own bound of the requests of one connection that wait for their handler

_LAST_CHUNK = b"0\r\n\r\n"


class Arriving:
    """Stands before the parser of a connection. It counts what is not handled yet, and stops reading what is too much.

    `abort` closes the connection at once. `read_on` calls feed_data again, without bytes.
    """

    def __init__(self, parser: Parser, bounds: Bounds, abort: Callable[[], None], read_on: Callable[[], None]) -> None:
        self._parser = parser
        self._budget, self._turns = bounds.arriving, bounds.turns
        self._abort = abort
        self._read_on_later = read_on
        self.requests = 0  # whose response is not complete; a refused one is among them
        self.is_broken = False  # nothing more is read from this connection
        self.is_refusal_due = False  # to be raised by the next call of feed_data, after the messages before it
        self._queued = 0  # requests whose handler has not begun
        self._head = heads.Head()
        self._last_body: StreamReader | None = None  # of the last request that began
        self._body: StreamReader | None = None  # the same, while it is not complete
        self._body_length: int | None = None  # None: it comes in chunks
        self._body_bytes = 0  # of its content that its reader has got
        self._body_given = 0  # bytes that the parser has got
        self._framing_bytes = 0
        self._is_discarded = False  # the response is complete, before the body
        self._failure: HttpProcessingError | None = None
        self._is_paused = False
        self._is_reading = False
        self._rest = b""  # that the parser has not got yet
        self._held = 0  # what the parser has got, in bytes of memory
        self._in_budget = 0

    def __getattr__(self, name: str) -> Any:
        """Everything else is the parser's own."""
        return getattr(self._parser, name)

    @property
    def is_handling(self) -> bool:
        """Whether requests are complete, and their responses are not."""
        return self.requests > 0 and self._body is None and not self.is_broken

    @property
    def is_last_response(self) -> bool:
        """Whether the response that is complete next is the last one before the connection closes."""
        return self.is_broken and self.requests <= 1

    def feed_data(self, data: bytes) -> Fed:
        """Read bytes as the parser does. Raises HttpProcessingError."""
        if (
            self.requests
            or self._body is not None
            or self._in_budget
            or self.is_broken
            or not heads.is_one(data)
            or len(data) > SLICE_BYTES
        ):
            return self._feed_bounded(data)
        # The usual case, written out: one head, all of it, and nothing before it.
        try:
            fed = self._parser.feed_data(data)
            messages = fed[0]
            if len(messages) == 1 and not fed[1] and messages[0][1].is_eof():
                self.requests = self._queued = 1
                return fed
            if fed[1]:
                messages = [*messages, *self._read_on(fed[2])]
            self._count(None, messages, data)
        except HttpProcessingError as failure:
            raise self._refusal(data, failure) from None
        self._hold()
        return messages, False, b""

    def _feed_bounded(self, data: bytes) -> Fed:
        if self.is_refusal_due:
            self.is_refusal_due = False
            assert self._failure is not None
            raise self._failure
        self._is_reading = True
        try:
            fed = self._feed_in_slices(data)
        finally:
            self._hold()
            self._is_reading = False
        return NOTHING if self._parser is CLOSED else fed  # it has given way itself

    def _feed_in_slices(self, data: bytes) -> Fed:
        data, self._rest = self._rest + data, b""
        messages: list[Message] = []
        begin = 0
        while begin < len(data) or not data:
            if not self._turns.has_time(len(data) - begin):
                self._turns.wait(self, self._read_on_later)
                break
            began = time.perf_counter()
            end = self._slice_end(data, begin)
            try:
                messages += self._feed(data[begin:end])
            except HttpProcessingError:
                if not messages:
                    raise
                self.is_refusal_due = True  # the parser would lose the messages before it
            finally:
                self._turns.spend(time.perf_counter() - began)
            begin = end
            is_full = self._queued >= QUEUE_MAX_REQUESTS or (self._is_paused and self._body is not None)
            if self.is_broken or is_full or not data:
                break
        if not self.is_broken:
            self._rest = data[begin:]
        return messages, False, b""

    def _slice_end(self, data: bytes, begin: int) -> int:
        """Where the parser stops next: at the end of a head or a body, so that a fault does not touch what is before.

        A chunked body may hold the bytes that end one; it is looked at once for each slice.
        """
        end = min(begin + SLICE_BYTES, len(data))
        if self._body is not None and self._body_length is not None:
            return min(end, begin + max(1, self._body_length - self._body_given))
        if self._body is not None:
            found = data.find(_LAST_CHUNK, begin, end)
            return found + len(_LAST_CHUNK) if found >= 0 else end
        return self._head.end(data, begin, end)

    def message_consumed(self) -> None:
        """The handler of a request begins."""
        self._queued -= 1
        self._parser.message_consumed()

    def pause_reading(self) -> None:
        """The reader of a body has enough for now: feed_data is called again, with no bytes, when it wants more."""
        self._is_paused = True
        self._parser.pause_reading()

    def forget_bytes(self) -> None:
        """Let the bytes of a refused head go: the traceback of its failure holds them until the response is written."""
        if self._failure is not None:
            self._failure = self._failure.with_traceback(None)

    def finish(self) -> None:
        """A response is complete."""
        if self.requests == 1 and not self._in_budget and self._body is None:
            self.requests = 0
            return
        self.requests = max(0, self.requests - 1)
        self._is_discarded = self._body is not None and not self.requests
        if self._in_budget:
            # Which bytes belong to which of several requests is unknown: each has an equal share.
            self._held = self._held * self.requests // (self.requests + 1) or self._head.size
            self._hold()

    def close(self) -> None:
        """The connection is closed. What holds each other is let go: the next garbage collection may be far away."""
        self.is_broken = True
        self._rest, self._held = b"", 0
        self._hold()
        self._turns.forget(self)
        self._parser, self._last_body, self._body = CLOSED, None, None
        self._abort = self._read_on_later = _do_nothing

    def give_way(self) -> None:
        """Stop the body of a request, which gets 503, or drop a client with an unfinished head or many requests."""
        if self._body is not None:
            self._break(Busy(), empties=not self._is_reading)
        elif self.requests != 1 or self._rest:  # after bytes that are lost, the next ones would be read as a request
            self._abort()
            self.close()  # not later: the event loop may read from a thousand others before it ends the connection
        elif self._last_body is not None and not self._last_body.at_eof():
            # Complete, and its handler has not read it. What a handler has read is checked: each field has a bound.
            if not self._is_reading:
                _empty(self._last_body)
            self._last_body.set_exception(Busy())
        self._rest, self._held = b"", 0
        self._hold()

    def _feed(self, data: bytes) -> Sequence[Message]:
        if self.is_broken:
            return ()
        body, self._is_paused = self._body, False
        try:
            messages = self._read(data)
            self._count(body, messages, data)
        except HttpProcessingError as failure:
            if body is None or body.is_eof():
                raise self._refusal(data, failure) from None
            # aiohttp would let the handler wait for the rest of the body.
            self._break(failure.with_traceback(None))  # which holds the bytes
            return ()
        return messages

    def _refusal(self, data: bytes, failure: HttpProcessingError) -> HttpProcessingError:
        """Read nothing more; return why the request is refused."""
        self.is_broken, self._failure = True, self._head.refusal(data, failure)
        self.requests += 1
        self._queued += 1
        return self._failure

    def _count(self, body: StreamReader | None, messages: Sequence[Message], data: bytes) -> None:
        """Count `data` that was read: `messages` began with it, `body` was not complete before."""
        size = len(data)
        if body is not None:
            self._count_body(body, size)
        elif not messages:
            self._head.add(data)
        if messages:
            self._begin(messages)
        is_waiting = self._body is not None or not messages or self.requests > 1
        if size and (is_waiting or self._held) and not self._is_discarded:
            self._held += heads.cost(data) if body is None else size

    def _read(self, data: bytes) -> Sequence[Message]:
        messages, is_upgraded, rest = self._parser.feed_data(data)
        return [*messages, *self._read_on(rest)] if is_upgraded else messages

    def _read_on(self, data: bytes) -> Sequence[Message]:
        """The messages after an upgrade, which the service never does: HTTP goes on (RFC 9110 §7.8)."""
        messages: list[Message] = []
        is_upgraded = True
        while is_upgraded:
            self._parser.set_upgraded(False)
            more, is_upgraded, data = self._parser.feed_data(data)
            messages += more
        return messages

    def _begin(self, messages: Sequence[Message]) -> None:
        self.requests += len(messages)
        self._queued += len(messages)
        self._head.clear()
        self._is_discarded = False
        head, body = messages[-1]
        self._last_body = body
        if not body.is_eof():
            self._body, self._body_bytes, self._body_given, self._framing_bytes = body, body.total_bytes, 0, 0
            length = None if head.chunked else head.headers.get(hdrs.CONTENT_LENGTH)
            self._body_length = int(length) if length else None

    def _count_body(self, body: StreamReader, size: int) -> None:
        """What is not content is framing."""
        self._framing_bytes += size - (body.total_bytes - self._body_bytes)
        self._body_bytes = body.total_bytes
        self._body_given += size
        if body.is_eof():
            self._body = None
        elif self._framing_bytes > FRAMING_MAX_BYTES + (SLICE_BYTES if self._is_paused else 0):
            # A parser that is paused may have content that it has not delivered.
            self._break(BadRequest("The request body has too many chunks, or extensions that are too long."))

    def _break(self, failure: Exception, *, empties: bool = False) -> None:
        """End the unfinished body with `failure`, which its reader gets, and read nothing more."""
        assert self._body is not None
        body, self._body = self._body, None
        self.is_broken = True
        if empties:  # not while its reader may be taking bytes: that is what lets the parser go on
            _empty(body)
        if self._is_discarded:
            self._abort()
        else:
            body.set_exception(failure)
        body.feed_eof()
        self._rest, self._held = b"", 0
        self._hold()

    def _hold(self) -> None:
        size = self._held + len(self._rest)
        if size != self._in_budget:
            self._in_budget = size
            self._budget.hold(self, size)


def _empty(body: StreamReader) -> None:
    """Let the bytes of a body go."""
    with contextlib.suppress(RuntimeError):  # a reader waits, so that it is empty
        body.read_nowait()


def _do_nothing() -> None: ...
