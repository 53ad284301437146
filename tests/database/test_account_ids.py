"""A session of another account is none, whatever its id."""

import asyncio
import uuid
from typing import Any

import pytest

from server.auth.tokens import ACCESS, REFRESH
from server.database.database import Database
from server.web.app_keys import TOKENS
from tests.conftest import Person, post
from tests.jwts import claims_of
from tests.rows import Connection, only_row

# What each statement is called with, after the session and the account.
ARGUMENTS: dict[str, list[Any]] = {"sessions/end": [], "sessions/rotate": [0, 10.0, 1000.0, 1000.0]}


@pytest.fixture
def session(database: Connection) -> tuple[uuid.UUID, int, int]:
    """The id of a session, its account, and another account."""
    database.execute("insert into users (username) values ('anna'), ('boris')")
    row = only_row(
        database,
        "insert into sessions (user_id, expires_at, last_used_at)"
        " select id, now() + interval '1 day', now() - interval '1 hour' from users where username = 'anna'"
        " returning id, user_id",
    )
    return row["id"], row["user_id"], only_row(database, "select id from users where username = 'boris'")["id"]


@pytest.mark.parametrize("name", ARGUMENTS)
async def test_a_session_is_ended_and_refreshed_only_for_its_account(
    db: Database, database: Connection, session: tuple[uuid.UUID, int, int], name: str
) -> None:
    number, anna, boris = session
    before = only_row(database, "select * from sessions")
    assert await db.rows(name, number, boris, *ARGUMENTS[name]) == []
    assert only_row(database, "select * from sessions") == before
    assert len(await db.rows(name, number, anna, *ARGUMENTS[name])) == 1


async def test_the_use_of_a_session_is_noted_only_for_its_account(
    db: Database, database: Connection, session: tuple[uuid.UUID, int, int]
) -> None:
    number, anna, boris = session
    before = only_row(database, "select * from sessions")
    await db.rows("sessions/note_use", [number], [boris], 60.0, 0.0, 1000.0, 1000.0)
    assert only_row(database, "select * from sessions") == before
    await db.rows("sessions/note_use", [number], [anna], 60.0, 0.0, 1000.0, 1000.0)
    assert only_row(database, "select * from sessions") != before


async def test_a_token_that_names_a_session_of_another_account_is_refused_also_beside_its_owner(
    anna: Person, boris: Person
) -> None:
    # No client can have such a token: the service signs none. Callers at the same moment share the row of a session.
    session = uuid.UUID(claims_of(anna.tokens["access"])["sid"])
    tokens = anna.client.server.app[TOKENS]  # type: ignore[attr-defined]
    access, refresh = (tokens.issue(kind, boris.id, session) for kind in (ACCESS, REFRESH))

    async def read_as_boris() -> int:
        async with anna.client.get("/auth/users/me/", headers={"Authorization": f"Bearer {access}"}) as response:
            return response.status

    async def refresh_with(token: str) -> int:
        return (await post(anna.client, "/auth/jwt/refresh/", refresh=token))[0]

    (own, _), *read = await asyncio.gather(anna.get("/auth/users/me/"), *(read_as_boris() for _ in range(5)))
    assert (own, {*read}) == (200, {401})
    asked = [anna.tokens["refresh"], *[refresh] * 5]
    own, *refreshed = await asyncio.gather(*(refresh_with(token) for token in asked))
    assert (own, {*refreshed}) == (200, {401})
