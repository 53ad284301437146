"""Statements on a real PostgreSQL: batches, shared results, changes of rows that others hold."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import asyncpg
import psycopg
import pytest

from server.database import database as module
from server.database.database import Database
from server.errors import Unavailable
from server.resources import statements
from tests.database.conftest import Connect

Sent = list[tuple[str, tuple[Any, ...]]]


def edit(
    db: Database, profile_id: int, given: dict[str, Any], owner_id: int | None = None
) -> Awaitable[asyncpg.Record | None]:
    """An edit by the owner, whose account has the same id, or by another account."""
    return db.change("profiles/edit", (profile_id, owner_id or profile_id), given, lock="profiles/lock")


def count(rows: Any, *arguments: Any) -> int:
    return len(rows)


def ids_of(rows: Any, *arguments: Any) -> list[int]:
    return [row["id"] for row in rows]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    """The name and the arguments of each statement that asyncpg sends."""
    names = {text: name for name, text in statements().items()}
    sent: Sent = []

    def noted(method: Any) -> Any:
        async def note(self: Any, text: str, *arguments: Any) -> Any:
            sent.append((names[text], arguments))
            return await method(self, text, *arguments)

        return note

    for method in ("fetch", "fetchrow"):
        monkeypatch.setattr(asyncpg.Connection, method, noted(getattr(asyncpg.Connection, method)))
    return sent


async def test_calls_of_one_moment_are_one_statement(db: Database, ids: list[int], sent: Sent) -> None:
    rows = await asyncio.gather(*(db.find("profiles/find", each) for each in ids * 10))
    assert [row and row["id"] for row in rows] == ids * 10
    assert sent == [("profiles/find", (tuple(ids),))]
    assert await db.find("profiles/find", 0) is None


async def test_edits_of_one_row_keep_their_order_and_undo_nothing(db: Database, ids: list[int]) -> None:
    edits = [edit(db, ids[0], {"description": str(number)}) for number in range(100)]
    others = [edit(db, ids[0], {"location": str(number)}) for number in range(100)]
    rows = await asyncio.gather(*edits, *others)
    assert [row and row["description"] for row in rows[:100]] == [str(number) for number in range(100)]
    assert (rows[-1]["description"], rows[-1]["location"]) == ("99", "99")  # type: ignore[index]


async def test_absent_is_not_null(db: Database, ids: list[int]) -> None:
    await edit(db, ids[0], {"description": "here", "is_creator": True})
    row = await edit(db, ids[0], {})
    assert row is not None
    assert (row["description"], row["is_creator"]) == ("here", True)
    row = await edit(db, ids[0], {"description": None})
    assert row is not None
    assert row["description"] is None


async def test_an_edit_of_a_row_that_does_not_exist_is_none(db: Database, ids: list[int]) -> None:
    assert await edit(db, 0, {"description": "of no profile"}) is None


async def test_an_edit_for_another_account_than_the_owner_changes_nothing_and_waits_for_no_lock(
    db: Database, ids: list[int], database_url: str
) -> None:
    with psycopg.connect(database_url) as holder:
        holder.execute("select from profiles where id = %s for update", [ids[0]])
        stranger = edit(db, ids[0], {"location": "Rome"}, owner_id=ids[1])
        owner = edit(db, ids[1], {"location": "Oslo"})
        assert await stranger is None
        row = await owner
        assert row is not None
        assert row["location"] == "Oslo"
    found = await db.find("profiles/find", ids[0])
    assert found is not None
    assert found["location"] == ""


async def test_a_row_that_the_database_refuses_fails_only_its_own_caller(db: Database, ids: list[int]) -> None:
    good = [edit(db, each, {"location": "Rome"}) for each in ids[1:]]
    bad = edit(db, ids[0], {"location": "x" * 31})
    *rows, failure = await asyncio.gather(*good, bad, return_exceptions=True)
    assert [row["location"] for row in rows] == ["Rome"] * 9  # type: ignore[index]
    assert isinstance(failure, asyncpg.CheckViolationError)


async def test_a_locked_row_is_waited_for_alone_and_delays_no_other(
    db: Database, ids: list[int], database_url: str, sent: Sent
) -> None:
    with psycopg.connect(database_url) as holder:
        holder.execute("select from profiles where id = %s for update", [ids[0]])
        waiting = asyncio.ensure_future(edit(db, ids[0], {"location": "later"}))
        rows = await asyncio.gather(*(edit(db, each, {"location": "now"}) for each in ids[1:]))
        assert [row and row["location"] for row in rows] == ["now"] * 9
        assert not waiting.done()
        holder.rollback()
        row = await waiting
    assert row is not None
    assert row["location"] == "later"
    assert [name for name, _ in sent] == ["profiles/edit", "profiles/lock", "profiles/edit"]


async def test_a_row_that_stays_locked_is_unavailable(
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    database_url: str,
    ids: list[int],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setitem(module.SESSION_SETTINGS, "lock_timeout", "20ms")
    impatient = await connect()
    with psycopg.connect(database_url) as holder:
        holder.execute("select from profiles where id = %s for update", [ids[0]])
        with pytest.raises(Unavailable):
            await edit(impatient, ids[0], {"location": "never"})
    assert not impatient.lost.is_set(), "a locked row was taken for a database that is unavailable"
    assert [record.getMessage() for record in caplog.records] == [
        "the database did not finish a statement in time:"
        " LockNotAvailableError: canceling statement due to lock timeout"
    ]


async def test_callers_of_one_page_now_share_it(db: Database, ids: list[int], sent: Sent) -> None:
    wanted = [(0, 3, False), (0, 3, False), (ids[4], 3, False), (0, 3, False), (0, 3, True)]
    pages = await asyncio.gather(*(db.share("profiles/list", ids_of, *page) for page in wanted))
    assert pages == [ids[:3], ids[:3], ids[5:8], ids[:3], ids[:3]]
    assert sorted(arguments for _, arguments in sent) == sorted(set(wanted))


async def test_a_shared_page_is_as_fresh_as_one_read_alone(db: Database, ids: list[int], database: Any) -> None:
    assert await db.share("profiles/list", count, 0, 100, False) == 10
    database.execute("insert into users (username) values ('one more')")
    assert await db.share("profiles/list", count, 0, 100, False) == 11


async def test_two_functions_over_one_statement_each_get_their_own_result(db: Database, ids: list[int]) -> None:
    page = (0, 3, False)
    both = await asyncio.gather(*(db.share("profiles/list", each, *page) for each in (count, ids_of)))
    assert both == [3, ids[:3]]
    assert await db.share("profiles/list", count, *page) == 3


async def test_a_statement_can_be_shared_and_be_asked_by_key(db: Database, ids: list[int]) -> None:
    assert await db.share("profiles/find", count, (ids[0], ids[1])) == 2
    row = await db.find("profiles/find", ids[0])
    assert row is not None
    assert row["id"] == ids[0]


async def test_a_transaction_is_committed_whole_or_not_at_all(db: Database, database: Any) -> None:
    async def half() -> None:
        async with db.transaction() as transaction:
            await transaction.row("users/register", "anna", "", "!", False, None, False, "en", None)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await half()
    assert database.execute("select * from users").fetchall() == []
