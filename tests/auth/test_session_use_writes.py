"""How the notes of use are written: each once, many at once, and not more often than once a minute (security 18)."""

import asyncio
import random
from collections.abc import Callable
from typing import Any, cast
from uuid import UUID

import pytest

from server.auth import session_uses
from server.auth.session_uses import SessionUses
from server.database.database import Database
from server.errors import Unavailable
from server.settings.settings import Settings


class FakeDatabase:
    """Takes the place of the database: keeps the ids of each statement, and fails when `failing` says so."""

    def __init__(self, failing: Callable[[int], Exception | None] = lambda number: None) -> None:
        self.written: list[list[int]] = []
        self.statements = 0
        self._failing = failing

    async def rows(self, name: str, session_ids: list[UUID], *more: Any) -> list[Any]:
        self.statements += 1
        if failure := self._failing(self.statements):
            raise failure
        self.written.append([each.int for each in session_ids])
        return []


def as_database(fake: FakeDatabase) -> Database:
    return cast(Database, fake)


@pytest.fixture
def uses(monkeypatch: pytest.MonkeyPatch) -> SessionUses:
    """Notes of use that are written two at once, without a pause before the first write."""
    monkeypatch.setattr(session_uses, "WRITE_ROWS", 2)
    monkeypatch.setattr(random, "random", lambda: 0.0)
    return SessionUses(Settings())


def note(uses: SessionUses, *numbers: int) -> None:
    for number in numbers:
        uses.note(UUID(int=number), 1)


async def test_a_note_is_written_once(uses: SessionUses) -> None:
    database = FakeDatabase()
    note(uses, 1, 2, 3, 1)
    await uses.write(as_database(database))
    await uses.write(as_database(database))
    assert database.written == [[1, 2], [3]]


async def test_after_a_failure_only_what_was_not_written_is_written_again(uses: SessionUses) -> None:
    database = FakeDatabase(lambda number: Unavailable() if number == 2 else None)
    note(uses, 1, 2, 3, 4)
    with pytest.raises(Unavailable):
        await uses.write(as_database(database))
    note(uses, 5)
    await uses.write(as_database(database))
    assert database.written == [[1, 2], [3, 4], [5]]


async def test_a_write_that_is_cancelled_forgets_nothing(uses: SessionUses) -> None:
    note(uses, 1)
    interrupted = FakeDatabase(lambda number: cast(Exception, asyncio.CancelledError()))
    with pytest.raises(asyncio.CancelledError):
        await uses.write(as_database(interrupted))
    database = FakeDatabase()
    await uses.write(as_database(database))
    assert database.written == [[1]]


@pytest.mark.parametrize("failure", [Unavailable(), ValueError("unexpected")])
async def test_after_a_failure_the_next_write_comes_a_minute_later(
    uses: SessionUses, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    pauses: list[float] = []
    sleep = asyncio.sleep

    async def record(seconds: float) -> None:
        pauses.append(seconds)
        await (sleep(0) if len(pauses) < 3 else asyncio.Event().wait())

    note(uses, 1)
    database = FakeDatabase(lambda number: failure)
    with monkeypatch.context() as recorded:
        recorded.setattr(asyncio, "sleep", record)
        writing = asyncio.create_task(uses.run(as_database(database)))
        async with asyncio.timeout(5):
            while len(pauses) < 3:
                await sleep(0)
        writing.cancel()
    assert pauses == [0, session_uses.WRITE_SECONDS, session_uses.WRITE_SECONDS]
    assert database.statements == 2


async def test_after_a_write_the_next_one_comes_a_minute_later(uses: SessionUses) -> None:
    database = FakeDatabase()
    note(uses, 1)
    writing = asyncio.create_task(uses.run(as_database(database)))
    async with asyncio.timeout(5):  # WRITE_SECONDS is 60
        while not database.written:
            await asyncio.sleep(0)
    note(uses, 2)
    for _ in range(100):
        await asyncio.sleep(0)
    writing.cancel()
    assert database.written == [[1]]


@pytest.mark.parametrize("failure", [Unavailable(), TimeoutError()])
async def test_a_stop_does_not_fail_when_the_last_write_does(uses: SessionUses, failure: Exception) -> None:
    note(uses, 1)
    database = FakeDatabase(lambda number: failure)
    await uses.write_last(as_database(database))
    assert database.statements == 1
