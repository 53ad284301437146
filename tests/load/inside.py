"""`python -m tests.load.inside`: what a request costs this process alone, without sockets, wrk or PostgreSQL.

Bytes go into the protocol and come out of it; rows are there at the next turn of the event loop. Microseconds of the
processor for each request: steadier on a busy machine than any rate, and the place to see what a line of ours costs.
"""

import asyncio
import functools
import statistics
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

import uvloop
from aiohttp import web

from server.app import create_app
from server.auth.tokens import ACCESS, REFRESH
from server.database.batching import ReadBatcher
from server.process.http_server import make_runner, tune_garbage_collection
from server.settings.settings import Settings
from server.web.app_keys import DB, TOKENS

CONNECTIONS = 64
ROUNDS = 60  # requests of each connection in a measurement
MEASUREMENTS = 9


class Record(dict[str, Any]):
    """A row by name, as asyncpg's is, with its first column, the key, at place 0."""

    def __missing__(self, place: Any) -> Any:
        return next(iter(self.values()))


ROWS: dict[str, Callable[[Any], Any]] = {
    "sessions/identify": lambda key: (key, 1, "anna", "anna@example.com", False, None),
    "profiles/find": lambda key: Record(
        {"id": key, "user_id": 1, "user": "anna", "description": None, "location": "Lisbon"}
        | {"date_joined": None, "updated_on": None, "is_creator": True, "role": None, "fields": None}
    ),
}


class Wire(asyncio.Transport):
    """A connection that goes nowhere and counts the answers."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = 0

    def write(self, data: Any) -> None:
        self.answers += 1

    def is_closing(self) -> bool:
        return False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name in ("peername", "sockname") else default

    def close(self) -> None: ...


class Rows:
    """Stands where the database stands: callers share a statement, which takes a turn of the loop."""

    def __init__(self) -> None:
        self._reads = {name: ReadBatcher(functools.partial(self._run, make)) for name, make in ROWS.items()}

    def find(self, name: str, key: Any) -> "asyncio.Future[Any]":
        return self._reads[name].ask(key)

    async def _run(self, make: Any, columns: Sequence[Sequence[Any]]) -> list[Any]:
        await asyncio.sleep(0)
        return [make(key) for key in columns[0]]


def requests(app: web.Application, kind: str) -> list[bytes]:
    """One request for each connection, each with a token of its own."""
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


async def cost(kind: str) -> list[float]:
    """Microseconds for each request, measured several times."""
    app = create_app(Settings(database_url="postgresql:///nowhere", signing_key="k" * 32))
    app.cleanup_ctx.clear()
    app[DB] = Rows()  # type: ignore[assignment]
    running = make_runner(app)
    await running.setup()
    assert running.server is not None
    sent, lines = requests(app, kind), []
    for _ in range(CONNECTIONS):
        protocol, wire = running.server(), Wire()
        protocol.connection_made(wire)
        lines.append((protocol, wire))
    tune_garbage_collection()

    async def once(count: int) -> float:
        began = time.process_time()
        for _ in range(count):
            wanted = lines[0][1].answers + 1
            for (protocol, _), request in zip(lines, sent, strict=True):
                protocol.data_received(request)
            while any(wire.answers < wanted for _, wire in lines):
                await asyncio.sleep(0)
        return (time.process_time() - began) / (count * CONNECTIONS) * 1e6

    await once(ROUNDS)
    return [await once(ROUNDS) for _ in range(MEASUREMENTS)]


def main() -> int:
    """Print the cost of each kind of request."""
    for kind in ("healthz", "me", "profile", "refresh"):
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
            found = loop.run(cost(kind))
        print(f"{kind:<8} {statistics.median(found):6.1f} µs (least {min(found):.1f})", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
