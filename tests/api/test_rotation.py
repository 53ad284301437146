"""Rotation: with REFRESH_ROTATION each refresh answers with the next refresh token (security 19 to 21)."""

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from server.app import create_app
from server.settings.settings import Settings
from tests.conftest import PASSWORD, Client, FrontdeskServer, MakePerson, Person, in_mode, post
from tests.jwts import ENDED, claims_of, forge, not_valid, refused, with_token
from tests.rows import Connection, count, only_row

ROTATION = in_mode("default", refresh_rotation=True)
WITHOUT_GRACE = in_mode("default", refresh_rotation=True, refresh_grace=0)

Refresh = Callable[[str], Awaitable[tuple[int, Any]]]


@pytest.fixture
def refresh(client: Client) -> Refresh:
    """A function that sends a refresh token to the service: (status, json)."""

    async def send(token: str) -> tuple[int, Any]:
        return await post(client, "/auth/jwt/refresh/", refresh=token)

    return send


@asynccontextmanager
async def served(settings: Settings, **changed: Any) -> AsyncIterator[Client]:
    """A client of a second process on the same database, with other settings."""
    other = dataclasses.replace(settings, **changed)
    async with TestClient(FrontdeskServer(create_app(other))) as client:
        yield client


def pass_grace(database: Connection) -> None:
    """Let the last rotation be longer ago than REFRESH_GRACE."""
    database.execute("update sessions set rotated_at = rotated_at - interval '1 minute'")


@ROTATION
async def test_each_refresh_answers_with_the_next_refresh_token(
    anna: Person, refresh: Refresh, database: Connection
) -> None:
    token = anna.tokens["refresh"]
    for number in range(1, 4):
        status, body = await refresh(token)
        assert (status, list(body)) == (200, ["access", "refresh"])
        assert (await with_token(anna.client, body["access"]))[0] == 200
        claims = claims_of(body["refresh"])
        assert list(claims) == ["token_type", "exp", "iat", "jti", "user_id", "sid", "rotation"]
        assert (claims["token_type"], claims["sid"]) == ("refresh", claims_of(token)["sid"])
        assert (claims["rotation"], claims["exp"] - claims["iat"]) == (number, 86400)
        assert claims["jti"] != claims_of(token)["jti"]
        token = body["refresh"]
    assert count(database, "sessions") == 1


async def test_without_rotation_a_refresh_answers_with_an_access_token_and_writes_nothing(
    anna: Person, refresh: Refresh, database: Connection
) -> None:
    before = only_row(database, "select xmin::text, * from sessions")
    for _ in range(3):
        status, body = await refresh(anna.tokens["refresh"])
        assert (status, list(body)) == (200, ["access"])
        assert "rotation" not in claims_of(body["access"])
    assert only_row(database, "select xmin::text, * from sessions") == before


@WITHOUT_GRACE
async def test_a_replayed_refresh_token_ends_its_session_and_no_other(
    anna: Person, refresh: Refresh, database: Connection
) -> None:
    other = await anna.sign_in()
    _, second = await refresh(anna.tokens["refresh"])
    assert await refresh(anna.tokens["refresh"]) == not_valid(ENDED)
    assert await refresh(second["refresh"]) == not_valid(ENDED)
    for access in (anna.tokens["access"], second["access"]):
        assert await with_token(anna.client, access) == refused(ENDED)
    assert (await other.get("/auth/users/me/"))[0] == 200
    assert (await refresh(other.tokens["refresh"]))[0] == 200
    assert count(database, "sessions") == 1


@WITHOUT_GRACE
async def test_a_replay_is_recorded_with_the_address_that_it_came_from(
    anna: Person, refresh: Refresh, database: Connection
) -> None:
    await refresh(anna.tokens["refresh"])
    await refresh(anna.tokens["refresh"])
    event = only_row(
        database,
        "select user_id, actor_id, host(address) as address, details from events where kind = 'refresh_replayed'",
    )
    session = {"session": claims_of(anna.tokens["refresh"])["sid"]}
    assert event == {"user_id": anna.id, "actor_id": None, "address": "127.0.0.1", "details": session}


@ROTATION
async def test_a_token_two_rotations_old_is_a_replay_within_the_grace_too(anna: Person, refresh: Refresh) -> None:
    _, second = await refresh(anna.tokens["refresh"])
    _, third = await refresh(second["refresh"])
    assert await refresh(anna.tokens["refresh"]) == not_valid(ENDED)
    assert await refresh(third["refresh"]) == not_valid(ENDED)


