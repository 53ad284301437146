"""A client with many idle connections: it sends one request on each, and keeps them open until its input ends.

`python -m tests.load.held BASE FILE NUMBER` prints `HELD n` when all are open, and `ALIVE n` at the end.
"""

import asyncio
import re
import resource
import sys
from pathlib import Path
from urllib.parse import urlsplit

from tests.load.drivers import read_requests

OPENING_AT_ONCE = 100  # fewer than fit into any listen queue


class IdleConnections:
    """The open connections on which a request succeeded."""

    def __init__(self, base: str, requests: list[bytes]) -> None:
        self._target = urlsplit(base)
        self._requests = requests
        self._slots = asyncio.Semaphore(OPENING_AT_ONCE)
        self._open: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def open(self, number: int) -> int:
        """Open that many connections. Returns how many requests succeeded."""
        await asyncio.gather(*(self._one(at) for at in range(number)))
        return len(self._open)

    def alive(self) -> int:
        """How many connections the server has not closed."""
        return sum(not reader.at_eof() and not writer.is_closing() for reader, writer in self._open)

    async def _one(self, at: int) -> None:
        async with self._slots:
            reader, writer = await asyncio.open_connection(self._target.hostname, self._target.port)
            writer.write(self._requests[at % len(self._requests)])
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            await reader.readexactly(int(length[1]) if length else 0)
            if head.split(b" ", 2)[1] == b"200":
                self._open.append((reader, writer))


async def main(base: str, file: str, number: str) -> None:
    """Open the connections, wait for the end of the input, count those that are still open."""
    connections = IdleConnections(base, read_requests(Path(file)))
    print(f"HELD {await connections.open(int(number))}", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    print(f"ALIVE {connections.alive()}", flush=True)


if __name__ == "__main__":
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))
    asyncio.run(main(*sys.argv[1:]))
