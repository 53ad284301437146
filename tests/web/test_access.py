"""Doors: what a header may say, what an answer carries, and bytes that are no HTTP (contract 1.1, 1.4, 1.6, 11)."""

import asyncio
import json
import logging
import re
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from server.app import create_app
from server.settings.settings import Settings
from server.telemetry.logs import request_id
from server.web.app_keys import DB
from tests.conftest import Client, FrontdeskServer, Person

CHALLENGE = 'Bearer realm="api"'
BAD = 'Bearer realm="api", error="invalid_token"'
NONE = "Authentication credentials were not provided."
TWO = "Authorization header must contain two space-delimited values"
GIVEN = "Given token not valid for any token type"
GUARDS = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Vary": "Accept",
    "Content-Type": "application/json",
    "Server": "Frontdesk",
}

REFUSED = [
    ("", NONE, CHALLENGE),
    ("Basic YTpi", NONE, CHALLENGE),
    ("eyJ.eyJ.x", NONE, CHALLENGE),
    ("Bearer", TWO, BAD),
    ("Bearer a b", TWO, BAD),
    ("jwt", TWO, BAD),
    ("Bearer nonsense", GIVEN, BAD),
    ("bearer \xff", GIVEN, BAD),
    ("JWT a.b.c", GIVEN, BAD),
    ("Token", "Invalid token header. No credentials provided.", BAD),
    ("Token a b", "Invalid token header. Token string should not contain spaces.", BAD),
    ("token 0123456789012345678901234567890123456789", "Invalid token.", BAD),
]


@pytest.mark.parametrize(("header", "detail", "challenge"), REFUSED)
async def test_a_protected_route_says_what_is_wrong(client: Client, header: str, detail: str, challenge: str) -> None:
    response = await client.get("/auth/users/me/", headers={"Authorization": header})
    assert (response.status, (await response.json())["detail"]) == (401, detail)
    assert response.headers["WWW-Authenticate"] == challenge


@pytest.mark.parametrize(("header", "detail", "challenge"), [row for row in REFUSED if row[2] == BAD])
async def test_a_bad_header_is_refused_on_public_routes_too(
    client: Client, header: str, detail: str, challenge: str
) -> None:
    response = await client.post("/auth/users/", headers={"Authorization": header})
    assert (response.status, (await response.json())["detail"]) == (401, detail)
    for path in ("/auth/jwt/create/", "/auth/jwt/verify/"):
        assert (await client.post(path, headers={"Authorization": header})).status == 400
    for path in ("/healthz", "/readyz", "/docs", "/openapi.json"):
        assert (await client.get(path, headers={"Authorization": header})).status == 200


@pytest.mark.parametrize("keyword", ["Bearer", "bearer", "BEARER", "JWT", "jwt", "Jwt", "Bearer  ", " Bearer"])
async def test_the_keyword_is_known_in_any_case(anna: Person, keyword: str) -> None:
    headers = {"Authorization": f"{keyword} {anna.tokens['access']}"}
    assert (await anna.client.get("/auth/users/me/", headers=headers)).status == 200


async def test_two_authorization_headers_are_refused(anna: Person) -> None:
    headers = [("Authorization", anna.header["Authorization"])] * 2
    response = await anna.client.get("/auth/users/me/", headers=headers)
    assert (response.status, await response.json()) == (401, {"detail": TWO, "code": "bad_authorization_header"})


@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
async def test_who_and_what_come_before_the_body(anna: Person, boris: Person, kind: str) -> None:
    says: dict[str, Any] = {"data": b"{broken", "headers": {"Content-Type": kind}}
    for method, path, status in (
        ("PUT", f"/api/accounts/profile/{(await boris.profile())['id']}", 403),
        ("PUT", "/api/accounts/profile/999999999", 404),
        ("PATCH", f"/auth/users/{boris.id}/", 404),
        ("TRACE", f"/auth/users/{boris.id}/", 405),
        ("DELETE", "/auth/users/me/", 415 if kind == "text/plain" else 400),
    ):
        assert (await anna.client.request(method, path, **says)).status == 401
        assert (await anna.ask(method, path, data=says["data"], headers=says["headers"].copy()))[0] == status


