"""Sessions: every token belongs to one; a session that ends ends its tokens at once (contract 4, 11.10)."""

import asyncio
import base64
import json
import time
import uuid

import pytest

from tests.conftest import Person, post
from tests.jwts import ENDED, claims_of, forge, not_valid, refused, sign_bytes, with_token
from tests.rows import Connection


async def test_the_claims_are_those_of_the_contract_and_the_session_id(anna: Person) -> None:
    for kind, lifetime in (("access", 300), ("refresh", 86400)):
        claims = claims_of(anna.tokens[kind])
        assert list(claims) == ["token_type", "exp", "iat", "jti", "user_id", "sid"]
        assert (claims["token_type"], claims["exp"] - claims["iat"]) == (kind, lifetime)
        assert claims["user_id"] == str(anna.id)
        assert uuid.UUID(hex=claims["jti"]).version == 4
        assert anna.tokens[kind].startswith("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.")
    assert claims_of(anna.tokens["access"])["sid"] == claims_of(anna.tokens["refresh"])["sid"]
    assert claims_of(anna.tokens["access"])["jti"] != claims_of(anna.tokens["refresh"])["jti"]


async def test_a_token_has_the_form_of_the_sample_in_the_contract(anna: Person) -> None:
    sample = (
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ0b2tlbl90eXBlIjoiYWNjZXNzIiwiZXhwIjoxODkzNDU2MDAwLCJpYXQiOjE4OTM0NTU3"
        "MDAsImp0aSI6IjAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwIiwidXNlcl9pZCI6IjQyIn0.jW1pGNaTunSlDHK-qHJAM_UZcmOCr"
        "PFxAyerUs-MZNk"
    )
    head, payload, _ = (base64.urlsafe_b64decode(part + "==") for part in sample.split("."))
    issued = anna.tokens["access"].split(".")
    assert base64.urlsafe_b64decode(issued[0] + "==") == head
    assert list(json.loads(payload)) == [name for name in claims_of(anna.tokens["access"]) if name != "sid"]
    assert sign_bytes(json.loads(head), payload, "secret-key", separators=(",", ":")) == sample
    payload = base64.urlsafe_b64decode(issued[1] + "==")
    assert sign_bytes(json.loads(head), payload, separators=(",", ":")) == ".".join(issued)


async def test_a_session_lasts_as_long_as_its_refresh_token(anna: Person, database: Connection) -> None:
    rows = database.execute("select id::text as sid, user_id, extract(epoch from expires_at) as ends from sessions")
    (row,) = rows.fetchall()
    claims = claims_of(anna.tokens["refresh"])
    assert (row["sid"], row["user_id"]) == (claims["sid"], anna.id)
    assert abs(float(row["ends"]) - claims["exp"]) < 60


async def test_an_accepted_token_is_refused_once_it_has_expired(anna: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await anna.get("/auth/users/me/"))[0] == 200
    expiry = claims_of(anna.tokens["access"])["exp"]
    monkeypatch.setattr(time, "time", lambda: expiry)
    assert await anna.get("/auth/users/me/") == refused("Token is expired")
    assert await post(anna.client, "/auth/jwt/verify/", token=anna.tokens["access"]) == not_valid("Token is expired")
    assert (await post(anna.client, "/auth/jwt/refresh/", refresh=anna.tokens["refresh"]))[0] == 200


async def test_signing_out_ends_one_session_and_all_its_tokens(anna: Person) -> None:
    other = await anna.sign_in()
    assert await post(anna.client, "/auth/jwt/blacklist/", refresh=anna.tokens["refresh"]) == (200, {})
    assert await anna.get("/auth/users/me/") == refused(ENDED)
    assert await post(anna.client, "/auth/jwt/blacklist/", refresh=anna.tokens["refresh"]) == not_valid(ENDED)
    assert await post(anna.client, "/auth/jwt/refresh/", refresh=anna.tokens["refresh"]) == not_valid(ENDED)
    for kind in ("access", "refresh"):
        assert await post(anna.client, "/auth/jwt/verify/", token=anna.tokens[kind]) == not_valid(ENDED)
    assert (await other.get("/auth/users/me/"))[0] == 200


@pytest.mark.parametrize("by", ["staff", "psql"])
async def test_deactivation_ends_every_session_and_activation_restores_none(
    anna: Person, staff: Person, database: Connection, by: str
) -> None:
    async def switch(active: bool) -> None:
        if by == "staff":
            await staff.patch(f"/auth/users/{anna.id}/", {"is_active": active})
        else:
            database.execute("update users set is_active = %s where id = %s", [active, anna.id])

    await switch(False)
    assert await anna.get("/auth/users/me/") == (401, {"detail": "User is inactive", "code": "user_inactive"})
    assert await post(anna.client, "/auth/jwt/refresh/", refresh=anna.tokens["refresh"]) == not_valid(ENDED)
    assert await post(anna.client, "/auth/jwt/verify/", token=anna.tokens["access"]) == not_valid(ENDED)
    await switch(True)
    assert await anna.get("/auth/users/me/") == refused(ENDED)
    assert (await (await anna.sign_in()).get("/auth/users/me/"))[0] == 200


async def test_deletion_ends_every_session(anna: Person, database: Connection) -> None:
    database.execute("delete from users where id = %s", [anna.id])
    assert await anna.get("/auth/users/me/") == (401, {"detail": "User not found", "code": "user_not_found"})


async def test_an_expired_session_ends_tokens_that_have_not_expired(anna: Person, database: Connection) -> None:
    database.execute("update sessions set expires_at = now()")
    assert await anna.get("/auth/users/me/") == refused(ENDED)


async def test_a_session_is_accepted_for_its_own_account_only(anna: Person, boris: Person) -> None:
    sid = claims_of(boris.tokens["access"])["sid"]
    assert await with_token(anna.client, forge(anna, sid=sid)) == refused(ENDED)


async def test_a_session_sent_by_two_accounts_at_once_is_accepted_for_its_own_only(anna: Person, boris: Person) -> None:
    foreign = forge(boris, sid=claims_of(anna.tokens["access"])["sid"])
    tokens = [anna.tokens["access"], foreign] * 10
    responses = await asyncio.gather(*(with_token(anna.client, token) for token in tokens))
    assert responses[1::2] == [refused(ENDED)] * 10
    assert {status for status, _ in responses[::2]} == {200}
