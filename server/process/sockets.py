"""Sockets for workers that serve one port: one set for each worker, all opened by the supervisor.

The kernel spreads new connections evenly over sockets that share a port (SO_REUSEPORT). With one socket for all, one of
two workers accepted 63 of 64 connections. When the last process closes a socket, the connections that wait in it are
lost. So the supervisor keeps all sockets open while workers are replaced.
"""

import socket
import sys
from collections.abc import Iterable, Sequence

BALANCED = sys.platform == "linux"  # on other systems the last socket would get every connection


def bind(host: str, port: int, count: int) -> list[list[socket.socket]]:
    """Return `count` lists with one bound socket for each address of `host`. They do not listen yet. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    lists: list[list[socket.socket]] = [[] for _ in range(count)]
    for family, address in dict.fromkeys((each[0], each[4]) for each in found):
        # Sockets with SO_REUSEPORT would also share the port with a second service. The first one is bound without it,
        # which fails if the port is in use.
        with _bound(family, (address[0], port, *address[2:])) as first:
            port = first.getsockname()[1]
            shared = None if BALANCED and count > 1 else first.dup()
        for each in lists:
            each.append(shared.dup() if shared else _bound(family, (address[0], port, *address[2:]), shares=True))
        if shared:
            shared.close()
    return lists


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
