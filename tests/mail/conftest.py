"""Fixtures for the tests of letters."""

import dataclasses
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

import psycopg
import pytest

from server.auth.one_time_tokens import OneTimeTokens
from server.database.database import Database
from server.mail.letters import Letters
from server.mail.sender import LetterSender
from server.settings.settings import Settings
from server.templates import Templates
from tests.conftest import KEY
from tests.mail.servers import authority, certified, serve, trusted

UNREACHABLE = "smtp://127.0.0.1:1"

__all__ = ["authority", "certified", "serve", "trusted"]


@pytest.fixture
async def db(database_url: str, database: Any) -> AsyncIterator[Database]:
    connected = await Database.connect(database_url)
    yield connected
    await connected.close()


@dataclasses.dataclass
class Office:
    """The queue of letters and a sender, without a running service."""

    db: Database
    settings: Settings
    rows: "psycopg.Connection[psycopg.rows.DictRow]"

    def __post_init__(self) -> None:
        self.one_time_tokens = OneTimeTokens(KEY, lifetime=self.settings.password_reset_timeout)
        self.letters = Letters(self.one_time_tokens, notices=None)
        self.sender = self.another_sender()

    def another_sender(self) -> LetterSender:
        return LetterSender.of(self.settings, Templates(self.settings.templates_dir), self.one_time_tokens)

    def account(self, username: str = "anna", **columns: Any) -> int:
        """Insert an account with a password, and return its id."""
        given = {"username": username, "email": f"{username}@example.com", "password": "hash", **columns}
        names = psycopg.sql.SQL(", ").join(map(psycopg.sql.Identifier, given))
        values = psycopg.sql.SQL(", ").join(map(psycopg.sql.Placeholder, given))
        insert = psycopg.sql.SQL("insert into users ({}) values ({}) returning id").format(names, values)
        found = self.rows.execute(insert, given).fetchone()
        assert found
        user_id: int = found["id"]
        return user_id

    async def queue(self, kind: str, user_id: int, address: str = "") -> None:
        async with self.db.transaction() as transaction:
            await self.letters.queue(transaction, kind, user_id, address=address)

    async def queue_link(self, kind: str, user_id: int) -> None:
        async with self.db.transaction() as transaction:
            await self.letters.queue_link(transaction, kind, user_id)

    async def request(self, kind: str, address: str) -> None:
        async with self.db.transaction() as transaction:
            await self.letters.queue_request(transaction, kind, address)

    async def send(self) -> None:
        """Send what is due. Letters that were postponed are due again at once."""
        await self.sender.drain(self.db)
        self.rows.execute("update letters set due_at = now()")

    def queued(self) -> list[dict[str, Any]]:
        return self.rows.execute("select * from letters order by id").fetchall()


MakeOffice: TypeAlias = Callable[..., Office]


@pytest.fixture
def make_office(db: Database, settings: Settings, database: Any) -> MakeOffice:
    """Makes an office with some settings changed."""
    return lambda **changed: Office(db, dataclasses.replace(settings, **changed), database)


@pytest.fixture
def office(make_office: MakeOffice) -> Office:
    """An office that delivers into a folder."""
    return make_office()
