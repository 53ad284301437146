"""Connections that send exactly the bytes they are told to, and read only when they are told to."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

ANSWER_SECONDS = 10.0
CONNECT_SECONDS = 20.0


class Response(NamedTuple):
    """One response of a connection."""

    status: int
    headers: dict[str, str]
    body: bytes


class Answer(NamedTuple):
    """What came back on one connection, and whether the service closed it."""

    responses: list[Response]
    closed: bool
    rest: bytes = b""

    @property
    def statuses(self) -> list[int]:
        """The statuses of the responses."""
        return [each.status for each in self.responses]


def parse(raw: bytes) -> Iterator[Response]:
    """The responses in `raw`; what is left is no whole response."""
    while raw.startswith(b"HTTP/"):
        head, found, rest = raw.partition(b"\r\n\r\n")
        if not found:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        status = int(first.split()[1])
        length = 0 if status in (100, 204, 304) else int(headers.get("content-length", len(rest)))
        if len(rest) < length:
            return
        yield Response(status, headers, rest[:length])
        raw = rest[length:]


async def exchange(
    port: int, sent: bytes, *, half_close: bool = False, seconds: float = ANSWER_SECONDS, quiet: float = 1.0
) -> Answer:
    """Send bytes on a new connection and read until it is closed, or nothing has come for `quiet` seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 22)
    raw, closed = b"", False
    try:
        writer.write(sent)
        if half_close:
            writer.write_eof()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                wait = quiet if raw else seconds
                piece = await asyncio.wait_for(reader.read(1 << 16), min(wait, deadline - time.monotonic()))
            except TimeoutError:
                break
            if not piece:
                closed = True
                break
            raw += piece
    except ConnectionError:
        closed = True
    finally:
        writer.transport.abort()
    return Answer(list(parse(raw)), closed, raw)


def open_sockets(port: int, number: int, *, receive_bytes: int = 0) -> list[socket.socket]:
    """Open that many connections. `receive_bytes`: the size of their receive buffers, so that little is read ahead."""
    opened = []
    for _ in range(number):
        each = socket.socket()
        if receive_bytes:
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        each.settimeout(CONNECT_SECONDS)
        each.connect(("127.0.0.1", port))
        each.setblocking(False)
        opened.append(each)
    return opened


def push(sockets: Iterable[socket.socket], sent: bytes) -> int:
    """Send bytes on each connection without waiting: on how many that worked."""
    count = 0
    for each in sockets:
        with contextlib.suppress(OSError):
            count += each.send(sent) > 0
    return count


def drain(sockets: Iterable[socket.socket], number: int) -> int:
    """Read at most that many bytes from each connection without waiting: how many came."""
    count = 0
    for each in sockets:
        with contextlib.suppress(OSError):
            count += len(each.recv(number))
    return count


def close(sockets: Iterable[socket.socket]) -> None:
    """Close every connection."""
    for each in sockets:
        each.close()
