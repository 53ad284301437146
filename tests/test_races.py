"""Two at once on the same rows: the line of SQL that decides is there."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from server.database.database import Database
from tests.conftest import PASSWORD, Person, post


@pytest.fixture
async def db(database_url: str, database: Any) -> AsyncIterator[Database]:
    connected = await Database.connect(database_url)
    yield connected
    await connected.close()


def waiting(database: Any) -> int:
    """How many wait for a lock in this database."""
    found = database.execute(
        "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    ).fetchone()
    return int(found["count"])


async def until_held_up(work: "asyncio.Future[Any]", database: Any) -> None:
    """Wait until `work` waits for a lock, or is through without."""
    async with asyncio.timeout(10):
        while not work.done() and not waiting(database):
            await asyncio.sleep(0.001)


async def test_a_sign_in_during_a_deactivation_opens_nothing(anna: Person, database: Any, database_url: str) -> None:
    with psycopg.connect(database_url) as staff:
        staff.execute("update users set is_active = false")
        signing_in = asyncio.ensure_future(post(anna.client, "/auth/jwt/create/", username="anna", password=PASSWORD))
        await until_held_up(signing_in, database)
        staff.commit()
    assert (await signing_in)[0] == 401
    assert database.execute("select * from sessions").fetchall() == []


async def test_ending_all_sessions_holds_none_while_it_waits_for_one_before_it(
    database: Any, database_url: str
) -> None:
    first, last = "00000000-0000-0000-0000-000000000001", "ffffffff-ffff-ffff-ffff-ffffffffffff"
    database.execute("insert into users (username) values ('anna')")
    for session in (last, first):  # so that a scan of the table comes to the last one first
        database.execute("insert into sessions select %s, id, now() + interval '1 day' from users", [session])
    with psycopg.connect(database_url) as other, psycopg.connect(database_url) as staff:
        other.execute("select from sessions where id = %s for update", [first])
        ending = asyncio.ensure_future(asyncio.to_thread(staff.execute, "update users set is_active = false"))
        await until_held_up(ending, database)
        other.execute("select from sessions where id = %s for update nowait", [last])
        other.rollback()
        await ending
        staff.commit()
    assert database.execute("select * from sessions").fetchall() == []


async def test_only_the_owner_named_in_the_statement_loses_a_profile(db: Database, database: Any) -> None:
    database.execute("insert into users (username) values ('anna'), ('boris')")
    anna, boris = database.execute("select id, user_id from profiles order by user_id").fetchall()
    assert await db.row("profiles/delete", anna["id"], boris["user_id"]) is None
    assert len(database.execute("select * from profiles").fetchall()) == 2
    assert await db.row("profiles/delete", anna["id"], anna["user_id"]) is not None


async def test_a_hash_is_not_renewed_over_a_password_that_was_changed_meanwhile(db: Database, database: Any) -> None:
    user = database.execute("insert into users (username, password) values ('a', 'new') returning id").fetchone()
    assert await db.row("users/rehash", user["id"], "old", "the old one, renewed") is None
    assert database.execute("select password from users").fetchone() == {"password": "new"}
    assert await db.row("users/rehash", user["id"], "new", "the new one, renewed") is not None


async def test_an_api_token_during_a_deactivation_is_not_given(anna: Person, database: Any, database_url: str) -> None:
    with psycopg.connect(database_url) as staff:
        staff.execute("update users set is_active = false")
        logging_in = asyncio.ensure_future(post(anna.client, "/auth/token/login/", username="anna", password=PASSWORD))
        await until_held_up(logging_in, database)
    assert (await logging_in)[0] == 400
    assert database.execute("select from api_tokens where hash is not null").fetchall() == []


async def test_a_token_of_an_ended_generation_is_not_let_in_again(anna: Person, db: Database, database: Any) -> None:
    stored = database.execute("select password from users").fetchone()["password"]
    assert await db.row("api_tokens/keep", anna.id, stored, 0, b"first") is not None
    assert await db.row("api_tokens/end", anna.id) is not None
    assert await db.row("api_tokens/keep", anna.id, stored, 0, b"first") is None
    assert await db.find("api_tokens/identify", b"first") is None
