"""A client that reads its response slowly or not at all: dropped after a while (security 37)."""

import asyncio
import contextlib
import fcntl
import logging
import struct
import termios

from aiohttp import web

log = logging.getLogger(__name__)

STALL_SECONDS = 30.0
STALL_MIN_BYTES = 7_200  # that it must take in this time while it has more to take: 240 bytes a second


def unsent_bytes(transport: asyncio.Transport) -> int:
    """What the client has not confirmed yet, in the buffers of this process and of the kernel.

    The kernel takes more only when a third of its buffer is free: without it a client with 1 kB a second looks stuck.
    """
    unsent = transport.get_write_buffer_size()
    kernel_socket = transport.get_extra_info("socket")
    if kernel_socket is not None:
        with contextlib.suppress(OSError):
            raw = fcntl.ioctl(kernel_socket.fileno(), termios.TIOCOUTQ, bytes(4))
            unsent += struct.unpack("i", raw)[0]
    return unsent


async def has_taken(request: web.BaseRequest) -> bool:
    """Wait until the client has taken what was written: whether it has."""
    try:
        await request.writer.drain()
    except ConnectionError:
        return False
    return True


class ReaderWatch:
    """Looks every STALL_SECONDS whether a client takes enough of what waits for it; closes its connection if not."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None

    @property
    def is_on(self) -> bool:
        """Whether something waits for the client."""
        return self._timer is not None

    def begin(self, transport: asyncio.Transport) -> None:
        """Something waits for the client."""
        self.end()
        self._timer = self._loop.call_later(STALL_SECONDS, self._look, transport, unsent_bytes(transport))

    def end(self) -> None:
        """Nothing does."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self, transport: asyncio.Transport, before: int) -> None:
        left = unsent_bytes(transport)
        if left + STALL_MIN_BYTES <= before:
            self._timer = self._loop.call_later(STALL_SECONDS, self._look, transport, left)
        else:
            log.info("dropped a client that read %d bytes in %.0f seconds", before - left, STALL_SECONDS)
            transport.abort()
