"""Connections without an HTTP client: bytes out, bytes in."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from server.web.connections import Bounds
from server.web.protocol import Protocol
from tests.conftest import Client

CHUNKED = (
    b"POST /auth/users/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def head(path: str, length: int, method: str = "POST") -> bytes:
    """The head of a request with a JSON body of `length` bytes."""
    return (
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


@asynccontextmanager
async def opened(client: Client, sent: bytes = b"") -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection with a small receive buffer that has sent `sent`; the test reads what it wants."""
    raw = socket.socket()
    raw.setblocking(False)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    await asyncio.get_running_loop().sock_connect(raw, (client.host, client.port))
    reader, writer = await asyncio.open_connection(sock=raw, limit=2**10)
    writer.write(sent)
    try:
        yield reader, writer
    finally:
        writer.close()


async def response_to(client: Client, sent: bytes, *, half_close: bool = False) -> tuple[int, bytes]:
    """Status and whole text of what comes until the service closes the connection."""
    async with asyncio.timeout(20), opened(client, sent) as (reader, writer):
        if half_close:
            writer.write_eof()
        text = await reader.read()
    return int(text.split(b" ", 2)[1]), text


def bounds_of(client: Client) -> Bounds:
    """What the connections of the service share."""
    assert client.server.runner is not None
    bounds: Bounds = client.server.runner.server.bounds  # type: ignore[union-attr]
    return bounds


def server_side(client: Client) -> list[Protocol]:
    """The open connections of the service."""
    assert client.server.runner is not None
    return client.server.runner.connections  # type: ignore[attr-defined, no-any-return]


async def until(condition: Callable[[], object]) -> None:
    """Wait until `condition` holds."""
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.sleep(0.002)
