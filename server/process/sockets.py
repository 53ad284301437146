"""Sockets for processes that serve one port together: one for each, all open in the process that starts them.

The kernel spreads new connections evenly over sockets that share a port (SO_REUSEPORT); one socket that all accept from
gave one of two workers 63 of 64 connections. What waits in a socket is lost when its last holder closes it, so the
holder that stays is the one that starts the others.
"""

import socket
import sys
from collections.abc import Iterable, Sequence

BALANCED = sys.platform == "linux"  # elsewhere the last socket would get every connection


def bind(host: str, port: int, count: int) -> list[list[socket.socket]]:
    """`count` times one socket for each address of `host`; they do not listen yet. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sets: list[list[socket.socket]] = [[] for _ in range(count)]
    for family, address in dict.fromkeys((each[0], each[4]) for each in found):
        # Sockets that share would let a second service in beside the first: one that does not asks whether it is free.
        with _bound(family, (address[0], port, *address[2:])) as first:
            port = first.getsockname()[1]
            shared = None if BALANCED else first.dup()
        for each in sets:
            each.append(shared.dup() if shared else _bound(family, (address[0], port, *address[2:]), shares=True))
        if shared:
            shared.close()
    return sets


def _bound(family: int, address: Sequence[object], *, shares: bool = False) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shares:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(tuple(address))
    except BaseException:
        made.close()
        raise
    return made


def close(sockets: Iterable[socket.socket]) -> None:
    """Close all of them."""
    for each in sockets:
        each.close()
