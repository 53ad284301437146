"""What arrives on one connection: bounded before and after aiohttp's parser has read it (security 38, 40).

aiohttp bounds one header and the number of headers, but not the head as a whole; and neither the number of chunks nor
the length of their extensions.
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from aiohttp import StreamReader
from aiohttp.http_exceptions import HttpProcessingError

from server.errors import BadRequest, Busy, Problem
from server.web.bounds import Budget
from server.web.refusals import VersionNotSupported

SLICE_BYTES = 16 * 1024  # the parser gets no more at once, so that bounds are checked in between
HEAD_MAX_BYTES = 32 * 1024
FRAMING_MAX_BYTES = 16 * 1024  # of a body: sizes of its chunks, their extensions, trailers; 2,700 chunks at least

Message = tuple[Any, StreamReader]
Fed = tuple[Sequence[Message], bool, bytes]
"""What a parser returns: messages, whether the connection was upgraded, and the bytes after that."""

_OTHER_VERSIONS = (b" HTTP/0.9", b" HTTP/2.0")
_NOTHING: Fed = ((), False, b"")


class Parser(Protocol):
    """The part of aiohttp's parser that is used here."""

    def feed_data(self, data: bytes) -> Fed:
        """Read bytes. Raises HttpProcessingError."""

    def pause_reading(self) -> None:
        """Stop within the bytes that are being read."""

    def set_upgraded(self, val: bool) -> None:
        """Say whether what follows is another protocol."""


class Refused(HttpProcessingError):
    """The head of a request is refused; `problem` is the response."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(code=problem.status, message=problem.detail)
        self.problem = problem


class Arriving:
    """Stands before the parser of a connection. It counts what is not handled yet, and stops reading what is too much.

    `abort` closes the connection at once.
    """

    def __init__(self, parser: Parser, budget: Budget, abort: Callable[[], None]) -> None:
        self._parser = parser
        self._budget = budget
        self._abort = abort
        self.requests = 0  # whose response is not complete
        self.is_broken = False  # nothing more is read from this connection
        self._head_bytes = 0
        self._body: StreamReader | None = None  # the one that is not complete
        self._body_bytes = 0
        self._framing_bytes = 0
        self._is_discarded = False  # the response is complete, before the body
        self._failure: HttpProcessingError | None = None
        self._is_paused = False
        self._is_reading = False
        self._rest = b""  # that the parser has not got yet
        self._held = 0  # bytes of what the parser has got
        self._in_budget = 0

    def __getattr__(self, name: str) -> Any:
        """Everything else is the parser's own."""
        return getattr(self._parser, name)

    @property
    def is_handling(self) -> bool:
        """Whether requests are complete, and their responses are not."""
        return self.requests > 0 and self._body is None and not self.is_broken

    def feed_data(self, data: bytes) -> Fed:
        """Read bytes as the parser does. Raises HttpProcessingError."""
        if self.requests or self._body is not None or self._in_budget or self.is_broken or len(data) > SLICE_BYTES:
            return self._feed_bounded(data)
        # The usual case, written out: one whole request, and nothing before it.
        try:
            fed = self._parser.feed_data(data)
        except HttpProcessingError as failure:
            self.is_broken, self._failure = True, self._reason(data, failure)
            raise self._failure from None
        messages = fed[0]
        if len(messages) == 1 and not fed[1] and messages[0][1].is_eof():
            self.requests = 1
            return fed
        if fed[1]:
            messages = [*messages, *self._read_on(fed[2])]
        self._count(None, messages, len(data))
        return messages, False, b""

    def _feed_bounded(self, data: bytes) -> Fed:
        self._is_reading = True
        try:
            return self._feed_in_slices(data) if self._rest or len(data) > SLICE_BYTES else self._feed(data)
        finally:
            self._is_reading = False

    def _feed_in_slices(self, data: bytes) -> Fed:
        if self._rest:
            data, self._rest = self._rest + data, b""
            self._hold(self._held)
        messages: list[Message] = []
        for end in range(SLICE_BYTES, len(data) + SLICE_BYTES, SLICE_BYTES):
            messages += self._feed(data[end - SLICE_BYTES : end])[0]
            if self._is_paused and self._body is not None:
                self._rest = data[end:]
                self._hold(self._held)
                break
        return messages, False, b""

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
        if self._in_budget:
            # Which bytes belong to which of several requests is unknown: each has an equal share.
            self._hold(self._held * self.requests // (self.requests + 1) if self.requests else self._head_bytes)
        self._is_discarded = self._body is not None and not self.requests

    def close(self) -> None:
        """The connection is closed."""
        self._rest = b""
        self._hold(0)

    def give_way(self) -> bool:
        """Stop an unfinished body, whose request gets 503, or drop a client with an unfinished head or many requests.

        False for one request that is complete: it is being handled, and that has bounds of its own.
        """
        if self._body is not None:
            self._break(Busy(), empties=not self._is_reading)
        elif self.requests != 1:
            self.is_broken = True
            self._abort()
        return self.is_broken

    def _feed(self, data: bytes) -> Fed:
        if self.is_broken:
            return _NOTHING
        body, size, self._is_paused = self._body, len(data), False
        try:
            messages = self._read(data)
        except HttpProcessingError as failure:
            if body is None or body.is_eof():
                self.is_broken, self._failure = True, self._reason(data, failure)
                raise self._failure from None
            # aiohttp would let the handler wait for the rest of the body.
            self._break(failure.with_traceback(None))  # which holds the bytes
            return _NOTHING
        self._count(body, messages, size)
        return messages, False, b""

    def _reason(self, data: bytes, failure: HttpProcessingError) -> HttpProcessingError:
        """Why a request is refused: the parser takes these versions, and then trips over what follows the request."""
        is_other_version = not self._head_bytes and data.partition(b"\r\n")[0].endswith(_OTHER_VERSIONS)
        return Refused(VersionNotSupported()) if is_other_version else failure

    def _count(self, body: StreamReader | None, messages: Sequence[Message], size: int) -> None:
        """Count `size` bytes that were read: `messages` began with them, `body` was not complete before."""
        if body is not None:
            self._count_body(body, size)
        elif not messages:
            self._count_head(size)
        if messages:
            self._begin(messages)
        is_waiting = self._body is not None or not messages or self.requests > 1
        if size and (is_waiting or self._held) and not self._is_discarded:
            self._hold(self._held + size)

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
        self._head_bytes = 0
        self._is_discarded = False
        body = messages[-1][1]
        if not body.is_eof():
            self._body, self._body_bytes, self._framing_bytes = body, body.total_bytes, 0

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes >= HEAD_MAX_BYTES:
            self.is_broken, self._failure = True, Refused(BadRequest("The head of the request is too large."))
            raise self._failure

    def _count_body(self, body: StreamReader, size: int) -> None:
        """What is not content is framing."""
        self._framing_bytes += size - (body.total_bytes - self._body_bytes)
        self._body_bytes = body.total_bytes
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
            with contextlib.suppress(RuntimeError):  # a reader waits, so that it is empty
                body.read_nowait()
        if self._is_discarded:
            self._abort()
        else:
            body.set_exception(failure)
        body.feed_eof()
        self._rest = b""
        self._hold(0)

    def _hold(self, size: int) -> None:
        self._held = size
        if size + len(self._rest) != self._in_budget:
            self._in_budget = size + len(self._rest)
            self._budget.hold(self, self._in_budget)
