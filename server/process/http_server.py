"""The HTTP server of one process: it listens, and it stops without cutting a request."""

import asyncio
import gc
import time
from typing import Any

from aiohttp import web

from server.web.app_keys import STOPPING
from server.web.connections import USUAL_MAX_CONNECTIONS
from server.web.protocol import Runner

STOP_SECONDS = 8.0  # for requests in progress, bodies that still arrive included; docker kills after 10
LEAVE_SECONDS = 1.0  # of these, kept-alive connections may send one more request; its response says "close"
CUT_SECONDS = 0.1  # for what is cancelled after that
BACKLOG = 4096  # connections that the kernel accepts before the process does; Linux allows no more by default
HANDLES = 16  # of one listening socket: libuv accepts one connection of each in a turn (docs/decisions/accepting.md)
READ_BUFFER_BYTES = 32 * 1024  # of a body that no handler reads yet; from twice as much on nothing more is read
KEEPALIVE_SECONDS = 75.0  # also the longest time that the headers of a first request may take


class CannotListen(Exception):
    """The port cannot be opened; the text says which and why."""


def make_runner(app: web.Application, max_connections: int = USUAL_MAX_CONNECTIONS) -> Runner:
    """The server of `app`, with that many open connections at most."""
    return Runner(
        app,
        max_connections=max_connections,
        access_log=None,
        shutdown_timeout=CUT_SECONDS,
        keepalive_timeout=KEEPALIVE_SECONDS,
        read_bufsize=READ_BUFFER_BYTES,
        auto_decompress=False,  # aiohttp would decompress a gigabyte that no endpoint reads
    )


def tune_garbage_collection() -> None:
    """Exempt the objects of the start from garbage collection, and collect the rest less often.

    Full collections of the start's objects stopped the process for 40 ms. A collection for every 700 new objects took a
    tenth of the time of a short request, and found almost nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 50)


def url_of(address: tuple[Any, ...]) -> str:
    """The URL of a socket's address."""
    host, port = address[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


async def stop(runner: Runner, at_once: asyncio.Event) -> None:
    """Accept no new connection, announce in responses that the connection closes, finish the requests in progress.

    That may take STOP_SECONDS, or less when `at_once` is set. Bytes that arrive until then are read.
    """
    for site in list(runner.sites):
        await site.stop()
    runner.app[STOPPING].set()
    began = time.monotonic()
    while runner.connections and not at_once.is_set() and time.monotonic() < began + STOP_SECONDS:
        if time.monotonic() >= began + LEAVE_SECONDS:
            for connection in runner.connections:
                connection.leave()
        await asyncio.sleep(0.01)  # aiohttp has no event for the end of a connection
    await runner.cleanup()
