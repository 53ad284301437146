"""The sessions that refresh and verify accept, and the one error for all others."""

import uuid

import psycopg
import pytest

from server.auth import sessions
from server.auth.tokens import ACCESS, REFRESH, Claims
from server.errors import TokenNotValid, Unavailable
from server.web.app_keys import DB, TOKENS
from tests.conftest import Client, Person

Rows = psycopg.Connection[psycopg.rows.DictRow]


def claims_of(person: Person) -> Claims:
    return person.client.app[TOKENS].read(person.tokens["refresh"], ACCESS, REFRESH)


async def test_a_live_session_gives_the_identity(anna: Person) -> None:
    claims = claims_of(anna)
    assert await sessions.require_live_session(anna.client.app[DB], claims) == sessions.Identity(
        claims.session_id, anna.id, "anna", "anna@example.com", is_staff=False, role=None
    )


@pytest.mark.parametrize(
    "statement",
    [
        "delete from sessions",
        "update sessions set expires_at = now()",
        "update users set is_active = false",
        # Without the trigger that ends the sessions, as when rows are copied from another database.
        "alter table users disable trigger users_end_sessions; update users set is_active = false;"
        " alter table users enable trigger users_end_sessions",
        "delete from users",
    ],
)
async def test_ended_inactive_and_deleted_get_the_same_error(anna: Person, database: Rows, statement: bytes) -> None:
    database.execute(statement)
    with pytest.raises(TokenNotValid, match=r"^Token is blacklisted$"):
        await sessions.require_live_session(anna.client.app[DB], claims_of(anna))
    with pytest.raises(TokenNotValid, match=r"^Token is blacklisted$"):
        await sessions.require_present_token(anna.client.app[DB], claims_of(anna), grace=10)


@pytest.mark.parametrize(
    ("number", "seconds_ago", "is_accepted"),
    [
        *((5, 3600, True), (4, 9, True), (4, 11, False), (3, 0, False)),
        (6, 0, True),  # of before the database was restored from a backup
    ],
)
async def test_the_present_token_is_accepted_and_for_a_while_the_one_before(
    anna: Person, database: Rows, number: int, seconds_ago: int, is_accepted: bool
) -> None:
    rotated = "update sessions set rotation = 5, rotated_at = now() - make_interval(secs => %s)"
    database.execute(rotated, [seconds_ago])
    claims = claims_of(anna)._replace(rotation=number)
    try:
        identity = await sessions.require_present_token(anna.client.app[DB], claims, grace=10)
    except TokenNotValid:
        assert not is_accepted
    else:
        assert is_accepted
        assert identity == await sessions.require_live_session(anna.client.app[DB], claims)


async def test_a_session_of_another_account_is_not_accepted(anna: Person, boris: Person) -> None:
    claims = claims_of(anna)._replace(user_id=boris.id)
    with pytest.raises(TokenNotValid, match=r"^Token is blacklisted$"):
        await sessions.require_live_session(anna.client.app[DB], claims)
    with pytest.raises(TokenNotValid, match=r"^Token is blacklisted$"):
        await sessions.require_present_token(anna.client.app[DB], claims, grace=10)


async def test_an_unavailable_database_is_not_an_ended_session(client: Client) -> None:
    await client.app[DB].close()
    with pytest.raises(Unavailable):
        await sessions.require_live_session(
            client.app[DB], Claims(REFRESH, 1, uuid.UUID("00000000-0000-4000-8000-000000000000"), 0.0)
        )
