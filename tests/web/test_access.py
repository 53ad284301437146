"""Doors: what a header may say, what an answer carries, and bytes that are no HTTP (contract 1.1, 1.4, 1.6, 11)."""

import asyncio
import json
import logging
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from server.app import create_app
from server.settings import Settings
from tests.conftest import HouseServer, Person, post

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
async def test_a_protected_route_says_what_is_wrong(
    client: TestClient, header: str, detail: str, challenge: str
) -> None:
    response = await client.get("/auth/users/me/", headers={"Authorization": header})
    assert (response.status, (await response.json())["detail"]) == (401, detail)
    assert response.headers["WWW-Authenticate"] == challenge


@pytest.mark.parametrize(("header", "detail", "challenge"), [row for row in REFUSED if row[2] == BAD])
async def test_a_bad_header_is_refused_on_public_routes_too(
    client: TestClient, header: str, detail: str, challenge: str
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


async def test_strangers_are_refused_before_the_body_is_read(client: TestClient) -> None:
    for method, path in (
        ("PUT", "/api/accounts/profile/1"),
        ("DELETE", "/auth/users/me/"),
        ("PATCH", "/auth/users/1/"),
    ):
        assert (await client.request(method, path, data=b"{broken")).status == 401


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("*/*", 401),
        ("application/*", 401),
        ("application/json; indent=4", 401),
        ("text/html,application/xhtml+xml,*/*;q=0.8", 401),
        ("APPLICATION/JSON", 401),
        ("text/html", 406),
        ("application/json;q=0, */*", 406),
        ("*/*;q=0.000", 406),
        ("application/xml, text/*", 406),
        (";;,,", 406),
    ],
)
async def test_an_accept_header_without_json_is_406(client: TestClient, accept: str, status: int) -> None:
    response = await client.get("/auth/users/me/", headers={"Accept": accept})
    assert response.status == status
    if status == 406:
        assert await response.json() == {"detail": "Could not satisfy the request Accept header."}


async def test_every_answer_carries_the_guarding_headers(anna: Person) -> None:
    for method, path in (
        ("GET", "/auth/users/me/"),
        ("GET", "/nope"),
        ("PUT", "/auth/jwt/create/"),
        ("POST", "/auth/users/"),
    ):
        response = await anna.client.request(method, path, headers=anna.header)
        assert {name: response.headers.get(name) for name in GUARDS} == GUARDS, path
        assert "Set-Cookie" not in response.headers


async def test_a_204_has_no_content_type(anna: Person) -> None:
    response = await anna.client.delete(f"/api/accounts/profile/{(await anna.profile())['id']}", headers=anna.header)
    assert (response.status, await response.read(), response.headers.get("Content-Type")) == (204, b"", None)


async def test_a_request_id_is_kept_if_it_is_sane_and_made_otherwise(client: TestClient) -> None:
    async def told(given: str | None) -> str:
        response = await client.get("/healthz", headers={"X-Request-ID": given} if given is not None else {})
        return response.headers["X-Request-ID"]

    assert await told("3f2a-b.c:d_E") == "3f2a-b.c:d_E"
    for odd in (None, "", "a b", "x" * 65, "<script>", "é"):
        assert await told(odd) not in ("", odd)
    assert await told(None) != await told(None)


