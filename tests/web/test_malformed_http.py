"""Malformed HTTP, unknown expectations and malformed Host headers get a JSON response (contract 12)."""

import asyncio
import json
import logging
import re

import pytest

from server.telemetry.logs import request_id
from tests.conftest import Client, Person


async def raw(client: Client, sent: bytes) -> tuple[bytes, bytes]:
    """Send exactly these bytes: head and body of the response."""
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
        b"SECRET/METHOD / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n",
        b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 10_000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ids=lambda sent: sent[:12],
)
async def test_malformed_http_is_a_json_400_that_echoes_nothing(
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


@pytest.mark.parametrize("method", [b"FOO", b"GETX", b"foo", b"PROPFIND"])
@pytest.mark.parametrize(
    ("path", "allow"),
    [(b"/auth/", b"GET, HEAD, OPTIONS"), (b"/auth/jwt/create?x=1", b"POST, OPTIONS"), (b"/nothing", None)],
)
async def test_an_unknown_method_is_a_405_with_allow_and_an_unknown_path_a_404(
    client: Client, method: bytes, path: bytes, allow: bytes | None
) -> None:
    head, body = await raw(client, method + b" " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    text = f'Method "{method.decode()}" not allowed.' if allow else "Not found."
    assert json.loads(body) == {"detail": text}
    assert head.split()[1] == (b"405" if allow else b"404")
    found = re.search(rb"Allow: ([^\r]+)", head)
    assert (found and found[1]) == allow
    assert b"X-Request-ID: " in head


async def test_100_continue_is_sent_and_other_expectations_are_refused(anna: Person) -> None:
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
async def test_an_expectation_that_is_not_text_is_refused_like_any_other(
    client: Client, caplog: pytest.LogCaptureFixture, request_line: bytes
) -> None:
    head, body = await raw(client, request_line + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: \xff\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 417 ")
    assert json.loads(body) == {"detail": "Expectation Failed."}
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize(
    "host", [b"x:99999999", b"\xff", b"@@@:::", b"[::1", b"a b", b"a/b?c", b"%00", b"<script>", b"x:port"]
)
@pytest.mark.parametrize("path", [b"/auth/", b"/healthz", b"/auth/users/me/", b"/docs", b"/nothing"])
async def test_a_malformed_host_is_a_400_on_every_route(client: Client, host: bytes, path: bytes) -> None:
    head, body = await raw(client, b"GET " + path + b" HTTP/1.1\r\nConnection: close\r\nHost: " + host + b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body) == {"detail": "The Host header is not valid."}


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (b"http://x/healthz", b"200"),
        (b"HTTPS://x/healthz", b"200"),
        (b"ftp://x/healthz", b"400"),
        (b"file:///healthz", b"400"),
        (b"http+unix://x/healthz", b"400"),
    ],
)
async def test_a_target_of_another_scheme_is_a_400(client: Client, target: bytes, status: bytes) -> None:
    head, body = await raw(client, b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert head.split()[1] == status
    assert "detail" in json.loads(body) or status == b"200"


@pytest.mark.parametrize("hosts", [b"", b"Host: a\r\nHost: b\r\n", b"Host: a\r\nHost: a\r\n"])
async def test_a_request_has_one_host(client: Client, hosts: bytes) -> None:
    head, body = await raw(client, b"GET /healthz HTTP/1.1\r\nConnection: close\r\n" + hosts + b"\r\n")
    assert head.split()[1] == b"400"
    assert list(json.loads(body)) == ["detail"]


async def test_without_a_host_header_the_address_of_the_socket_is_used(client: Client) -> None:
    head, body = await raw(client, b"GET /auth/ HTTP/1.0\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 ")
    assert json.loads(body) == {"users": f"http://127.0.0.1:{client.port}/auth/users/"}


@pytest.mark.parametrize("body", [b"2\r\n{}\r\n0\r\n\r\n", b"0\r\n\r\n"])
async def test_a_chunked_body_in_http_1_0_is_refused_with_whatever_follows(client: Client, body: bytes) -> None:
    sent = (
        b"POST /auth/jwt/verify/ HTTP/1.0\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n"
        + body
    )
    head, text = await raw(client, sent + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert head.split()[1] in (b"400", b"501")
    assert b"HTTP/1" not in text
