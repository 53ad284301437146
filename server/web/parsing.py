"""aiohttp's parser of requests, as far as `arriving.py` uses it."""

from collections.abc import Sequence
from typing import Any, Protocol

from aiohttp import StreamReader

Message = tuple[Any, StreamReader]
Fed = tuple[Sequence[Message], bool, bytes]
"""What a parser returns: messages, whether the connection was upgraded, and the bytes after that."""

NOTHING: Fed = ((), False, b"")


class Parser(Protocol):
    """The parser of one connection."""

    def feed_data(self, data: bytes) -> Fed:
        """Read bytes. Raises HttpProcessingError."""

    def pause_reading(self) -> None:
        """Stop within the bytes that are being read."""

    def message_consumed(self) -> None:
        """Know that the handler of a message begins."""

    def set_upgraded(self, val: bool) -> None:
        """Know whether what follows is another protocol."""


class Closed:
    """The parser of a closed connection, which reads nothing."""

    def feed_data(self, data: bytes) -> Fed:
        """Read nothing."""
        return NOTHING

    def pause_reading(self) -> None:
        """Do nothing."""

    def message_consumed(self) -> None:
        """Do nothing."""

    def set_upgraded(self, val: bool) -> None:
        """Do nothing."""


CLOSED = Closed()