@pytest.mark.parametrize(
    ("method", "path", "accept", "status"),
    [
        ("GET", "/auth/users/me/", "*/*", 200),
        ("POST", "/auth/users/", "*/*", 400),
        ("GET", "/auth/users/me/", "text/html", 406),
        ("GET", "/nope", "*/*", 404),
        ("PUT", "/auth/jwt/create/", "*/*", 405),
    ],
)
async def test_every_answer_carries_the_guarding_headers(
    anna: Person, method: str, path: str, accept: str, status: int
) -> None:
    headers = anna.header | {"Accept": accept, "X-Request-ID": "number-one"}
    response = await anna.client.request(method, path, headers=headers)
    assert {name: response.headers.get(name) for name in GUARDS} == GUARDS
    assert (response.status, response.headers["X-Request-ID"]) == (status, "number-one")
    assert "Set-Cookie" not in response.headers


async def test_a_request_id_is_kept_if_it_is_sane_and_made_otherwise(client: Client) -> None:
    async def told(given: str | None) -> str:
        response = await client.get("/healthz", headers={"X-Request-ID": given} if given is not None else {})
        return response.headers["X-Request-ID"]

    assert await told("3f2a-b.c:d_E") == "3f2a-b.c:d_E"
    for odd in (None, "", "a b", "x" * 65, "<script>", "é"):
        assert await told(odd) not in ("", odd)
    assert await told(None) != await told(None)


async def fails_in_itself(request: web.Request) -> None:
    raise RuntimeError("the secret of the house")


SECRETS = ("anna@example.com", "the hash of a password")


async def fails_in_the_database(request: web.Request) -> None:
    # Not written out here: the log shows this very line in its traceback.
    await request.app[DB].row("users/register", "x" * 151, *SECRETS, False, None, False, "en")


@pytest.mark.parametrize(
    ("handler", "logged"),
    [(fails_in_itself, "the secret of the house"), (fails_in_the_database, "users_username_length")],
)
async def test_a_failure_of_ours_tells_the_log_what_and_the_caller_nothing(
    settings: Settings, database: Any, caplog: pytest.LogCaptureFixture, handler: Any, logged: str
) -> None:
    app = create_app(settings)
    app.router.add_get("/fails", handler)
    handler.endpoint = next(iter(app.router.routes())).handler.endpoint
    async with TestClient(FrontdeskServer(app)) as client:
        response = await client.get("/fails", headers={"X-Request-ID": "number-one"})
        assert (response.status, await response.json()) == (500, {"detail": "Internal server error."})
    assert {name: response.headers.get(name) for name in GUARDS} == GUARDS
    assert response.headers["X-Request-ID"] == "number-one"
    assert logged in caplog.text
    assert not re.search("|".join(SECRETS), caplog.text)


