"""Bodies of responses that are sent piece by piece, each after the client has taken the one before (security 37)."""

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

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
        view = memoryview(self._content)
        for start in range(0, len(view), PIECE_BYTES):
            await writer.write(view[start : start + PIECE_BYTES])
            await writer.drain()

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """The body as text."""
        return self._content.decode(encoding, errors)


def body_of(content: bytes, *, is_shared: bool = False) -> bytes | Pieces:
    """`content` as the body of a response: in pieces if it is long."""
    return content if len(content) <= PIECE_BYTES else Pieces(content, is_shared=is_shared)
