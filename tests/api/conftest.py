"""Counters in place of timings: how many hashes were run, which statements were sent (security, first paragraph)."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import bcrypt
import psycopg
import pytest

from server.database.database import Database
from server.database.transaction import Transaction
from server.mail.sender import LetterSender
from tests.conftest import MakePerson, Person
from tests.locks import Race, until_blocked
from tests.rows import Connection


@pytest.fixture(autouse=True)
def idle_letter_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not send letters until a test calls the fixture `letters`."""

    async def wait(letter_sender: LetterSender, db: Database) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(LetterSender, "run", wait)


@pytest.fixture
async def tess(make_person: MakePerson) -> Person:
    """A signed-in teacher, on a site with the roles of tests/school.toml."""
    return await make_person("tess", role="teacher", profile={"fields": {"school": "Lyceum"}})


@pytest.fixture
def race(database: Connection, database_url: str) -> Race:
    """A function that sends a request while another transaction has run a statement which blocks it: the answer."""

    async def send(statement: str, request: Coroutine[Any, Any, tuple[int, Any]]) -> tuple[int, Any]:
        with psycopg.connect(database_url) as other:
            other.execute(statement)
            answering = asyncio.ensure_future(request)
            await until_blocked(answering, database)
            assert not answering.done(), "the request must come to the locked row"
        return await answering

    return send


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many bcrypt hashes were run, under the key `run`."""
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
    """The names of the statements that were sent, in order."""
    sent: list[str] = []

    def recording(function: Callable[..., Any]) -> Callable[..., Any]:
        def record(self: Any, name: str, *arguments: Any) -> Any:
            sent.append(name)
            return function(self, name, *arguments)

        return record

    monkeypatch.setattr(Database, "rows", recording(Database.rows))  # `row` and `find` call it
    for name in ("row", "rows"):
        monkeypatch.setattr(Transaction, name, recording(getattr(Transaction, name)))
    return sent
