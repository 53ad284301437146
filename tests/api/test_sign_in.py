"""Signing in: /auth/jwt/ ignores the Authorization header; all failures look alike and run one hash (contract 2, 4)."""

import asyncio
import base64
import hashlib
from collections import Counter
from dataclasses import replace
from typing import Any

import bcrypt
import pytest

from server.settings.settings import Settings
from tests.conftest import PASSWORD, Client, Person, post
from tests.jwts import claims_of, forge
from tests.rows import Connection, count, only_row

CREATE, REFRESH, VERIFY, BLACKLIST = (f"/auth/jwt/{name}/" for name in ("create", "refresh", "verify", "blacklist"))
FIELDS = {CREATE: ["username", "password"], REFRESH: ["refresh"], VERIFY: ["token"], BLACKLIST: ["refresh"]}
NO_ACCOUNT = (401, {"detail": "No active account found with the given credentials"})
ENDED = (401, {"detail": "Token is blacklisted", "code": "token_not_valid"})

TOO_MUCH = ["Ensure this field has no more than 4096 bytes."]
SURROGATE = ["Surrogate characters are not allowed: U+D800."]


def sid(token: str) -> str:
    session_id: str = claims_of(token)["sid"]
    return session_id


def sessions(database: Connection) -> int:
    return count(database, "sessions")


@pytest.mark.parametrize("path", [REFRESH, VERIFY])
async def test_a_refresh_token_is_of_the_account_of_its_session(anna: Person, boris: Person, path: str) -> None:
    foreign = forge(boris, "refresh", sid=sid(anna.tokens["refresh"]))
    assert await post(anna.client, path, **{FIELDS[path][0]: foreign}) == ENDED


@pytest.mark.parametrize("path", [CREATE, CREATE.rstrip("/")])
async def test_signing_in_returns_two_tokens_and_opens_a_session(anna: Person, database: Connection, path: str) -> None:
    response = await anna.client.post(path, json={"username": "anna", "password": PASSWORD, "unknown": []})
    pair = await response.json()
    assert (response.status, list(pair), sessions(database)) == (200, ["refresh", "access"], 2)
    assert response.headers["Cache-Control"] == "no-store"
    assert sid(pair["access"]) == sid(pair["refresh"]) != sid(anna.tokens["access"])


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        pytest.param(None, "This field may not be null.", id="null"),
        pytest.param("", "This field may not be blank.", id="blank"),
        pytest.param(True, "Not a valid string.", id="boolean"),
        pytest.param([], "Not a valid string.", id="list"),
        pytest.param({}, "Not a valid string.", id="object"),
        pytest.param("a\0", "Null characters are not allowed.", id="NUL"),
        pytest.param("\ud800", SURROGATE[0], id="lone surrogate"),
    ],
)
@pytest.mark.parametrize("path", FIELDS)
async def test_an_invalid_field_is_a_field_error(client: Client, path: str, value: Any, fault: str) -> None:
    given = dict.fromkeys(FIELDS[path], value)
    assert await post(client, path, **given) == (400, {name: [fault] for name in FIELDS[path]})


@pytest.mark.parametrize("path", FIELDS)
async def test_a_missing_field_is_required(client: Client, path: str) -> None:
    assert await post(client, path) == (400, {name: ["This field is required."] for name in FIELDS[path]})


