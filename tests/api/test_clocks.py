"""Clocks that differ: between the database and a worker, and between workers on several machines (contract 4.1)."""

import time
from collections.abc import Iterator

import pytest
from psycopg import sql

from tests.conftest import Person, in_mode, post
from tests.jwts import claims_of, with_token
from tests.rows import Connection, only_row

SHIFT_SECONDS = 120

ROTATION = in_mode("default", refresh_rotation=True)


@pytest.fixture(params=[SHIFT_SECONDS, -SHIFT_SECONDS], ids=["ahead", "behind"])
def shift(database: Connection, request: pytest.FixtureRequest) -> Iterator[int]:
    """How many seconds `now()` of each new connection to the database is ahead of this machine."""
    (name,) = only_row(database, "select current_database()").values()
    moved = "select pg_catalog.now() + make_interval(secs => {})"
    database.execute("create schema moved")
    database.execute(
        sql.SQL(f"create function moved.now() returns timestamptz stable language sql as $$ {moved} $$").format(
            sql.Literal(request.param)
        )
    )
    search = sql.SQL("alter database {} set search_path = moved, public, pg_catalog")
    database.execute(search.format(sql.Identifier(name)))
    yield request.param
    database.execute(sql.SQL("alter database {} reset search_path").format(sql.Identifier(name)))
    database.execute("drop schema moved cascade")


@ROTATION
async def test_a_token_is_accepted_whatever_the_clock_of_the_database(shift: int, anna: Person) -> None:
    token = anna.tokens["refresh"]
    for number in (1, 2, 3):
        status, body = await post(anna.client, "/auth/jwt/refresh/", refresh=token)
        assert status == 200, number
        token = body["refresh"]
        claims = claims_of(token)
        assert abs(claims["iat"] - time.time() - shift) < SHIFT_SECONDS / 2
        assert claims["exp"] - claims["iat"] == 86400
        assert (await with_token(anna.client, body["access"]))[0] == 200
        for kind in ("access", "refresh"):
            assert (await post(anna.client, "/auth/jwt/verify/", token=body[kind]))[0] == 200


@pytest.mark.parametrize("seconds", [SHIFT_SECONDS, -SHIFT_SECONDS])
async def test_a_token_of_a_worker_with_another_clock_is_accepted(
    anna: Person, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    real = time.time
    with monkeypatch.context() as moved:
        moved.setattr(time, "time", lambda: real() + seconds)
        other = await anna.sign_in()
    claims = claims_of(other.tokens["access"])
    assert abs(claims["iat"] - real() - seconds) < SHIFT_SECONDS / 2
    assert (await other.get("/auth/users/me/"))[0] == 200
    assert (await post(anna.client, "/auth/jwt/refresh/", refresh=other.tokens["refresh"]))[0] == 200