async def test_a_failure_of_ours_tells_the_log_all_and_the_caller_nothing(
    settings: Settings, database: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(request: web.Request) -> web.Response:
        raise RuntimeError("the secret of the house")

    app = create_app(settings)
    app.router.add_get("/fails", fail)
    fail.endpoint = next(iter(app.router.routes())).handler.endpoint  # type: ignore[attr-defined]
    async with TestClient(HouseServer(app)) as client:
        response = await client.get("/fails", headers={"X-Request-ID": "number-one"})
        assert (response.status, await response.json()) == (500, {"detail": "Internal server error."})
    assert "the secret of the house" in caplog.text


async def raw(client: TestClient, sent: bytes) -> tuple[bytes, bytes]:
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
    client: TestClient, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        head, body = await raw(client, sent)
    assert head[:13] in (b"HTTP/1.0 400 ", b"HTTP/1.1 400 ")
    assert b"Content-Type: application/json" in head
    assert json.loads(body) == {"detail": "The request could not be read."}
    assert [record.getMessage()[:22] for record in caplog.records] == ["malformed request from"]


async def test_an_expectation_is_met_or_refused(anna: Person) -> None:
    start = b"POST /auth/jwt/verify/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
    head, body = await raw(anna.client, start + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}")
    assert head == b"HTTP/1.1 100 Continue"
    assert body.startswith(b"HTTP/1.1 400 ")
    head, _ = await raw(anna.client, start + b"Expect: the-unexpected\r\nContent-Length: 0\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 417 ")


PREFLIGHT = {
    "Origin": "https://app.example",
    "Access-Control-Request-Method": "PATCH",
    "Access-Control-Request-Headers": "authorization,content-type",
}


async def test_without_the_setting_no_origin_is_let_in(client: TestClient) -> None:
    response = await client.options("/auth/users/", headers=PREFLIGHT)
    assert response.status == 401
    assert not [name for name in response.headers if name.startswith("Access-Control")]


class TestForeignOrigins:
    """CORS_ORIGINS=https://app.example"""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, cors_origins=("https://app.example",))

    async def test_a_preflight_of_the_named_origin_is_answered(self, client: TestClient) -> None:
        for path in ("/auth/users/", "/auth/users/me/", "/auth/jwt/create/", "/api/accounts/profile/1"):
            response = await client.options(path, headers=PREFLIGHT)
            assert response.status == 204
            assert response.headers["Access-Control-Allow-Origin"] == "https://app.example"
            assert "PATCH" in response.headers["Access-Control-Allow-Methods"]
            assert "Authorization" in response.headers["Access-Control-Allow-Headers"]
            assert "Access-Control-Allow-Credentials" not in response.headers

    async def test_answers_and_errors_name_the_origin(self, anna: Person) -> None:
        for path, status in (("/auth/users/me/", 200), ("/nope", 404)):
            headers = anna.header | {"Origin": "https://app.example"}
            response = await anna.client.get(path, headers=headers)
            assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (status, "https://app.example")
            assert response.headers["Vary"] == "Accept, Origin"

    @pytest.mark.parametrize(
        "origin", ["https://evil.example", "http://app.example", "https://app.example.evil", "null"]
    )
    async def test_another_origin_is_not_let_in(self, client: TestClient, origin: str) -> None:
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

    async def test_every_origin_is_let_in_without_being_named(self, client: TestClient) -> None:
        response = await client.get("/healthz", headers={"Origin": "https://anything.example"})
        assert response.headers["Access-Control-Allow-Origin"] == "*"


async def test_registration_by_somebody_signed_in_is_let_in(anna: Person) -> None:
    assert (await post(anna.client, "/auth/users/", username="boris", password="a phrase of words"))[0] == 201
    given = {"username": "clara", "password": "a phrase of words"}
    assert (await anna.post("/auth/users/", given))[0] == 201


@pytest.mark.parametrize("host", [b"x:99999999", b"\xff", b"@@@:::", b"[::1", b"a b", b"a/b?c", b"%00"])
async def test_a_host_that_is_none_is_a_400(client: TestClient, host: bytes) -> None:
    head, body = await raw(client, b"GET /auth/ HTTP/1.1\r\nConnection: close\r\nHost: " + host + b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body) == {"detail": "The Host header is not valid."}


async def test_without_a_host_the_address_stands_for_it(client: TestClient) -> None:
    head, body = await raw(client, b"GET /auth/ HTTP/1.0\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 ")
    assert json.loads(body) == {"users": f"http://127.0.0.1:{client.port}/auth/users/"}
