"""Two transactions at once on the same rows: the SQL decides which one wins."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from server.database.database import Database
from tests.conftest import PASSWORD, Person, in_mode, post
from tests.jwts import ENDED, claims_of, not_valid
from tests.locks import until_blocked
from tests.rows import Connection, only_row


@pytest.fixture
async def db(database_url: str, database: Connection) -> AsyncIterator[Database]:
    connected = await Database.connect(database_url)
    yield connected
    await connected.close()


async def test_a_sign_in_during_a_deactivation_opens_no_session(
    anna: Person, database: Connection, database_url: str
) -> None:
    with psycopg.connect(database_url) as staff:
        staff.execute("update users set is_active = false")
        signing_in = asyncio.ensure_future(post(anna.client, "/auth/jwt/create/", username="anna", password=PASSWORD))
        await until_blocked(signing_in, database)
        staff.commit()
    assert (await signing_in)[0] == 401
    assert database.execute("select * from sessions").fetchall() == []


async def test_ending_all_sessions_locks_them_in_the_order_of_their_ids(
    database: Connection, database_url: str
) -> None:
    first, last = "00000000-0000-0000-0000-000000000001", "ffffffff-ffff-ffff-ffff-ffffffffffff"
    database.execute("insert into users (username) values ('anna')")
    for session in (last, first):  # inserted in reverse: a scan of the table would lock the last id first
        database.execute("insert into sessions select %s, id, now() + interval '1 day' from users", [session])
    with psycopg.connect(database_url) as other, psycopg.connect(database_url) as staff:
        other.execute("select from sessions where id = %s for update", [first])
        ending = asyncio.ensure_future(asyncio.to_thread(staff.execute, "update users set is_active = false"))
        await until_blocked(ending, database)
        other.execute("select from sessions where id = %s for update nowait", [last])
        other.rollback()
        await ending
        staff.commit()
    assert database.execute("select * from sessions").fetchall() == []


async def test_ending_all_other_sessions_locks_them_in_the_order_of_their_ids(
    anna: Person, database: Connection, database_url: str
) -> None:
    first, last = "00000000-0000-0000-0000-000000000001", "ffffffff-ffff-ffff-ffff-ffffffffffff"
    for session in (last, first):  # inserted in reverse: a scan of the table would lock the last id first
        database.execute("insert into sessions select %s, id, now() + interval '1 day' from users", [session])
    with psycopg.connect(database_url) as other:
        other.execute("select from sessions where id = %s for update", [first])
        ending = asyncio.ensure_future(anna.delete("/auth/sessions/"))
        await until_blocked(ending, database)
        other.execute("select from sessions where id = %s for update nowait", [last])
        other.rollback()
        assert await ending == (204, None)
    assert len(database.execute("select from sessions").fetchall()) == 1


async def test_uses_of_several_limits_lock_them_in_the_order_of_their_keys(
    db: Database, database: Connection, database_url: str
) -> None:
    database.execute("insert into limits (key, drained_at) values ('b', now()), ('a', now())")
    with psycopg.connect(database_url) as other:
        other.execute("select from limits where key = 'a' for update")
        counting = asyncio.ensure_future(db.rows("limits/count", ["b", "a"], [1.0, 1.0]))
        await until_blocked(counting, database)
        other.execute("select from limits where key = 'b' for update nowait")
        other.rollback()
        assert [row["key"] for row in await counting] == ["a", "b"]


async def test_a_profile_is_deleted_only_for_the_owner_named_in_the_statement(
    db: Database, database: Connection
) -> None:
    database.execute("insert into users (username) values ('anna'), ('boris')")
    anna, boris = database.execute("select id, user_id from profiles order by user_id").fetchall()
    assert await db.row("profiles/delete", anna["id"], boris["user_id"]) is None
    assert len(database.execute("select * from profiles").fetchall()) == 2
    assert await db.row("profiles/delete", anna["id"], anna["user_id"]) is not None


async def test_rewriting_a_hash_does_not_overwrite_a_changed_password(db: Database, database: Connection) -> None:
    user = only_row(database, "insert into users (username, password) values ('a', 'new') returning id")
    assert await db.row("users/rehash", user["id"], "old", "the old one, rewritten") is None
    assert only_row(database, "select password from users") == {"password": "new"}
    assert await db.row("users/rehash", user["id"], "new", "the new one, rewritten") is not None


async def test_a_login_during_a_deactivation_issues_no_api_token(
    anna: Person, database: Connection, database_url: str
) -> None:
    with psycopg.connect(database_url) as staff:
        staff.execute("update users set is_active = false")
        logging_in = asyncio.ensure_future(post(anna.client, "/auth/token/login/", username="anna", password=PASSWORD))
        await until_blocked(logging_in, database)
    assert (await logging_in)[0] == 400
    assert database.execute("select from api_tokens where hash is not null").fetchall() == []


async def test_an_api_token_of_an_ended_generation_stays_ended(
    anna: Person, db: Database, database: Connection
) -> None:
    stored = only_row(database, "select password from users")["password"]
    assert await db.row("api_tokens/keep", anna.id, stored, 0, b"first") is not None
    assert await db.row("api_tokens/end", anna.id) is not None
    assert await db.row("api_tokens/keep", anna.id, stored, 0, b"first") is None
    assert await db.find("api_tokens/identify", b"first") is None


async def test_a_sign_out_locks_the_account_before_the_session_as_a_change_of_password_does(
    anna: Person, database: Connection, database_url: str
) -> None:
    assert (await post(anna.client, "/auth/token/login/", username="anna", password=PASSWORD))[0] == 200
    with psycopg.connect(database_url) as change:
        change.execute("select from users for no key update")
        signing_out = asyncio.ensure_future(anna.post("/auth/token/logout/"))
        await until_blocked(signing_out, database)
        change.execute("select from sessions for update nowait")
        change.rollback()
        assert (await signing_out)[0] == 204
    assert database.execute("select from sessions").fetchall() == []


@in_mode("default", refresh_rotation=True)
async def test_a_refresh_that_waits_for_another_gets_what_the_other_got(
    anna: Person, database: Connection, database_url: str
) -> None:
    with psycopg.connect(database_url) as first:
        first.execute("update sessions set rotation = 1, rotated_at = now()")
        waiting = asyncio.ensure_future(post(anna.client, "/auth/jwt/refresh/", refresh=anna.tokens["refresh"]))
        await until_blocked(waiting, database)
        first.commit()
    status, body = await waiting
    assert (status, claims_of(body["refresh"])["rotation"]) == (200, 1)
    assert only_row(database, "select rotation from sessions") == {"rotation": 1}


@in_mode("default", refresh_rotation=True)
async def test_a_refresh_that_waits_for_two_rotations_is_a_replay(
    anna: Person, database: Connection, database_url: str
) -> None:
    with psycopg.connect(database_url) as first:
        first.execute("update sessions set rotation = 2, rotated_at = now()")
        waiting = asyncio.ensure_future(post(anna.client, "/auth/jwt/refresh/", refresh=anna.tokens["refresh"]))
        await until_blocked(waiting, database)
        first.commit()
    assert await waiting == not_valid(ENDED)
    assert database.execute("select from sessions").fetchall() == []


@in_mode("default", refresh_rotation=True)
@pytest.mark.parametrize("end", ["delete from sessions", "update users set is_active = false"])
async def test_a_refresh_that_waits_for_the_end_of_its_session_is_refused(
    anna: Person, database: Connection, database_url: str, end: str
) -> None:
    with psycopg.connect(database_url) as ending:
        ending.execute(end)
        waiting = asyncio.ensure_future(post(anna.client, "/auth/jwt/refresh/", refresh=anna.tokens["refresh"]))
        await until_blocked(waiting, database)
        ending.commit()
    assert await waiting == not_valid(ENDED)
    assert database.execute("select from sessions").fetchall() == []
