"""As much of PostgreSQL's protocol as starting a server needs: the truth about it is what it answers on its socket."""

import contextlib
import socket
import struct
from pathlib import Path

SOCKET = ".s.PGSQL.5432"
PASSING = ("57P", "53300")  # it starts, stops or was killed; all connections are taken


class RefusedError(Exception):
    """The server answered with an error that waiting does not mend."""


def ask(socket_dir: Path, statement: str, limit: float = 5.0) -> list[str]:
    """One statement as the superuser `postgres`: the columns of its first row as text. Raises RefusedError, OSError."""
    with socket.socket(socket.AF_UNIX) as line, line.makefile("rb") as answers:
        line.settimeout(limit)
        try:
            line.connect(str(socket_dir / SOCKET))
        except FileNotFoundError as error:
            raise ConnectionRefusedError("there is no socket") from error
        start = struct.pack("!i", 196608) + b"user\0postgres\0database\0postgres\0\0"
        line.sendall(struct.pack("!i", len(start) + 4) + start)
        row: list[str] = []
        asked = False
        while len(head := answers.read(5)) == 5:
            body = answers.read(struct.unpack("!xi", head)[0] - 4)
            if head[:1] == b"E":
                fields = {part[:1]: part[1:].decode(errors="replace") for part in body.split(b"\0") if part}
                passing = fields.get(b"C", "").startswith(PASSING)
                raise (ConnectionRefusedError if passing else RefusedError)(fields.get(b"M", ""))
            if head[:1] == b"D":
                row = row or _columns(body)
            if head[:1] == b"Z" and asked:
                line.sendall(b"X\0\0\0\4")
                return row
            if head[:1] == b"Z":
                query = statement.encode() + b"\0"
                line.sendall(b"Q" + struct.pack("!i", len(query) + 4) + query)
                asked = True
    raise ConnectionResetError("the server closed the connection")


def peer(socket_dir: Path, port: int = 5432) -> int | None:
    """The pid of the process that listens on a socket, as the kernel tells it; None without one, or where it cannot."""
    with contextlib.suppress(OSError, AttributeError), socket.socket(socket.AF_UNIX) as line:
        line.settimeout(2)
        line.connect(str(socket_dir / f".s.PGSQL.{port}"))
        pid, _, _ = struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))  # not on macOS
        return int(pid) if pid > 1 else None
    return None


def _columns(body: bytes) -> list[str]:
    columns, at = [], 2
    for _ in range(struct.unpack("!h", body[:2])[0]):
        size = struct.unpack("!i", body[at : at + 4])[0]
        columns.append(body[at + 4 : at + 4 + max(size, 0)].decode())
        at += 4 + max(size, 0)
    return columns
