"""What is counted instead of timed: hashes that are run, statements that are asked (trust, its first paragraph)."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import bcrypt
import pytest

from server.database.database import Database
from server.database.transaction import Transaction
from server.mail.sender import LetterSender


@pytest.fixture(autouse=True)
def idle_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Letters leave when a test looks for them, not before."""

    async def wait(worker: LetterSender, db: Database) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(LetterSender, "run", wait)


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often bcrypt was run."""
    counted: Counter[str] = Counter()

    def count(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*arguments: Any) -> Any:
            counted["run"] += 1
            return function(*arguments)

        return counting

    for name in ("hashpw", "checkpw"):
        monkeypatch.setattr(bcrypt, name, count(name, getattr(bcrypt, name)))
    return counted


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the statements that were asked, in their order."""
    asked: list[str] = []

    def noting(function: Callable[..., Any]) -> Callable[..., Any]:
        def note(self: Any, name: str, *arguments: Any) -> Any:
            asked.append(name)
            return function(self, name, *arguments)

        return note

    monkeypatch.setattr(Database, "rows", noting(Database.rows))  # `row` and `find` come through here, too
    for name in ("row", "rows"):
        monkeypatch.setattr(Transaction, name, noting(getattr(Transaction, name)))
    return asked
