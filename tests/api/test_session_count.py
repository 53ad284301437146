"""An account has a bounded number of sessions: a further sign-in ends the one used longest ago (security 24)."""

import asyncio

import psycopg

from tests.conftest import Person, in_mode
from tests.jwts import claims_of
from tests.rows import Connection


@in_mode("default", sessions_per_account=3)
async def test_a_sign_in_beyond_the_sessions_of_an_account_ends_the_one_used_longest_ago(
    anna: Person, boris: Person, database: Connection
) -> None:
    second, third = [await anna.sign_in() for _ in range(2)]
    database.execute(
        "update sessions set last_used_at = now() - interval '1 hour' where id = %s",
        [claims_of(second.tokens["access"])["sid"]],
    )
    fourth = await anna.sign_in()
    statuses = [(await each.get("/auth/users/me/"))[0] for each in (anna, second, third, fourth, boris)]
    assert statuses == [200, 401, 200, 200, 200]
    rows = database.execute("select user_id, details from events where kind = 'session_ended'").fetchall()
    assert rows == [{"user_id": anna.id, "details": {"sessions": 1, "reason": "too many"}}]


@in_mode("default", sessions_per_account=1)
async def test_a_sign_in_never_ends_the_session_that_it_opens(anna: Person, database: Connection) -> None:
    database.execute("update sessions set last_used_at = now() + interval '1 hour'")
    again = await anna.sign_in()
    assert [(await each.get("/auth/users/me/"))[0] for each in (anna, again)] == [401, 200]


@in_mode("default", sessions_per_account=1)
async def test_a_sign_in_waits_for_no_session_that_is_locked(
    anna: Person, database: Connection, database_url: str
) -> None:
    with psycopg.connect(database_url) as other:
        other.execute("select from sessions for update")
        async with asyncio.timeout(4):  # lock_timeout is 5 s
            await anna.sign_in()
    assert len(database.execute("select from sessions").fetchall()) == 2
