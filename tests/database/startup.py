"""A server that reads what a client sends first, and then refuses it: to see what both libraries ask for."""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

SSL_REQUEST = 80877103
GSS_REQUEST = 80877104
REFUSAL = b"SFATAL\0VFATAL\0C28000\0Mrefused by the test\0\0"


@dataclass
class Startups:
    """What the clients sent: each the parameters of a session, with `tls`: none, or the name in its certificate."""

    port: int
    seen: list[dict[str, str]] = field(default_factory=list)


@contextlib.contextmanager
def startups(context: ssl.SSLContext | None = None) -> Iterator[Startups]:
    """Listen on a free port of 127.0.0.1 during the block, with TLS if there is a context."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        found = Startups(listening.getsockname()[1])

        def serve() -> None:
            with contextlib.suppress(OSError):  # the block has ended
                while True:
                    connection, _ = listening.accept()
                    with contextlib.suppress(OSError, struct.error):
                        _refuse(connection, context, found.seen)

        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        yield found
        listening.shutdown(socket.SHUT_RDWR)
    serving.join(timeout=10)


def _refuse(connection: socket.socket, context: ssl.SSLContext | None, seen: list[dict[str, str]]) -> None:
    tls = "none"
    connection.settimeout(10)
    try:
        while (message := _read(connection))[0] in (SSL_REQUEST, GSS_REQUEST):
            if message[0] == GSS_REQUEST or context is None:
                connection.sendall(b"N")
            else:
                connection.sendall(b"S")
                connection = context.wrap_socket(connection, server_side=True)
                tls = _name_in(connection.getpeercert())
        words = message[1].split(b"\0")
        seen.append({"tls": tls} | {k.decode(): v.decode() for k, v in zip(words[::2], words[1::2], strict=False) if k})
        connection.sendall(b"E" + struct.pack("!i", len(REFUSAL) + 4) + REFUSAL)
    finally:
        connection.close()


def _name_in(certificate: Any) -> str:
    names = dict(pair[0] for pair in (certificate or {}).get("subject", ()))
    return str(names.get("commonName", "without a certificate"))


def _read(connection: socket.socket) -> tuple[int, bytes]:
    length, code = struct.unpack("!ii", _exactly(connection, 8))
    return code, _exactly(connection, length - 8)


def _exactly(connection: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        part = connection.recv(count - len(received))
        if not part:
            raise ConnectionError("the client is gone")
        received += part
    return received
