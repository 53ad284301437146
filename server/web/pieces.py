"""Bodies of responses that are sent piece by piece, each after the client has taken the one before (security 37)."""

import logging
from collections.abc import AsyncIterator

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

from server.errors import Problem

log = logging.getLogger(__name__)

PIECE_BYTES = 64 * 1024


class Pieces(Payload):
    """A long body. `is_shared`: all clients get the same bytes, which are in memory anyway.

    Written at once, a body that the client does not read is in memory a second time.
    """

    def __init__(self, content: bytes, *, is_shared: bool = False) -> None:
        super().__init__(content)
        self._content = content
        self.own_bytes = 0 if is_shared else len(content)

    @property
    def size(self) -> int:
        """The length in bytes."""
        return len(self._content)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write all pieces."""
        await _write(writer, self._content)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """The body as text."""
        return self._content.decode(encoding, errors)


class Streamed(Payload):
    """A body that is made while it is sent: the client's reading decides when the next part is made."""

    def __init__(self, parts: AsyncIterator[bytes]) -> None:
        super().__init__(parts)
        self._parts = parts
        self.own_bytes = 0  # of the part that is being sent

    @property
    def size(self) -> None:
        """The length is not known: the body is chunked (RFC 9112 §7.1)."""
        return None

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write all parts. A failure cuts the connection: without its last chunk the body is known to be incomplete."""
        try:
            async for part in self._parts:
                self.own_bytes = len(part)
                await _write(writer, part)
        except Problem as failure:
            log.info("a response was cut off while it was sent: %s", failure.detail)
            raise ConnectionResetError("the response was cut off") from failure

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """There is no text before it is sent. Raises TypeError."""
        raise TypeError("a streamed body has no text")


async def _write(writer: AbstractStreamWriter, content: bytes) -> None:
    view = memoryview(content)
    for start in range(0, len(view), PIECE_BYTES):
        await writer.write(view[start : start + PIECE_BYTES])
        await writer.drain()


def body_of(content: bytes, *, is_shared: bool = False) -> bytes | Pieces:
    """`content` as the body of a response: in pieces if it is long."""
    return content if len(content) <= PIECE_BYTES else Pieces(content, is_shared=is_shared)
