"""Requests that arrive slowly, in pieces or without end: bounded one by one and all together (security 38, 40, 41)."""

import asyncio
import contextlib
import gc
import json
import logging
import re
import weakref
from typing import Any

import pytest

from server.web import arriving, bodies
from tests.conftest import PASSWORD, Client, Person
from tests.web.connections import CHUNKED, bounds_of, head, opened, response_to, server_side, until

TOO_LARGE = b'{"detail":"The request body is too large."}'
SIGN_IN = json.dumps({"username": "anna", "password": PASSWORD}).encode()


def budget(client: Client) -> Any:
    """The bytes of all requests of the service under test that are not complete."""
    return bounds_of(client).arriving


def declared(client: Client) -> dict[tuple[str, str], int]:
    """The limit of each endpoint that reads a body and has no id in its path."""
    found = (getattr(route.handler, "endpoint", None) for route in client.app.router.routes())
    return {
        (each.method, each.path): each.body_max_bytes
        for each in found
        if each and each.body and each.in_document and "{" not in each.path
    }


async def test_a_declared_length_over_the_limit_is_413_at_once(anna: Person) -> None:
    limits = declared(anna.client)
    assert set(limits.values()) == {16 * 1024, 1024 * 1024}
    assert limits["POST", "/auth/jwt/create/"] == limits["PATCH", "/auth/users/me/"] == 16 * 1024
    assert limits["POST", "/auth/users/"] == limits["POST", "/api/accounts/all-profiles"] == 1024 * 1024
    for (method, path), limit in limits.items():
        sent = head(path, limit + 1, method)
        sent = sent.replace(b"\r\n", f"\r\nAuthorization: Bearer {anna.tokens['access']}\r\n".encode(), 1)
        async with asyncio.timeout(5), opened(anna.client, sent) as (reader, _):  # not one byte of the body is sent
            line = await reader.readline()
        assert line.split()[1] == b"413", (path, line)


async def test_the_document_says_the_limit_of_each_endpoint(anna: Person) -> None:
    paths = (await anna.get("/openapi.json"))[1]["paths"]
    for (method, path), limit in declared(anna.client).items():
        if path in paths:
            said = paths[path][method.lower()]["responses"]["413"]["description"]
            assert said == f"The body is larger than {limit} bytes."


async def test_a_body_of_unknown_length_is_413_as_soon_as_it_is_too_long(client: Client) -> None:
    sent = CHUNKED.replace(b"/auth/users/", b"/auth/jwt/create/") + b"5000\r\n" + b"x" * 0x5000
    async with asyncio.timeout(5), opened(client, sent) as (reader, _):
        assert (await reader.readline()).split()[1] == b"413"


async def test_the_unfinished_body_that_is_oldest_gives_way_with_503_when_all_together_hold_too_much(
    anna: Person,
) -> None:
    shared = budget(anna.client)
    shared.limit = 150_000
    part = head("/auth/users/", 1_000_000) + b"x" * 60_000
    async with asyncio.timeout(20), opened(anna.client, part) as (first, _):
        await until(lambda: shared.total >= 60_000)
        async with opened(anna.client, part):
            await until(lambda: shared.total >= 120_000)
            async with opened(anna.client, part):
                answer = await first.read()
                assert answer.startswith(b"HTTP/1.1 503 ")
                assert b"Retry-After: 2\r\n" in answer
                assert answer.endswith(b'{"detail":"The service is busy."}')
                await until(lambda: 120_000 <= shared.total <= shared.limit)
                assert (await anna.get("/auth/users/me/"))[0] == 200
                assert (await anna.patch("/auth/users/me/", {"email": "b@example.com"}))[0] == 200
    await until(lambda: shared.total == 0)


