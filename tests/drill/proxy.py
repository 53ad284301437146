"""A TCP proxy in front of PostgreSQL's socket whose connections can be cut, slowed or left without an answer."""

import asyncio
import contextlib
from pathlib import Path
from typing import Self

CHUNK_BYTES = 65_536


class Proxy:
    """Listens on a free port of 127.0.0.1 and forwards to a Unix socket. Use it as a context."""

    def __init__(self, socket_path: Path) -> None:
        self._socket_path = str(socket_path)
        self._pipes: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.delay = 0.0
        """Seconds by which each piece of data is late, in both directions."""
        self._passes = asyncio.Event()
        self._passes.set()
        self._refuses = False

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *failure: object) -> None:
        self._server.close()
        self.reset()
        for each in list(self._pipes):
            each.cancel()

    def reset(self) -> None:
        """Reset every connection that is open now."""
        for each in list(self._writers):
            each.transport.abort()

    def cut(self) -> None:
        """Reset every connection, and each new one, until `heal`."""
        self._refuses = True
        self.reset()

    def swallow(self) -> None:
        """Pass nothing on, and close nothing, until `heal`: as a network that loses every packet."""
        self._passes.clear()

    def heal(self) -> None:
        """Be a good network again."""
        self._refuses, self.delay = False, 0.0
        self._passes.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refuses:
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_unix_connection(self._socket_path)
        except OSError:
            writer.transport.abort()
            return
        for source, target in ((reader, back), (there, writer)):
            self._writers.add(target)
            task = asyncio.create_task(self._forward(source, target))
            self._pipes.add(task)
            task.add_done_callback(self._pipes.discard)

    async def _forward(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, OSError):
            while data := await source.read(CHUNK_BYTES):
                if self.delay:
                    await asyncio.sleep(self.delay)
                await self._passes.wait()
                target.write(data)
                await target.drain()
        self._writers.discard(target)
        target.close()
