"""Every token belongs to a session: signing in opens it, and what ends it ends its tokens at once (contract 4, 11)."""

import asyncio
import base64
import hashlib
import hmac
import json
import string
import time
import uuid
from types import SimpleNamespace
from typing import Any

import jwt
import pytest

from tests.conftest import KEY, Client, Person, post

ENDED = "Token is blacklisted"
INVALID = "Token is invalid"


def refused(message: str) -> tuple[int, Any]:
    """What a protected route answers to a token that is no good."""
    messages = [{"token_class": "AccessToken", "token_type": "access", "message": message}]
    detail = "Given token not valid for any token type"
    return 401, {"detail": detail, "code": "token_not_valid", "messages": messages}


def not_valid(message: str) -> tuple[int, Any]:
    """What refresh, verify and blacklist answer to a token that is no good."""
    return 401, {"detail": message, "code": "token_not_valid"}


def claims_of(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


def forge(
    person: Person, kind: str = "access", drop: str = "", header: Any = None, key: str = KEY, **claims: Any
) -> str:
    """A token as ours, but for what the test changes in it."""
    payload = claims_of(person.tokens[kind]) | claims
    payload.pop(drop, None)
    return jwt.encode(payload, key, "HS256", headers=header)


async def with_token(client: Client, token: str) -> tuple[int, Any]:
    async with client.get("/auth/users/me/", headers={"Authorization": f"Bearer {token}"}) as response:
        return response.status, await response.json()


async def test_the_claims_are_the_contracts_and_the_session(anna: Person) -> None:
    for kind, lifetime in (("access", 300), ("refresh", 86400)):
        claims = claims_of(anna.tokens[kind])
        assert list(claims) == ["token_type", "exp", "iat", "jti", "user_id", "sid"]
        assert (claims["token_type"], claims["exp"] - claims["iat"]) == (kind, lifetime)
        assert claims["user_id"] == str(anna.id)
        assert uuid.UUID(hex=claims["jti"]).version == 4
        assert anna.tokens[kind].startswith("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.")
    assert claims_of(anna.tokens["access"])["sid"] == claims_of(anna.tokens["refresh"])["sid"]
    assert claims_of(anna.tokens["access"])["jti"] != claims_of(anna.tokens["refresh"])["jti"]


async def test_a_token_is_made_as_the_contracts_sample_is(anna: Person) -> None:
    sample = (
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ0b2tlbl90eXBlIjoiYWNjZXNzIiwiZXhwIjoxODkzNDU2MDAwLCJpYXQiOjE4OTM0NTU3"
        "MDAsImp0aSI6IjAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwIiwidXNlcl9pZCI6IjQyIn0.jW1pGNaTunSlDHK-qHJAM_UZcmOCr"
        "PFxAyerUs-MZNk"
    )
    head, payload, _ = (base64.urlsafe_b64decode(part + "==") for part in sample.split("."))
    ours = anna.tokens["access"].split(".")
    assert base64.urlsafe_b64decode(ours[0] + "==") == head
    assert list(json.loads(payload)) == [name for name in claims_of(anna.tokens["access"]) if name != "sid"]
    assert by_hand(json.loads(head), payload, "secret-key", separators=(",", ":")) == sample
    assert by_hand(json.loads(head), base64.urlsafe_b64decode(ours[1] + "=="), separators=(",", ":")) == ".".join(ours)


async def test_a_session_lasts_as_long_as_its_refresh_token(anna: Person, database: Any) -> None:
    rows = database.execute("select id::text as sid, user_id, extract(epoch from expires_at) as ends from sessions")
    (row,) = rows.fetchall()
    claims = claims_of(anna.tokens["refresh"])
    assert (row["sid"], row["user_id"]) == (claims["sid"], anna.id)
    assert abs(float(row["ends"]) - claims["exp"]) < 60


async def test_a_token_that_was_good_expires_all_the_same(anna: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await anna.get("/auth/users/me/"))[0] == 200
    later = SimpleNamespace(time=lambda: claims_of(anna.tokens["access"])["exp"])
    monkeypatch.setattr("server.auth.tokens.time", later)
    assert await anna.get("/auth/users/me/") == refused("Token is expired")
    assert await post(anna.client, "/auth/jwt/verify/", token=anna.tokens["access"]) == not_valid("Token is expired")
    assert (await post(anna.client, "/auth/jwt/refresh/", refresh=anna.tokens["refresh"]))[0] == 200


async def test_signing_out_ends_one_session_with_all_its_tokens(anna: Person) -> None:
    other = await anna.sign_in()
    assert await post(anna.client, "/auth/jwt/blacklist/", refresh=anna.tokens["refresh"]) == (200, {})
    assert await anna.get("/auth/users/me/") == refused(ENDED)
    assert await post(anna.client, "/auth/jwt/blacklist/", refresh=anna.tokens["refresh"]) == not_valid(ENDED)
    assert await post(anna.client, "/auth/jwt/refresh/", refresh=anna.tokens["refresh"]) == not_valid(ENDED)
    for kind in ("access", "refresh"):
        assert await post(anna.client, "/auth/jwt/verify/", token=anna.tokens[kind]) == not_valid(ENDED)
    assert (await other.get("/auth/users/me/"))[0] == 200


@pytest.mark.parametrize("by", ["staff", "psql"])
async def test_deactivation_ends_every_session_and_activation_revives_none(
    anna: Person, staff: Person, database: Any, by: str
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


async def test_deletion_ends_every_session(anna: Person, database: Any) -> None:
    database.execute("delete from users where id = %s", [anna.id])
    assert await anna.get("/auth/users/me/") == (401, {"detail": "User not found", "code": "user_not_found"})


async def test_an_expired_session_is_over_though_its_tokens_are_not(anna: Person, database: Any) -> None:
    database.execute("update sessions set expires_at = now()")
    assert await anna.get("/auth/users/me/") == refused(ENDED)


async def test_a_session_speaks_for_its_own_account_alone(anna: Person, boris: Person) -> None:
    sid = claims_of(boris.tokens["access"])["sid"]
    assert await with_token(anna.client, forge(anna, sid=sid)) == refused(ENDED)


async def test_a_session_asked_for_by_two_accounts_at_once_speaks_for_its_own_alone(
    anna: Person, boris: Person
) -> None:
    foreign = forge(boris, sid=claims_of(anna.tokens["access"])["sid"])
    tokens = [anna.tokens["access"], foreign] * 10
    answers = await asyncio.gather(*(with_token(anna.client, token) for token in tokens))
    assert answers[1::2] == [refused(ENDED)] * 10
    assert {status for status, _ in answers[::2]} == {200}


async def test_every_kind_of_token_is_refused_where_another_is_wanted(anna: Person) -> None:
    wrong = "Token has wrong type"
    assert await with_token(anna.client, anna.tokens["refresh"]) == refused(wrong)
    for path in ("/auth/jwt/refresh/", "/auth/jwt/blacklist/"):
        assert await post(anna.client, path, refresh=anna.tokens["access"]) == not_valid(wrong)
    assert await post(anna.client, "/auth/jwt/verify/", token=forge(anna, token_type="reset")) == not_valid(wrong)


CRITICAL = ({"crit": ["x"], "x": 1}, {"crit": []}, {"crit": "x"}, {"b64": False, "crit": ["b64"]}, {"b64": False})


@pytest.mark.parametrize(
    ("message", "changed"),
    [
        ("Token is expired", {"exp": 1_000_000_000}),
        ("Token is expired", {"exp": 1_000_000_000.5}),
        ("Token has no 'exp' claim", {"drop": "exp"}),
        ("Token has no id", {"drop": "jti"}),
        ("Token has no type", {"drop": "token_type"}),
        ("Token contained no recognizable user identification", {"drop": "user_id"}),
        (INVALID, {"drop": "sid"}),
        (INVALID, {"key": "another key of more than 32 bytes in length"}),
        *((INVALID, {"nbf": value}) for value in (4_000_000_000, "soon", [], None, 10**400)),
        *((INVALID, {"iat": value}) for value in (4_000_000_000, "soon", [], None, 10**400)),
        *(("Token has wrong type", {"token_type": value}) for value in (None, ["access"], "Access", 1, "")),
        *((INVALID, {"exp": value}) for value in ("soon", [], True, 10**400, "9" * 5000)),
        *((INVALID, {"user_id": value}) for value in ("x", "", None, 1.5, True, [], "-1", "٣", "9" * 5000, 2**63)),
        *((INVALID, {"sid": value}) for value in ("x", 1, None, [], "0" * 32, "\0")),
        *((INVALID, {"header": value}) for value in CRITICAL),
        (ENDED, {"sid": str(uuid.UUID(int=0))}),
    ],
)
async def test_a_token_with_odd_claims_is_refused(anna: Person, message: str, changed: dict[str, Any]) -> None:
    assert await with_token(anna.client, forge(anna, **changed)) == refused(message)


async def test_a_numeric_user_id_a_float_expiry_and_foreign_claims_are_read(anna: Person) -> None:
    odd = forge(anna, user_id=anna.id, exp=time.time() + 60.5, aud="x", iss="y", sub="z")
    assert (await with_token(anna.client, odd))[0] == 200


@pytest.mark.parametrize(
    "header", [{"jwk": {"kty": "oct", "k": "AAAA"}}, {"jku": "https://evil.example"}, {"kid": "../x"}]
)
async def test_what_a_header_says_of_keys_is_ignored(anna: Person, header: dict[str, Any]) -> None:
    assert (await with_token(anna.client, forge(anna, header=header)))[0] == 200


def by_hand(header: Any, payload: bytes, key: str = KEY, **written: Any) -> str:
    """A signed token of any bytes, which no library would make."""
    parts = [base64.urlsafe_b64encode(part).rstrip(b"=") for part in (json.dumps(header, **written).encode(), payload)]
    signature = hmac.new(key.encode(), b".".join(parts), hashlib.sha256).digest()
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", None, "HS384", "HS512", "RS256", ["HS256"], "hs256"])
async def test_any_algorithm_but_ours_is_refused(anna: Person, algorithm: Any) -> None:
    payload = json.dumps(claims_of(anna.tokens["access"])).encode()
    token = by_hand({"alg": algorithm, "typ": "JWT"}, payload)
    assert await with_token(anna.client, token) == refused(INVALID)
    assert await with_token(anna.client, token.rpartition(".")[0] + ".") == refused(INVALID)


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e400", "9" * 1500])
@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
async def test_a_time_that_is_none_is_refused(anna: Person, claim: str, word: str) -> None:
    payload = json.dumps(claims_of(anna.tokens["access"]) | {claim: "@"}).replace('"@"', word)
    assert await with_token(anna.client, by_hand({"alg": "HS256"}, payload.encode())) == refused(INVALID)


@pytest.mark.parametrize("header", [[], "x", None, 1, {}, {"typ": "JWT"}])
async def test_a_header_that_names_no_algorithm_is_refused(anna: Person, header: Any) -> None:
    payload = json.dumps(claims_of(anna.tokens["access"])).encode()
    assert await with_token(anna.client, by_hand(header, payload)) == refused(INVALID)


@pytest.mark.parametrize("kid", [["a"], {"a": 1}, 1, None, "x" * 2000, "' or 1=1 --"])
async def test_a_hostile_key_id_is_no_failure(anna: Person, kid: Any) -> None:
    payload = json.dumps(claims_of(anna.tokens["access"])).encode()
    status, _ = await with_token(anna.client, by_hand({"alg": "HS256", "kid": kid}, payload))
    assert status in (200, 401)


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "a.b.c",
        "...",
        "é.é.é",
        "e30.e30.e30",
        by_hand({"alg": "HS256"}, b"[" * 2000),
        by_hand({"alg": "HS256"}, b"[]"),
        by_hand({"alg": "HS256"}, b"\xff"),
        by_hand({"alg": "HS256"}, b'{"exp": 1' + b"0" * 1500 + b"}"),
        "x" * 1_000_000,
        "[" * 3000 + "." * 3,
        "[" * 100_000,
        by_hand({"alg": "HS256", "kid": "x" * 700_000}, b"{}"),
    ],
    ids=lambda token: token[:12],
)
async def test_what_is_no_token_is_refused(anna: Person, token: str) -> None:
    for path, name in (("verify", "token"), ("refresh", "refresh"), ("blacklist", "refresh")):
        assert await post(anna.client, f"/auth/jwt/{path}/", **{name: token}) == not_valid(INVALID)


