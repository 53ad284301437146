"""Every token belongs to a session: signing in opens it, and what ends it ends its tokens at once (contract 4, 11)."""

import base64
import hashlib
import hmac
import json
import time
import uuid
from dataclasses import replace
from typing import Any

import bcrypt
import jwt
import pytest
from aiohttp.test_utils import TestClient

from server.settings import Settings
from tests.conftest import KEY, PASSWORD, Person, post

NO_ACCOUNT = (401, {"detail": "No active account found with the given credentials"})
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


async def with_token(client: TestClient, token: str) -> tuple[int, Any]:
    async with client.get("/auth/users/me/", headers={"Authorization": f"Bearer {token}"}) as response:
        return response.status, await response.json()


@pytest.mark.parametrize(
    ("given", "faults"),
    [
        ({}, {"username": ["This field is required."], "password": ["This field is required."]}),
        (
            {"username": "", "password": ""},
            {name: ["This field may not be blank."] for name in ("username", "password")},
        ),
        ({"username": "a\0", "password": "x"}, {"username": ["Null characters are not allowed."]}),
        ({"username": "a", "password": "x" * 5000}, {"password": ["Ensure this field has no more than 4096 bytes."]}),
    ],
)
async def test_faults_of_the_form_are_field_errors(client: TestClient, given: Any, faults: Any) -> None:
    assert await post(client, "/auth/jwt/create/", **given) == (400, faults)


async def test_every_sign_in_that_fails_looks_the_same(anna: Person, boris: Person, database: Any) -> None:
    database.execute("update users set is_active = false where id = %s", [boris.id])
    database.execute("insert into users (username) values ('unusable')")
    database.execute("insert into users (username, password) values ('damaged', 'bcrypt_sha256$$2b$04$')")
    for name, password in (
        ("anna", "wrong"),
        ("anna", PASSWORD + " "),
        ("nobody", PASSWORD),
        ("boris", PASSWORD),
        ("unusable", "!"),
        ("damaged", PASSWORD),
    ):
        assert await post(anna.client, "/auth/jwt/create/", username=name, password=password) == NO_ACCOUNT, name


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


async def test_refresh_gives_a_new_access_token_of_the_same_session(anna: Person) -> None:
    status, answer = await post(anna.client, "/auth/jwt/refresh/", refresh=f" {anna.tokens['refresh']} ")
    assert (status, list(answer)) == (200, ["access"])
    assert claims_of(answer["access"])["sid"] == claims_of(anna.tokens["access"])["sid"]
    assert (await with_token(anna.client, answer["access"]))[0] == 200


async def test_verify_takes_what_a_route_or_refresh_would_take(anna: Person) -> None:
    for kind in ("access", "refresh"):
        assert await post(anna.client, "/auth/jwt/verify/", token=anna.tokens[kind]) == (200, {})


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
    assert await post(anna.client, "/auth/jwt/refresh/", refresh=anna.tokens["refresh"]) == not_valid(ENDED)


async def test_an_expired_session_is_over_though_its_tokens_are_not(anna: Person, database: Any) -> None:
    database.execute("update sessions set expires_at = now()")
    assert await anna.get("/auth/users/me/") == refused(ENDED)
    assert await post(anna.client, "/auth/jwt/blacklist/", refresh=anna.tokens["refresh"]) == not_valid(ENDED)


async def test_a_session_speaks_for_its_own_account_alone(anna: Person, boris: Person) -> None:
    sid = claims_of(boris.tokens["access"])["sid"]
    assert await with_token(anna.client, forge(anna, sid=sid)) == refused(ENDED)


