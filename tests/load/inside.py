"""`python -m tests.load.inside`: the processor time of one request, without sockets, wrk or PostgreSQL.

Bytes go into the protocol and come out of it; rows are there in the next turn of the event loop. The result is in
microseconds per request. On a busy machine it varies less than a rate, and it shows the cost of a change in the code.

`python -m tests.load.inside counting`: what the metrics are of that, measured with them and without them in turn.
"""

import argparse
import asyncio
import contextlib
import functools
import statistics
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, cast

import uvloop
from aiohttp import web

from server.app import create_app
from server.auth.tokens import ACCESS, REFRESH
from server.database.batching import ReadBatcher
from server.database.database import Database
from server.process.http_server import make_runner, tune_garbage_collection
from server.settings.settings import Settings
from server.telemetry.instruments import Counter, Gauge, Histogram
from server.web.app_keys import DB, TOKENS

CONNECTIONS = 64
ROUNDS = 60  # requests on each connection in one measurement
MEASUREMENTS = 9
PAIRS, PAIR_ROUNDS = 150, 8  # many short pairs: another process of the machine disturbs both halves of a pair alike


class Record(dict[str, Any]):
    """A row by column name, as asyncpg has it; its first column, the key, is at index 0."""

    def __missing__(self, index: Any) -> Any:
        return next(iter(self.values()))


ROWS: dict[str, Callable[[Any], Any]] = {
    "sessions/identify": lambda key: (key, 1, "anna", "anna@example.com", False, None),
    "sessions/identify_refresh": lambda key: (key, 1, "anna", "anna@example.com", False, None, None, 0, None),
    "profiles/find": lambda key: Record(
        {"id": key, "user_id": 1, "user": "anna", "description": None, "location": "Lisbon"}
        | {"date_joined": None, "updated_on": None, "is_creator": True, "role": None, "fields": None}
    ),
}


class CountingTransport(asyncio.Transport):
    """A connection without a socket. It counts the responses."""

    def __init__(self) -> None:
        super().__init__()
        self.responses = 0

    def write(self, data: Any) -> None:
        self.responses += 1

    def is_closing(self) -> bool:
        return False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name in ("peername", "sockname") else default

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def close(self) -> None: ...


class FakeDatabase:
    """Takes the place of the database: batches reads, and answers in the next turn of the event loop."""

    def __init__(self) -> None:
        self._reads = {name: ReadBatcher(functools.partial(self._run, make)) for name, make in ROWS.items()}

    def find(self, name: str, key: Any) -> "asyncio.Future[Any]":
        return self._reads[name].ask(key)

    async def _run(self, make: Any, columns: Sequence[Sequence[Any]]) -> list[Any]:
        await asyncio.sleep(0)
        return [make(key) for key in columns[0]]


def requests(app: web.Application, kind: str) -> list[bytes]:
    """One request per connection, each with its own token."""
    made = []
    for _ in range(CONNECTIONS):
        token = app[TOKENS].issue(REFRESH if kind == "refresh" else ACCESS, 1, uuid.uuid4())
        body = f'{{"refresh": "{token}"}}' if kind == "refresh" else ""
        path = {"refresh": "auth/jwt/refresh/", "me": "auth/users/me/", "profile": "api/accounts/profile/1"}
        head = [f"{'POST' if body else 'GET'} /{path.get(kind, 'healthz')} HTTP/1.1", "Host: 127.0.0.1:8080"]
        head += [f"Content-Type: application/json\r\nContent-Length: {len(body)}"] if body else []
        head += [] if body else [f"Authorization: Bearer {token}"]
        made.append(("\r\n".join(head) + "\r\n\r\n" + body).encode())
    return made


@contextlib.contextmanager
def not_counting() -> Iterator[None]:
    """In the block, the metrics count nothing."""
    kept = Counter.add, Gauge.add, Histogram.observe
    Counter.add = Gauge.add = Histogram.observe = lambda *values, **by: None  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        Counter.add, Gauge.add, Histogram.observe = kept  # type: ignore[method-assign]


async def cost(
    kind: str, without: Callable[[], AbstractContextManager[None]] | None = None
) -> tuple[list[float], list[float]]:
    """Microseconds per request, measured several times; and after each time once more in the block of `without`."""
    app = create_app(Settings(database_url="postgresql:///nowhere", signing_key="k" * 32))
    app.cleanup_ctx.clear()
    app[DB] = cast(Database, FakeDatabase())
    running = make_runner(app)
    await running.setup()
    assert running.server is not None
    sent = requests(app, kind)
    connections: list[tuple[asyncio.Protocol, CountingTransport]] = []
    for _ in range(CONNECTIONS):
        protocol, transport = running.server(), CountingTransport()
        protocol.connection_made(transport)
        connections.append((protocol, transport))
    tune_garbage_collection()

    async def measure(count: int) -> float:
        began = time.process_time()
        for _ in range(count):
            wanted = connections[0][1].responses + 1
            for (protocol, _), request in zip(connections, sent, strict=True):
                protocol.data_received(request)
            while any(transport.responses < wanted for _, transport in connections):
                await asyncio.sleep(0)
        return (time.process_time() - began) / (count * CONNECTIONS) * 1e6

    await measure(ROUNDS)
    if without is None:
        return [await measure(ROUNDS) for _ in range(MEASUREMENTS)], []
    found: list[float] = []
    found_without: list[float] = []
    for _ in range(PAIRS):
        found.append(await measure(PAIR_ROUNDS))
        with without():
            found_without.append(await measure(PAIR_ROUNDS))
    return found, found_without


def main() -> int:
    """Print the cost of each kind of request. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.inside", description=__doc__.splitlines()[0])
    parser.add_argument("counting", nargs="?", choices=["counting"], help="what the metrics are of that")
    is_counting = parser.parse_args().counting is not None
    for kind in ("healthz", "me", "profile", "refresh"):
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
            found, without = loop.run(cost(kind, not_counting if is_counting else None))
        line = f"{kind:<8} {statistics.median(found):6.1f} µs (lowest {min(found):.1f})"
        if without:
            spent = statistics.median(a - b for a, b in zip(found, without, strict=True))
            line += f", of that the metrics {spent:.1f} (lowest {min(found) - min(without):.1f})"
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
