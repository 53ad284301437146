"""Statements in tests of batching: they return rows when the test says so."""

import asyncio
from collections.abc import Sequence
from typing import Any

from server.database.batching import Batcher


class Statement:
    """A statement that keeps the batches it receives until the test answers them."""

    def __init__(self) -> None:
        self.batches: list[tuple[list[Any], asyncio.Future[Any]]] = []

    async def run(self, columns: Sequence[Sequence[Any]]) -> Any:
        answer = asyncio.get_running_loop().create_future()
        self.batches.append((list(columns[0]), answer))
        return await answer

    async def received(self, number: int) -> list[Any]:
        """Wait until batch `number` was sent (the first is 1); its keys."""
        async with asyncio.timeout(10):
            while len(self.batches) < number:
                await asyncio.sleep(0)
        return self.batches[number - 1][0]

    def answer(self, number: int, leaving_out: Sequence[Any] = ()) -> None:
        """Answer batch `number` with a row for each key, except for those in `leaving_out`."""
        keys, answer = self.batches[number - 1]
        answer.set_result([(key, f"{key}@{number}") for key in keys if key not in leaving_out])

    def fail(self, number: int, failure: Exception) -> None:
        """Let batch `number` fail."""
        self.batches[number - 1][1].set_exception(failure)


class LockedRows:
    """Rows that run alone, and are answered when the test sets `unlocked`."""

    def __init__(self) -> None:
        self.sent: list[Sequence[Any]] = []
        self.unlocked = asyncio.Event()

    async def run(self, arguments: Sequence[Any]) -> Any:
        self.sent.append(arguments)
        await self.unlocked.wait()
        return (arguments[0], "alone")


async def no_row(arguments: Sequence[Any]) -> Any:
    """A row that runs alone and is not there."""
    return


async def turns(count: int = 10) -> None:
    """Let the event loop make `count` turns."""
    for _ in range(count):
        await asyncio.sleep(0)


async def ask(batcher: Batcher, *arguments: Any) -> Any:
    """One call."""
    return await batcher.ask(*arguments)


def asking(batcher: Batcher, *keys: Any) -> list[asyncio.Task[Any]]:
    """One caller for each key, each in a task."""
    return [asyncio.create_task(ask(batcher, key, f"given {key}")) for key in keys]
