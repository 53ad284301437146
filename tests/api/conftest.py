"""What is counted instead of timed: hashes that are run, statements that are asked (trust, its first paragraph)."""

import asyncio
import email.policy
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bcrypt
import pytest
from aiohttp.test_utils import TestClient

from server.db import Asker, Database
from server.mail.worker import Worker
from server.settings import Settings
from server.web.parts import DB, WORKER


@dataclass
class Letter:
    """A letter that was sent; `link` is empty where it carries none."""

    to: str
    subject: str
    text: str
    html: str
    link: str


def read_letter(file: Path) -> Letter:
    message: Any = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    text, html = (message.get_body([kind]).get_content().replace("\r\n", "\n") for kind in ("plain", "html"))
    link = re.search(r"^(\S+://\S+/[\w-]{43})$", text, re.MULTILINE)
    return Letter(message["To"], message["Subject"], text, html, link[1] if link else "")


@pytest.fixture(autouse=True)
def idle_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Letters leave when a test looks for them, not before."""

    async def wait(worker: Worker, db: Database) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Worker, "run", wait)


@pytest.fixture
def letters(client: TestClient, settings: Settings) -> Callable[[], Awaitable[list[Letter]]]:
    """Has all letters sent that wait, and gives those that left since the last look, in their order."""
    seen: set[Path] = set()

    async def sent() -> list[Letter]:
        await client.app[WORKER].drain(client.app[DB])
        fresh = sorted(set(settings.letters_dir.glob("*.eml")) - seen)
        seen.update(fresh)
        return [read_letter(file) for file in fresh]

    return sent


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
        monkeypatch.setattr(Asker, name, noting(getattr(Asker, name)))
    return asked