@ROTATION
async def test_simultaneous_refreshes_with_one_token_all_get_the_same_successor(
    anna: Person, refresh: Refresh, database: Connection
) -> None:
    token = anna.tokens["refresh"]
    for number in (1, 2):
        answers = await asyncio.gather(*(refresh(token) for _ in range(20)))
        assert {status for status, _ in answers} == {200}
        (token,) = {body["refresh"] for _, body in answers}
        assert claims_of(token)["rotation"] == number
        for _, body in answers:
            assert (await with_token(anna.client, body["access"]))[0] == 200
    assert only_row(database, "select rotation from sessions") == {"rotation": 2}


@ROTATION
async def test_a_client_that_lost_its_response_gets_the_same_one_again(
    anna: Person, refresh: Refresh, database: Connection
) -> None:
    _, lost = await refresh(anna.tokens["refresh"])
    _, again = await refresh(anna.tokens["refresh"])
    assert again["refresh"] == lost["refresh"]
    pass_grace(database)
    assert (await refresh(again["refresh"]))[0] == 200


@ROTATION
async def test_the_grace_begins_anew_with_each_rotation(anna: Person, refresh: Refresh, database: Connection) -> None:
    _, second = await refresh(anna.tokens["refresh"])
    pass_grace(database)
    _, third = await refresh(second["refresh"])
    status, again = await refresh(second["refresh"])
    assert (status, again["refresh"]) == (200, third["refresh"])


@ROTATION
async def test_after_the_grace_the_old_token_is_a_replay(anna: Person, refresh: Refresh, database: Connection) -> None:
    await refresh(anna.tokens["refresh"])
    pass_grace(database)
    assert await refresh(anna.tokens["refresh"]) == not_valid(ENDED)
    assert count(database, "sessions") == 0


@ROTATION
async def test_verify_refuses_what_refresh_would_refuse_and_ends_nothing(
    anna: Person, refresh: Refresh, database: Connection
) -> None:
    async def verify(token: str) -> tuple[int, Any]:
        return await post(anna.client, "/auth/jwt/verify/", token=token)

    _, second = await refresh(anna.tokens["refresh"])
    assert await verify(anna.tokens["refresh"]) == (200, {})
    assert await verify(second["refresh"]) == (200, {})
    pass_grace(database)
    assert await verify(anna.tokens["refresh"]) == not_valid(ENDED)
    assert await verify(second["refresh"]) == (200, {})
    assert await verify(second["access"]) == (200, {})


@WITHOUT_GRACE
async def test_signing_out_with_an_older_token_ends_the_session(anna: Person, refresh: Refresh) -> None:
    _, second = await refresh(anna.tokens["refresh"])
    assert await post(anna.client, "/auth/jwt/blacklist/", refresh=anna.tokens["refresh"]) == (200, {})
    assert await refresh(second["refresh"]) == not_valid(ENDED)


async def test_switching_rotation_on_and_off_signs_nobody_out(
    anna: Person, settings: Settings, database: Connection
) -> None:
    async with served(settings, refresh_rotation=True) as rotating:
        _, second = await post(rotating, "/auth/jwt/refresh/", refresh=anna.tokens["refresh"])
        pass_grace(database)
        status, body = await post(anna.client, "/auth/jwt/refresh/", refresh=second["refresh"])
        assert (status, list(body)) == (200, ["access"])
        status, third = await post(rotating, "/auth/jwt/refresh/", refresh=second["refresh"])
        assert (status, claims_of(third["refresh"])["rotation"]) == (200, 2)


async def test_a_token_that_was_rotated_out_stays_refused_when_rotation_is_switched_off(
    anna: Person, settings: Settings, database: Connection
) -> None:
    async with served(settings, refresh_rotation=True) as rotating:
        _, second = await post(rotating, "/auth/jwt/refresh/", refresh=anna.tokens["refresh"])
    pass_grace(database)
    assert await post(anna.client, "/auth/jwt/refresh/", refresh=anna.tokens["refresh"]) == not_valid(ENDED)
    assert (await post(anna.client, "/auth/jwt/refresh/", refresh=second["refresh"]))[0] == 200