def spellings(token: str) -> list[str]:
    """The same token in other characters: padded, spaced, with the unused bits of its last letter set."""
    head, payload, signature = token.split(".")
    letters = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    return [
        f"{token}=",
        f"{token}==",
        f"{head}=.{payload}=.{signature}=",
        f" {token}\n",
        f"{head}. {payload}.{signature}",
        f"{head}.{payload}.{signature[:9]}\n{signature[9:]}",
        f"{token}\u00a0",
        *(f"{token[:-1]}{letters[letters.index(token[-1]) ^ bits]}" for bits in (1, 2, 3)),
        token.replace("-", "+").replace("_", "/"),
    ]


async def test_a_token_written_otherwise_is_the_same_token(anna: Person) -> None:
    await post(anna.client, "/auth/jwt/blacklist/", refresh=anna.tokens["refresh"])
    for token in spellings(anna.tokens["refresh"]):
        assert (await post(anna.client, "/auth/jwt/refresh/", refresh=token))[0] == 401, token
        assert (await post(anna.client, "/auth/jwt/verify/", token=token))[0] == 401, token
    for token in spellings(anna.tokens["access"]):
        if "\n" not in token:  # no header carries a line's end
            assert (await with_token(anna.client, token))[0] == 401, token


async def test_whichever_way_a_token_is_written_signing_out_ends_it(anna: Person) -> None:
    taken = 0
    for number in range(len(spellings(anna.tokens["refresh"]))):
        person = await anna.sign_in()
        written = spellings(person.tokens["refresh"])[number]
        status, _ = await post(person.client, "/auth/jwt/blacklist/", refresh=written)
        assert (await person.get("/auth/users/me/"))[0] == {200: 401, 401: 200}[status], written
        taken += status == 200
    assert taken >= 1


async def test_a_token_in_the_query_string_is_not_read(anna: Person) -> None:
    for name in ("token", "access_token", "jwt"):
        response = await anna.client.get("/auth/users/me/", params={name: anna.tokens["access"]})
        assert response.status == 401