async def raw(client: Client, sent: bytes) -> tuple[bytes, bytes]:
    """What comes back for these very bytes: head and body."""
    reader, writer = await asyncio.open_connection(client.host, client.port)
    writer.write(sent)
    await writer.drain()
    async with asyncio.timeout(5):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return head, body


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 5 + b"\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"SECRETMETHOD / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n",
        b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 10_000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ids=lambda sent: sent[:12],
)
async def test_what_is_no_http_is_a_json_400_that_echoes_nothing(
    client: Client, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    ids: list[str] = []
    caplog.handler.addFilter(lambda record: ids.append(request_id.get()) or True)  # type: ignore[func-returns-value]
    with caplog.at_level(logging.INFO):
        head, body = await raw(client, sent)
    assert head[:13] in (b"HTTP/1.0 400 ", b"HTTP/1.1 400 ")
    assert b"Content-Type: application/json" in head
    assert json.loads(body) == {"detail": "The request could not be read."}
    assert [record.getMessage()[:22] for record in caplog.records] == ["malformed request from"]
    assert re.search(rb"X-Request-ID: (\S+)", head)[1].decode() == ids[0]  # type: ignore[index]


async def test_an_expectation_is_met_or_refused(anna: Person) -> None:
    start = b"POST /auth/jwt/verify/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
    head, body = await raw(anna.client, start + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}")
    assert head == b"HTTP/1.1 100 Continue"
    assert body.startswith(b"HTTP/1.1 400 ")
    head, _ = await raw(anna.client, start + b"Expect: the-unexpected\r\nContent-Length: 0\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 417 ")
    head, body = await raw(anna.client, start.replace(b"/verify/", b"/no") + b"Expect: the-unexpected\r\n\r\n")
    assert (b"application/json" in head, b"the-unexpected" in body) == (True, False)
    assert b"X-Request-ID: " in head


@pytest.mark.parametrize("request_line", [b"GET /auth/users/me/", b"POST /auth/jwt/create/", b"DELETE /no"])
async def test_an_expectation_that_is_no_text_is_refused_like_any_other(
    client: Client, caplog: pytest.LogCaptureFixture, request_line: bytes
) -> None:
    head, body = await raw(client, request_line + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: \xff\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 417 ")
    assert json.loads(body) == {"detail": "Expectation Failed."}
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


PREFLIGHT = {
    "Origin": "https://app.example",
    "Access-Control-Request-Method": "PATCH",
    "Access-Control-Request-Headers": "authorization,content-type",
}


async def test_without_the_setting_no_origin_is_let_in(client: Client) -> None:
    response = await client.options("/auth/users/", headers=PREFLIGHT)
    assert response.status == 401
    assert not [name for name in response.headers if name.startswith("Access-Control")]


class TestForeignOrigins:
    """CORS_ORIGINS=https://app.example"""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, cors_origins=("https://app.example",))

    async def test_a_preflight_of_the_named_origin_is_answered(self, client: Client) -> None:
        for path in ("/auth/users/", "/auth/users/me/", "/auth/jwt/create/", "/api/accounts/profile/1"):
            response = await client.options(path, headers=PREFLIGHT)
            assert response.status == 204
            assert response.headers["Access-Control-Allow-Origin"] == "https://app.example"
            assert "PATCH" in response.headers["Access-Control-Allow-Methods"]
            assert "Authorization" in response.headers["Access-Control-Allow-Headers"]
            assert "Access-Control-Allow-Credentials" not in response.headers
            for name in ("Server", "X-Frame-Options", "X-Content-Type-Options", "Referrer-Policy"):
                assert response.headers.get(name) == GUARDS[name]
            assert "X-Request-ID" in response.headers

    async def test_answers_and_errors_name_the_origin(self, anna: Person) -> None:
        for path, status in (("/auth/users/me/", 200), ("/nope", 404)):
            headers = anna.header | {"Origin": "https://app.example"}
            response = await anna.client.get(path, headers=headers)
            assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (status, "https://app.example")
            assert response.headers["Vary"] == "Accept, Origin"

    @pytest.mark.parametrize(
        "origin", ["https://evil.example", "http://app.example", "https://app.example.evil", "null"]
    )
    async def test_another_origin_is_not_let_in(self, client: Client, origin: str) -> None:
        for response in (
            await client.options("/auth/users/", headers=PREFLIGHT | {"Origin": origin}),
            await client.get("/healthz", headers={"Origin": origin}),
        ):
            assert "Access-Control-Allow-Origin" not in response.headers
            assert "Origin" in response.headers["Vary"]


class TestEveryOrigin:
    """CORS_ORIGINS=*"""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, cors_origins=("*",))

    async def test_every_origin_is_let_in_without_being_named(self, client: Client) -> None:
        response = await client.get("/healthz", headers={"Origin": "https://anything.example"})
        assert response.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.parametrize(
    "host", [b"x:99999999", b"\xff", b"@@@:::", b"[::1", b"a b", b"a/b?c", b"%00", b"<script>", b"x:port"]
)
async def test_a_host_that_is_none_is_a_400(client: Client, host: bytes) -> None:
    head, body = await raw(client, b"GET /auth/ HTTP/1.1\r\nConnection: close\r\nHost: " + host + b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body) == {"detail": "The Host header is not valid."}


async def test_without_a_host_the_address_stands_for_it(client: Client) -> None:
    head, body = await raw(client, b"GET /auth/ HTTP/1.0\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 ")
    assert json.loads(body) == {"users": f"http://127.0.0.1:{client.port}/auth/users/"}


async def test_each_request_has_a_line_in_the_log_where_the_settings_say_so(
    settings: Settings, database: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for wanted in (True, False):
        caplog.clear()
        caplog.set_level(logging.INFO, "server")
        async with TestClient(FrontdeskServer(create_app(replace(settings, access_log=wanted)))) as client:
            await client.get("/auth/users/me/?secret=x")
        lines = [record.getMessage() for record in caplog.records if record.name == "server.web.middleware"]
        assert len(lines) == wanted
        assert all(re.fullmatch(r"GET /auth/users/me/ 401 \d+\.\d ms", line) for line in lines)