@pytest.mark.parametrize("path", FIELDS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE"])
async def test_another_method_is_405_with_any_credentials(client: Client, path: str, method: str) -> None:
    for headers in ({}, {"Authorization": "Bearer nonsense"}):
        response = await client.request(method, path, headers=headers)
        assert (response.status, response.headers["Allow"]) == (405, "POST, OPTIONS")
        assert method == "HEAD" or await response.json() == {"detail": f'Method "{method}" not allowed.'}


@pytest.mark.parametrize("header", ["Bearer", "Bearer nonsense", "Token x", "Basic x"])
async def test_the_authorization_header_is_ignored(anna: Person, header: str) -> None:
    given = {"username": "anna", "password": PASSWORD}
    for twice in (1, 2):
        response = await anna.client.post(CREATE, json=given, headers=[("Authorization", header)] * twice)
        assert response.status == 200


async def test_every_failed_sign_in_looks_the_same_and_opens_no_session(
    anna: Person, boris: Person, database: Connection
) -> None:
    database.execute("update users set is_active = false where id = %s", [boris.id])
    database.execute("insert into users (username) values ('unusable')")
    database.execute("insert into users (username, password) values ('damaged', 'bcrypt_sha256$$2b$04$')")
    for name, password in (
        ("anna", "wrong"),
        ("anna", f"{PASSWORD} "),
        ("anna", f" {PASSWORD}"),
        ("anna", PASSWORD.upper()),
        ("nobody", PASSWORD),
        ("anna@example.com", PASSWORD),
        ("no name at all!", PASSWORD),
        ("boris", PASSWORD),
        ("unusable", "!"),
        ("damaged", PASSWORD),
    ):
        response = await anna.client.post(CREATE, json={"username": name, "password": password})
        assert (response.status, await response.json()) == NO_ACCOUNT, name
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="api"'
    assert sessions(database) == 1


@pytest.mark.parametrize("name", ["anna", "nobody", "boris", "unusable"])
async def test_every_sign_in_runs_one_hash(
    anna: Person, boris: Person, database: Connection, hashes: Counter[str], name: str
) -> None:
    database.execute("update users set is_active = false where id = %s", [boris.id])
    database.execute("insert into users (username) values ('unusable')")
    await post(anna.client, CREATE, username=name, password=PASSWORD)
    assert hashes["run"] == 1


@pytest.mark.parametrize(
    "change",
    [
        pytest.param("update users set is_active = false", id="deactivated"),
        pytest.param("update users set password = '!'", id="another password"),
        pytest.param("delete from users", id="deleted"),
    ],
)
async def test_an_account_that_changes_during_the_password_check_is_not_signed_in(
    anna: Person, database: Connection, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    check = bcrypt.checkpw

    def change_meanwhile(*arguments: Any) -> bool:
        database.execute(change)
        return check(*arguments)

    monkeypatch.setattr(bcrypt, "checkpw", change_meanwhile)
    before = sessions(database)
    assert await post(anna.client, CREATE, username="anna", password=PASSWORD) == NO_ACCOUNT
    assert sessions(database) <= before


@pytest.mark.parametrize(
    ("password", "faults"),
    [
        pytest.param("x" * 4097, TOO_MUCH, id="too many characters"),
        pytest.param("é" * 2049, TOO_MUCH, id="too many bytes"),
        pytest.param("x" * 16_000, TOO_MUCH, id="as many as fit"),
        pytest.param("\ud800", SURROGATE, id="lone surrogate"),
        pytest.param("a\0", ["Null characters are not allowed."], id="NUL"),
    ],
)
async def test_an_invalid_password_runs_no_hash(
    anna: Person, hashes: Counter[str], password: str, faults: list[str]
) -> None:
    assert await post(anna.client, CREATE, username="anna", password=password) == (400, {"password": faults})
    assert await post(anna.client, "/auth/users/", username="x", password=password) == (400, {"password": faults})
    status, response = await anna.delete("/auth/users/me/", {"current_password": password})
    assert (status, response) == (400, {"current_password": faults})
    assert hashes["run"] == 0


@pytest.mark.parametrize("password", ["  spaces around it  ", "correct horse battery staple" * 4, "ß" * 128])
async def test_a_password_is_not_trimmed_or_cut(client: Client, password: str) -> None:
    assert (await post(client, "/auth/users/", username="anna", password=password))[0] == 201
    assert (await post(client, "/auth/jwt/create/", username="anna", password=password))[0] == 200
    for other in (password.strip() + "x", password[:-1], password.encode()[:72].decode()):
        if other != password:
            assert (await post(client, "/auth/jwt/create/", username="anna", password=other))[0] == 401


async def test_a_password_is_stored_as_bcrypt_over_sha256(anna: Person, database: Connection) -> None:
    assert only_row(database, "select password from users")["password"].startswith("bcrypt_sha256$$2b$04$")


async def test_a_password_of_the_longest_length_signs_in(client: Client) -> None:
    password = "é" * 2048
    assert (await post(client, "/auth/users/", username="anna", password=password))[0] == 201
    assert (await post(client, CREATE, username="anna", password=password))[0] == 200


async def test_a_username_registered_in_one_unicode_form_signs_in_in_every_other(client: Client) -> None:
    assert (await post(client, "/auth/users/", username="ｗｉｄｅ", password=PASSWORD))[1]["username"] == "wide"
    for spelling in ("wide", "WIDE", "ＷＩＤＥ", "Ｗide", " wide\n"):
        assert (await post(client, CREATE, username=spelling, password=PASSWORD))[0] == 200, spelling


@pytest.mark.parametrize("path", [REFRESH, REFRESH.rstrip("/")])
async def test_refresh_returns_a_new_access_token_of_the_same_session(
    anna: Person, database: Connection, path: str
) -> None:
    status, response = await post(anna.client, path, refresh=f" {anna.tokens['refresh']} ")
    assert (status, list(response), sessions(database)) == (200, ["access"], 1)
    assert sid(response["access"]) == sid(anna.tokens["access"])
    anna.tokens["access"] = response["access"]
    assert (await anna.get("/auth/users/me/"))[0] == 200


async def test_many_refreshes_at_once_all_succeed_and_insert_no_rows(anna: Person, database: Connection) -> None:
    responses = await asyncio.gather(*(post(anna.client, REFRESH, refresh=anna.tokens["refresh"]) for _ in range(20)))
    assert {status for status, _ in responses} == {200}
    assert {sid(response["access"]) for _, response in responses} == {sid(anna.tokens["access"])}
    assert sessions(database) == 1


@pytest.mark.parametrize(
    "end",
    [
        pytest.param("update users set is_active = false", id="inactive"),
        pytest.param("delete from users", id="gone"),
        pytest.param("delete from sessions", id="ended"),
        pytest.param("update sessions set expires_at = now()", id="expired"),
    ],
)
async def test_refresh_and_verify_do_not_tell_why_a_session_has_ended(
    anna: Person, database: Connection, end: str
) -> None:
    database.execute(end)
    assert await post(anna.client, REFRESH, refresh=anna.tokens["refresh"]) == ENDED
    assert await post(anna.client, BLACKLIST, refresh=anna.tokens["refresh"]) == ENDED
    for token in anna.tokens.values():
        assert await post(anna.client, VERIFY, token=token) == ENDED


async def test_verify_accepts_access_and_refresh_tokens(anna: Person) -> None:
    for token in anna.tokens.values():
        for path in (VERIFY, VERIFY.rstrip("/")):
            assert await post(anna.client, path, token=token) == (200, {})


async def test_a_refused_token_is_challenged_with_invalid_token(client: Client) -> None:
    for path, name in ((REFRESH, "refresh"), (VERIFY, "token"), (BLACKLIST, "refresh")):
        response = await client.post(path, json={name: "nonsense"})
        assert (response.status, list(await response.json())) == (401, ["detail", "code"])
        assert response.headers["WWW-Authenticate"] == 'Bearer realm="api", error="invalid_token"'


async def test_of_many_sign_outs_at_once_one_succeeds(anna: Person) -> None:
    responses = await asyncio.gather(*(post(anna.client, BLACKLIST, refresh=anna.tokens["refresh"]) for _ in range(20)))
    assert sorted(status for status, _ in responses) == [200] + [401] * 19


async def test_no_token_is_stored_in_the_database(anna: Person, database: Connection) -> None:
    dump = str([database.execute(f"select * from {table}").fetchall() for table in ("users", "profiles", "sessions")])
    for token in anna.tokens.values():
        assert token not in dump
        assert claims_of(token)["jti"] not in dump


def stored_at(rounds: int) -> str:
    digest = hashlib.sha256(PASSWORD.encode()).hexdigest().encode()
    return "bcrypt_sha256$" + bcrypt.hashpw(digest, bcrypt.gensalt(rounds)).decode()


class TestAtFiveRounds:
    """BCRYPT_ROUNDS was raised from 4 to 5."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, bcrypt_rounds=5)

    @pytest.mark.parametrize(("rounds", "kept"), [(4, False), (5, True), (6, True)])
    async def test_only_a_weaker_hash_is_rewritten_at_the_next_sign_in(
        self, anna: Person, database: Connection, rounds: int, kept: bool
    ) -> None:
        stored = stored_at(rounds)
        database.execute("update users set password = %s", [stored])
        assert (await (await anna.sign_in()).get("/auth/users/me/"))[0] == 200
        assert (only_row(database, "select password from users")["password"] == stored) is kept
        assert (await (await anna.sign_in()).get("/auth/users/me/"))[0] == 200


async def test_an_imported_hash_signs_in_and_is_rewritten(anna: Person, database: Connection) -> None:
    digest = base64.b64encode(hashlib.pbkdf2_hmac("sha256", PASSWORD.encode(), b"salt", 1000)).decode()
    database.execute("update users set password = %s", [f"pbkdf2_sha256$1000$salt${digest}"])
    assert (await post(anna.client, "/auth/jwt/create/", username="anna", password="wrong horse"))[0] == 401
    assert only_row(database, "select password from users")["password"].startswith("pbkdf2_sha256$")
    assert (await (await anna.sign_in()).get("/auth/users/me/"))[0] == 200
    assert only_row(database, "select password from users")["password"].startswith("bcrypt_sha256$$2b$04$")
    assert (await (await anna.sign_in()).get("/auth/users/me/"))[0] == 200