async def test_heads_and_pipelined_requests_are_counted_too(client: Client) -> None:
    shared = budget(client)
    async with opened(client, b"GET / HTTP/1.1\r\nX: " + b"x" * 5000):
        await until(lambda: shared.total > 5000)
    await until(lambda: shared.total == 0)
    shared.limit = 40_000
    unfinished = b"GET / HTTP/1.1\r\nHost: x\r\n" + (b"X: " + b"x" * 3000 + b"\r\n") * 4
    async with asyncio.timeout(20), opened(client, unfinished) as (first, _):
        await until(lambda: shared.total > 12_000)
        async with opened(client, unfinished):
            assert await first.read() == b""  # closed: it has no complete head that could get a response
        assert (await client.get("/healthz")).status == 200


async def test_pipelined_requests_are_given_back_one_by_one(client: Client) -> None:
    status, text = await response_to(
        client, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 99 + b"GET /healthz HTTP/1.0\r\n\r\n"
    )
    assert (status, text.count(b'{"status":"ok"}')) == (200, 100)
    await until(lambda: budget(client).total == 0)


async def test_a_head_counts_with_what_its_headers_cost_in_memory(client: Client) -> None:
    async with opened(client, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100):
        await until(lambda: budget(client).total > 100 * 300)


async def test_a_complete_body_that_no_handler_has_read_gives_way_with_503(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared, waits = budget(client), asyncio.Event()
    read = bodies._read

    async def wait(*arguments: Any) -> bytes:
        await waits.wait()
        return await read(*arguments)

    monkeypatch.setattr(bodies, "_read", wait)
    sent = head("/auth/users/", 50_000) + b" " * 50_000
    async with asyncio.timeout(20), opened(client, sent) as (first, _):
        await until(lambda: shared.total >= 50_000 and server_side(client)[0]._arriving.is_handling)  # type: ignore[union-attr]
        shared.limit = 60_000
        async with opened(client, sent) as (second, _):
            await until(lambda: 50_000 <= shared.total <= 60_000 and len(server_side(client)) == 2)
            waits.set()
            assert (await first.readline()).startswith(b"HTTP/1.1 503 ")
            assert (await second.readline()).startswith(b"HTTP/1.1 400 ")  # read, and its fields are missing


async def test_a_body_that_gives_way_as_more_of_it_arrives_is_not_taken_for_whole(anna: Person) -> None:
    profile, form = await anna.profile(), "application/x-www-form-urlencoded"
    sent = head(f"/api/accounts/profile/{profile['id']}", 500_000, "PATCH").replace(b"application/json", form.encode())
    sent = sent.replace(b"\r\n", f"\r\nAuthorization: {anna.header['Authorization']}\r\n".encode(), 1)
    async with asyncio.timeout(10), opened(anna.client, sent + b"description=this+is+only+the") as (reader, _):
        await until(lambda: [each for each in server_side(anna.client) if each._arriving._body])  # type: ignore[union-attr]
        (connection,) = [each for each in server_side(anna.client) if each._arriving._body]  # type: ignore[union-attr]
        await until(lambda: connection._arriving._body._waiter)  # type: ignore[union-attr]
        connection.data_received(b"+beginning")
        connection._arriving.give_way()  # type: ignore[union-attr]
        assert (await reader.readline()).split()[1] == b"503"
    assert await anna.profile() == profile


async def test_requests_of_a_connection_that_gives_way_as_they_arrive_are_not_handled(client: Client) -> None:
    assert client.server.runner is not None
    budget(client).limit = 10_000
    async with asyncio.timeout(10), opened(client, VALID * 30) as (reader, _):
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
    assert client.server.runner.server.requests_count == 0  # type: ignore[union-attr]


async def test_a_closed_connection_leaves_nothing_to_the_garbage_collection(client: Client) -> None:
    gc.collect()
    gc.disable()
    try:
        for sent in (b"GET / HTTP/1.1\r\nX: y\r\n", head("/auth/users/", 90) + b"{", b"GET /healthz HTTP/1.0\r\n\r\n"):
            async with opened(client, sent):
                await until(lambda: server_side(client))
                kept = weakref.ref(server_side(client)[0]._arriving)
            await until(lambda: not server_side(client))
            await until(lambda: kept() is None)  # noqa: B023  awaited in the loop
    finally:
        gc.enable()


VALID = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
VALID_BODY = head("/auth/jwt/verify/", 2) + b"{}"
VALID_CHUNKS = CHUNKED + b"2\r\n{}\r\n0\r\n\r\n"


@pytest.mark.parametrize("bad", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nX\r\n\r\n", CHUNKED + b"zz\r\n"])
@pytest.mark.parametrize(
    ("valid", "statuses"),
    [
        (VALID, [b"200"]),
        (VALID_BODY, [b"400"]),
        (VALID_CHUNKS, [b"400"]),
        (VALID + VALID_BODY + VALID_CHUNKS + VALID, [b"200", b"400", b"400", b"200"]),
        (VALID * 40, [b"200"] * 40),
    ],
    ids=["a request", "a body", "chunks", "several", "more than wait"],
)
async def test_requests_before_a_malformed_one_get_their_responses(
    client: Client, valid: bytes, statuses: list[bytes], bad: bytes
) -> None:
    _, text = await response_to(client, valid + bad)
    assert re.findall(rb"HTTP/1\.\d (\d+) ", text) == [*statuses, b"400"]
    assert text.count(b"The request could not be read.") == (b"zz" not in bad)


async def test_a_head_may_end_in_two_packets_before_a_malformed_request(client: Client) -> None:
    for length in (1, 2, 3):
        async with asyncio.timeout(10), opened(client, VALID[:-length]) as (reader, writer):
            await until(lambda: budget(client).total)
            writer.write(VALID[-length:] + b"nonsense\r\n\r\n")
            text = await reader.read()
            assert re.findall(rb"HTTP/1\.\d (\d+) ", text) == [b"200", b"400"]


async def test_the_preface_of_http_2_is_505_in_whatever_packets(client: Client) -> None:
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    for begin in range(1, len(preface)):
        async with asyncio.timeout(10), opened(client, preface[:begin]) as (reader, writer):
            await until(lambda: server_side(client))
            await until(lambda: budget(client).total or server_side(client)[0]._arriving.is_broken)  # type: ignore[union-attr]
            writer.write(preface[begin:])
            assert (await reader.readline()).split()[1] == b"505", begin
        await until(lambda: not server_side(client))
    assert (await response_to(client, preface[:18]))[0] == 505  # the parser waits for the rest
    assert (await response_to(client, preface + b"\0\0\x12\x04\0\0\0\0\0"))[0] == 505


async def test_the_head_of_a_request_has_at_most_32_kb(client: Client) -> None:
    many = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + b"".join(
        b"X-%d: %s\r\n" % (number, b"x" * 4000) for number in range(12)
    )
    for sent in (many + b"\r\n", many, b"\r\n" * 20_000):
        status, text = await response_to(client, sent)
        assert status == 400
        assert text.endswith(b'{"detail":"The head of the request is too large."}'), text
    fits = many[: many.index(b"X-7")] + b"\r\n"
    assert (await response_to(client, fits))[0] == 200


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param(b"1\r\nx\r\n" * 100_000, id="chunks of one byte"),
        pytest.param(b"1;" + b"x" * 1_000_000, id="a long extension"),
        pytest.param(b"1;" + b"x" * 1000 + b"\r\nx\r\n" + (b"1;" + b"x" * 1000 + b"\r\nx\r\n") * 100, id="extensions"),
        pytest.param(b"000000000000000" * 5000, id="a long size"),
        pytest.param(b"0\r\n" + b"X: x\r\n" * 10_000, id="trailers"),
        pytest.param(b"zz\r\n", id="no size"),
    ],
)
async def test_chunks_are_bounded_in_number_and_extensions_in_length(
    client: Client, rest: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    status, text = await response_to(client, CHUNKED + rest)
    assert status == 400, text
    assert text.count(b"HTTP/1.") == 1
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


async def test_the_parser_never_gets_more_than_a_slice_at_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    read = arriving.Arriving._read

    def record(self: arriving.Arriving, data: bytes) -> Any:
        sizes.append(len(data))
        return read(self, data)

    monkeypatch.setattr(arriving.Arriving, "_read", record)
    sent = CHUNKED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    await response_to(client, sent + b"FFFF0\r\n" + b" " * 0xFFFF0 + b"\r\n0\r\n\r\n")
    assert sum(sizes) > 0xFFFF0
    assert max(sizes) <= arriving.SLICE_BYTES


async def test_a_body_of_many_chunks_of_a_usual_size_is_read(anna: Person) -> None:
    body = SIGN_IN[:-1] + b" " * 15_000 + b"}"
    pieces = b"".join(b"64\r\n" + body[start : start + 100] + b"\r\n" for start in range(0, len(body) - 100, 100))
    last = body[len(body) // 100 * 100 :] if len(body) % 100 else body[-100:]
    sent = CHUNKED.replace(b"/auth/users/", b"/auth/jwt/create/").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    status, text = await response_to(anna.client, sent + pieces + b"%x\r\n" % len(last) + last + b"\r\n0\r\n\r\n")
    assert status == 200, text


@pytest.mark.parametrize("coding", [b"gzip", b"gzip, chunked", b"chunked, gzip", b"identity", b"Chunked, chunked"])
async def test_a_transfer_encoding_other_than_chunked_is_501(client: Client, coding: bytes) -> None:
    sent = CHUNKED.replace(b"chunked", coding) + b"0\r\n\r\n"
    status, text = await response_to(client, sent)
    assert status == 501
    assert text.endswith(b'{"detail":"The transfer encoding of the request is not supported."}')
    assert b"X-Request-ID: " in text


async def test_the_case_of_chunked_does_not_matter(client: Client) -> None:
    sent = CHUNKED.replace(b"chunked\r\n", b"CHUNKED\r\nConnection: close\r\n") + b"2\r\n{}\r\n0\r\n\r\n"
    assert (await response_to(client, sent))[0] == 400  # fields are missing


@pytest.mark.parametrize("version", [b"0.9", b"1.2", b"2.0", b"3.0", b"9.9"])
async def test_another_version_of_http_is_505_and_the_connection_closed(client: Client, version: bytes) -> None:
    status, text = await response_to(client, b"GET /healthz HTTP/" + version + b"\r\nHost: x\r\n\r\n")
    assert status == 505, text
    assert text.endswith(b'{"detail":"The HTTP version of the request is not supported."}')
    assert text.count(b"X-Request-ID: ") == 1


@pytest.mark.parametrize("count", [1, 3])
async def test_a_client_that_stops_sending_gets_its_responses(client: Client, count: int) -> None:
    sent = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * count
    status, text = await response_to(client, sent, half_close=True)
    assert (status, text.count(b'{"status":"ok"}')) == (200, count)


async def test_a_client_that_stops_sending_after_a_malformed_request_gets_its_responses(client: Client) -> None:
    _, text = await response_to(client, VALID * 3 + b"nonsense\r\n\r\n", half_close=True)
    assert re.findall(rb"HTTP/1\.\d (\d+) ", text) == [b"200", b"200", b"200", b"400"]


async def test_a_client_that_stops_sending_gets_a_response_that_needs_the_database_and_a_hash(anna: Person) -> None:
    sent = head("/auth/jwt/create/", len(SIGN_IN)) + SIGN_IN
    status, text = await response_to(anna.client, sent, half_close=True)
    assert (status, b'"access":' in text) == (200, True)
    sent = b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n"
    status, text = await response_to(anna.client, sent, half_close=True)
    assert (status, len(text) > 1_700_000) == (200, True)


async def test_a_client_that_leaves_before_it_is_told_to_continue_causes_no_error(client: Client) -> None:
    async with opened(client):
        await until(lambda: server_side(client))
        (connection,) = server_side(client)
        connection.data_received(head("/auth/users/", 10).replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
        connection.drop()
        await until(lambda: not server_side(client))


async def test_a_client_that_stops_sending_within_a_body_is_closed(client: Client) -> None:
    async with asyncio.timeout(10), opened(client, head("/auth/users/", 100) + b"{") as (reader, writer):
        await until(lambda: server_side(client))
        writer.write_eof()
        assert await reader.read() == b""
    await until(lambda: not server_side(client))


async def test_an_upgrade_is_not_taken(client: Client) -> None:
    upgrade = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    status, text = await response_to(client, upgrade * 2 + b"GET /healthz HTTP/1.0\r\n\r\n")
    assert (status, text.count(b'{"status":"ok"}')) == (200, 3)
    _, text = await response_to(client, upgrade + b"\0" * 500_000)
    assert re.findall(rb"HTTP/1\.\d (\d+) ", text) == [b"200", b"400"]


HOSTILE = [
    b"nonsense\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n" + b"\0" * 100_000,
    b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET http://[::1/ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET http://x:99999999/ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /%ff%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: \xff\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nSec-WebSocket-Key1: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n",
    b"GET / HTTP/1.1\nHost: x\n\n",
    CHUNKED + b"zz\r\n",
    CHUNKED + b"2\r\n{}\r\n0\r\nX\r\n\r\n",
    CHUNKED + b"1\r\nx\r\n" * 50_000,
    CHUNKED.replace(b"chunked", b"gzip"),
    head("/auth/users/", 10**12),
    head("/auth/users/me/", 10**6, "PATCH") + b"x" * 200_000,
    head("/nothing", 1000) + b"x",
    head("/healthz", 1000, "GET") + b"x",
    head("/auth/users/", 2) + b"\xff\xff" + b"trailing nonsense\r\n\r\n",
    b"GET /healthz HTTP/1.1\r\nHost: x\r\nExpect: \xff\r\n\r\n",
    b"POST /auth/users/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    b"GET /docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n\r\n" * 40,
    b"GET /healthz HTTP/1.1\r\nHost: x\r\nCookie: " + b"\xff=\x01;" * 100 + b"\r\n\r\n",
    b"GET /healthz?" + b"&=%" * 2000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
]


@pytest.mark.parametrize("sent", HOSTILE, ids=lambda sent: repr(sent[:24])[2:-1])
@pytest.mark.parametrize("leaves", ["closes", "stops sending", "resets", "is dropped"])
async def test_what_a_client_does_is_never_an_error_in_the_log(
    client: Client, caplog: pytest.LogCaptureFixture, sent: bytes, leaves: str
) -> None:
    caplog.set_level(logging.INFO)
    async with asyncio.timeout(20), opened(client, sent) as (reader, writer):
        if leaves == "stops sending":
            writer.write_eof()
        if leaves == "resets":
            await writer.drain()
            writer.transport.abort()
        elif leaves == "is dropped":
            await until(lambda: server_side(client))
            for each in server_side(client):
                each.drop()
        else:
            await asyncio.wait([asyncio.ensure_future(reader.read(100))], timeout=0.2)
    await until(lambda: not server_side(client))
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_body_that_is_announced_too_long_is_not_asked_for(client: Client) -> None:
    start = b"POST /auth/jwt/verify/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nExpect: 100-continue\r\n"
    for length, first in ((2, b"HTTP/1.1 100 Continue\r\n"), (16385, b"HTTP/1.1 413 Request Entity Too Large\r\n")):
        async with opened(client, start + b"Content-Length: %d\r\n\r\n" % length) as (reader, _):
            assert await reader.readline() == first


@pytest.mark.parametrize("version", [b"0.9", b"2.0", b"1.2"])
async def test_another_version_is_a_505_also_when_more_follows_in_the_same_packet(
    client: Client, version: bytes
) -> None:
    more = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    async with opened(client, b"GET /healthz HTTP/" + version + b"\r\nHost: x\r\n\r\n" + more) as (reader, _):
        assert (await reader.readline()).split()[1] == b"505"