async def test_every_kind_of_token_is_refused_where_another_is_wanted(anna: Person) -> None:
    wrong = "Token has wrong type"
    assert await with_token(anna.client, anna.tokens["refresh"]) == refused(wrong)
    for path in ("/auth/jwt/refresh/", "/auth/jwt/blacklist/"):
        assert await post(anna.client, path, refresh=anna.tokens["access"]) == not_valid(wrong)
    assert await post(anna.client, "/auth/jwt/verify/", token=forge(anna, token_type="reset")) == not_valid(wrong)


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
        (INVALID, {"nbf": 4_000_000_000}),
        (INVALID, {"iat": 4_000_000_000}),
        *((INVALID, {"exp": value}) for value in ("soon", [], True, 10**400, "9" * 5000)),
        *((INVALID, {"user_id": value}) for value in ("x", "", None, 1.5, True, [], "-1", "٣", "9" * 5000, 2**63)),
        *((INVALID, {"sid": value}) for value in ("x", 1, None, [], "0" * 32, "\0")),
        *((INVALID, {"header": value}) for value in ({"crit": ["x"], "x": 1}, {"b64": False, "crit": ["b64"]})),
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


def by_hand(header: Any, payload: bytes, key: str = KEY) -> str:
    """A signed token of any bytes, which no library would make."""
    parts = [base64.urlsafe_b64encode(part).rstrip(b"=") for part in (json.dumps(header).encode(), payload)]
    signature = hmac.new(key.encode(), b".".join(parts), hashlib.sha256).digest()
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", None, "HS384", "HS512", "RS256", ["HS256"], "hs256"])
async def test_any_algorithm_but_ours_is_refused(anna: Person, algorithm: Any) -> None:
    payload = json.dumps(claims_of(anna.tokens["access"])).encode()
    token = by_hand({"alg": algorithm, "typ": "JWT"}, payload)
    assert await with_token(anna.client, token) == refused(INVALID)
    assert await with_token(anna.client, token.rpartition(".")[0] + ".") == refused(INVALID)


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
    ],
    ids=lambda token: token[:12],
)
async def test_what_is_no_token_is_refused(anna: Person, token: str) -> None:
    for path, name in (("verify", "token"), ("refresh", "refresh"), ("blacklist", "refresh")):
        assert await post(anna.client, f"/auth/jwt/{path}/", **{name: token}) == not_valid(INVALID)


async def test_a_token_written_otherwise_is_the_same_token(anna: Person) -> None:
    head, payload, signature = anna.tokens["access"].split(".")
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    spelt = [
        f"{head}.{payload}.{signature}=",
        f"{head}.{payload}.{signature[:-1]}{last[last.index(signature[-1]) ^ 1]}",
    ]
    await post(anna.client, "/auth/jwt/blacklist/", refresh=anna.tokens["refresh"])
    for token in spelt:
        assert (await with_token(anna.client, token))[0] == 401


async def test_a_token_in_the_query_string_is_not_read(anna: Person) -> None:
    for name in ("token", "access_token", "jwt"):
        response = await anna.client.get("/auth/users/me/", params={name: anna.tokens["access"]})
        assert response.status == 401


async def test_nothing_in_the_database_signs_anybody_in(anna: Person, database: Any) -> None:
    dump = str([database.execute(f"select * from {table}").fetchall() for table in ("users", "profiles", "sessions")])
    for token in anna.tokens.values():
        assert token not in dump
        assert claims_of(token)["jti"] not in dump


def stored_at(rounds: int) -> str:
    digest = hashlib.sha256(PASSWORD.encode()).hexdigest().encode()
    return "bcrypt_sha256$" + bcrypt.hashpw(digest, bcrypt.gensalt(rounds)).decode()


class TestAtFiveRounds:
    """The cost of hashes was raised."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, bcrypt_rounds=5)

    @pytest.mark.parametrize(("rounds", "kept"), [(4, False), (5, True), (6, True)])
    async def test_only_a_weaker_hash_is_rewritten_at_the_next_sign_in(
        self, anna: Person, database: Any, rounds: int, kept: bool
    ) -> None:
        stored = stored_at(rounds)
        database.execute("update users set password = %s", [stored])
        assert (await (await anna.sign_in()).get("/auth/users/me/"))[0] == 200
        assert (database.execute("select password from users").fetchone()["password"] == stored) is kept
        assert (await (await anna.sign_in()).get("/auth/users/me/"))[0] == 200