@ROTATION
async def test_after_the_database_was_restored_from_a_backup_newer_tokens_still_refresh(
    anna: Person, refresh: Refresh, database: Connection
) -> None:
    _, second = await refresh(anna.tokens["refresh"])
    _, third = await refresh(second["refresh"])
    database.execute("update sessions set rotation = 0, rotated_at = null")
    status, body = await refresh(third["refresh"])
    assert (status, claims_of(body["refresh"])["rotation"]) == (200, 3)


@ROTATION
async def test_rotation_never_moves_the_end_of_a_session_beyond_its_lifetime(
    anna: Person, refresh: Refresh, database: Connection, settings: Settings
) -> None:
    almost = settings.session_lifetime - 3600
    database.execute("update sessions set opened_at = now() - make_interval(secs => %s)", [almost])
    _, body = await refresh(anna.tokens["refresh"])
    claims = claims_of(body["refresh"])
    ends = "select extract(epoch from expires_at)::float as ends, extract(epoch from now())::float as now from sessions"
    row = only_row(database, ends)
    assert claims["exp"] == int(row["ends"])
    assert 3500 < row["ends"] - row["now"] <= 3600
    database.execute("update sessions set opened_at = now() - make_interval(secs => %s)", [settings.session_lifetime])
    assert await refresh(body["refresh"]) == not_valid(ENDED)


@ROTATION
async def test_a_thousand_refreshes_leave_one_row(anna: Person, refresh: Refresh, database: Connection) -> None:
    token, tables = anna.tokens["refresh"], ("sessions", "one_time_tokens", "api_tokens", "events")
    before = [count(database, table) for table in tables]
    for _ in range(1000):
        _, body = await refresh(token)
        token = body["refresh"]
    assert [count(database, table) for table in tables] == before


@ROTATION
async def test_a_session_that_has_expired_is_not_refreshed(
    anna: Person, refresh: Refresh, database: Connection
) -> None:
    database.execute("update sessions set expires_at = now()")
    assert await refresh(anna.tokens["refresh"]) == not_valid(ENDED)


@ROTATION
async def test_a_deactivated_account_is_not_refreshed(anna: Person, refresh: Refresh, database: Connection) -> None:
    database.execute("alter table users disable trigger users_end_sessions")
    try:
        database.execute("update users set is_active = false")
    finally:
        database.execute("alter table users enable trigger users_end_sessions")
    assert await refresh(anna.tokens["refresh"]) == not_valid(ENDED)


@ROTATION
@pytest.mark.parametrize("rotation", [-1, 2**31 - 1, 2**80, 1.5, "1", True, None, [1]])
async def test_a_number_that_no_rotation_makes_is_no_token(anna: Person, refresh: Refresh, rotation: Any) -> None:
    assert await refresh(forge(anna, "refresh", rotation=rotation)) == not_valid("Token is invalid")
    assert (await anna.get("/auth/users/me/"))[0] == 200


@ROTATION
async def test_a_session_is_rotated_for_its_own_account_only(
    anna: Person, make_person: MakePerson, refresh: Refresh, database: Connection
) -> None:
    boris = await make_person("boris")
    foreign = forge(boris, "refresh", sid=claims_of(anna.tokens["refresh"])["sid"])
    assert await refresh(foreign) == not_valid(ENDED)
    assert await refresh(forge(anna, "refresh", sid=str(uuid.uuid4()))) == not_valid(ENDED)
    assert database.execute("select from sessions where rotation > 0").fetchall() == []


@ROTATION
async def test_the_document_describes_the_response_with_rotation(client: Client) -> None:
    async with client.get("/openapi.json") as response:
        document = await response.json()
    operation = document["paths"]["/auth/jwt/refresh/"]["post"]
    reference = operation["responses"]["200"]["content"]["application/json"]["schema"]["$ref"]
    shown = document["components"]["schemas"][reference.rpartition("/")[2]]
    assert set(shown["properties"]) == {"access", "refresh"}


@WITHOUT_GRACE
async def test_with_rotation_a_change_of_password_ends_all_other_sessions(anna: Person, refresh: Refresh) -> None:
    other = await anna.sign_in()
    _, mine = await refresh(anna.tokens["refresh"])
    _, others = await refresh(other.tokens["refresh"])
    change = {"current_password": PASSWORD, "new_password": "staple gun theory"}
    assert (await anna.post("/auth/users/set_password/", change))[0] == 204
    assert await refresh(others["refresh"]) == not_valid(ENDED)
    assert (await refresh(mine["refresh"]))[0] == 200
