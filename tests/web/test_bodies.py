"""Bodies in general: three media types, a limit, no compression, and no effect of a refused one (contract 1.2)."""

import asyncio
import gzip
import io
import json
import logging
from typing import Any

import pytest
from aiohttp import FormData

from tests.conftest import PASSWORD, Client, Person
from tests.web.sending import FORM, JSON, MULTIPART, send


def body_of(kind: str, given: dict[str, str]) -> dict[str, Any]:
    """`given` as a body of `kind`: the arguments for a request."""
    if kind == "json":
        return {"json": given}
    return {"data": FormData(given, default_to_multipart=kind == "multipart")}


@pytest.mark.parametrize("kind", ["json", "form", "multipart"])
async def test_every_endpoint_reads_all_three_media_types(anna: Person, kind: str) -> None:
    profile = f"/api/accounts/profile/{(await anna.profile())['id']}"
    for method, path, given, status in (
        ("POST", "/auth/users/", {"username": "бόб", "password": PASSWORD}, 201),
        ("POST", "/auth/jwt/create/", {"username": "anna", "password": PASSWORD}, 200),
        ("POST", "/auth/jwt/refresh/", {"refresh": anna.tokens["refresh"]}, 200),
        ("POST", "/auth/jwt/verify/", {"token": anna.tokens["access"]}, 200),
        ("PATCH", "/auth/users/me/", {"email": "a+b&c=d%@example.com"}, 200),
        ("PUT", profile, {"description": "один\r\ntwo ☃ & = + %", "is_creator": "on"}, 200),
        ("DELETE", profile, {"unknown": "x"}, 204),
        ("POST", "/api/accounts/all-profiles", {"location": "Łódź"}, 201),
        ("DELETE", "/auth/users/me/", {"current_password": PASSWORD}, 204),
    ):
        got, response = await anna.ask(method, path, **body_of(kind, given))
        assert got == status, (method, path, response)
        for name in {"username", "email", "description", "location"} & set(given) & set(response or ()):
            assert response[name] == given[name]


ROUTES = [
    pytest.param("POST", "/auth/users/", id="register"),
    pytest.param("POST", "/auth/jwt/create/", id="sign in"),
    pytest.param("PUT", "/api/accounts/profile/{}", id="edit a profile"),
    pytest.param("DELETE", "/auth/users/me/", id="delete an account"),
]

BROKEN = [
    pytest.param(b"{", JSON, 400, "JSON parse error", id="json"),
    pytest.param(b"  ", JSON, 400, "JSON parse error", id="white space"),
    pytest.param(b'{"a": "\xff"}', JSON, 400, "JSON parse error", id="not utf-8"),
    pytest.param(b"a=%ff", FORM, 400, "Form parse error", id="form"),
    pytest.param(b"--x", MULTIPART, 400, "Multipart form parse error", id="multipart"),
    pytest.param(b"a", {"Content-Type": "text/html"}, 415, 'Unsupported media type "text/html"', id="media type"),
    pytest.param(b" " * (1024 * 1024 + 1), JSON, 413, "The request body is too large.", id="too large"),
]


@pytest.mark.parametrize(("data", "headers", "status", "detail"), BROKEN)
@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_every_endpoint_refuses_a_broken_body_and_changes_nothing(
    anna: Person, database: Any, method: str, path: str, data: bytes, headers: Any, status: int, detail: str
) -> None:
    path = path.format((await anna.profile())["id"])
    before = [database.execute(f"select * from {table}").fetchall() for table in ("users", "profiles", "sessions")]
    got, fault = await anna.ask(method, path, data=io.BytesIO(data), headers=headers)
    assert (got, list(fault), fault["detail"][: len(detail)]) == (status, ["detail"], detail)
    after = [database.execute(f"select * from {table}").fetchall() for table in ("users", "profiles", "sessions")]
    assert after == before


@pytest.mark.parametrize("headers", [{}, JSON, FORM, MULTIPART, {"Content-Type": "text/plain"}])
async def test_an_empty_body_is_an_empty_object(client: Client, headers: dict[str, str]) -> None:
    required = ["This field is required."]
    assert await send(client, b"", headers) == (400, {"username": required, "password": required})


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_an_empty_edit_changes_nothing(anna: Person, method: str) -> None:
    path = f"/api/accounts/profile/{(await anna.profile())['id']}"
    given = {"description": "kept", "location": "Oslo", "is_creator": True}
    await anna.patch(path, given)
    bodies: list[dict[str, Any]] = [
        {"json": {}},
        {"data": b"", "headers": JSON},
        {"data": b"", "headers": {"Content-Type": "text/x"}},
    ]
    for empty in bodies:
        status, profile = await anna.ask(method, path, **empty)
        assert (status, {name: profile[name] for name in given}) == (200, given)


@pytest.mark.parametrize("kind", [b"\xff/json", "text/é".encode(), b"a\xffb"])
async def test_a_media_type_that_is_not_ascii_is_415(
    client: Client, caplog: pytest.LogCaptureFixture, kind: bytes
) -> None:
    caplog.set_level(logging.CRITICAL)  # xdist cannot report a log with such bytes
    reader, writer = await asyncio.open_connection(client.host, client.port)
    head = b"POST /auth/users/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\nContent-Type: "
    writer.write(head + kind + b"\r\n\r\n{}")
    response = await reader.read()
    writer.close()
    assert response.startswith(b"HTTP/1.1 415 "), response
    assert b'{"detail":"Unsupported media type ' in response


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "application/jsonx", "json", ""])
async def test_other_media_types_are_415(client: Client, kind: str) -> None:
    response = 415, {"detail": f'Unsupported media type "{kind}" in request.'}
    assert await send(client, b"{}", {"Content-Type": kind}) == response


async def test_case_and_parameters_of_a_media_type_do_not_matter(anna: Person) -> None:
    given = json.dumps({"username": "anna", "password": PASSWORD})
    assert (await send(anna.client, given, {"Content-Type": "Application/JSON; charset=utf-8"}))[0] == 200


@pytest.mark.parametrize(
    ("path", "limit", "status"), [("/auth/jwt/create/", 16 * 1024, 200), ("/auth/users/", 1024 * 1024, 400)]
)
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_body_of_the_longest_length_is_read_and_a_longer_one_refused(
    anna: Person, path: str, limit: int, status: int, is_chunked: bool
) -> None:
    async def chunks(body: bytes) -> Any:
        for start in range(0, len(body), 10_000):
            yield body[start : start + 10_000]

    async def sent(size: int) -> tuple[int, Any]:
        body = json.dumps({"username": "anna", "password": PASSWORD, "x": ""})
        padded = body.replace('"x": ""', '"x": "' + "x" * (size - len(body)) + '"').encode()
        return await send(anna.client, chunks(padded) if is_chunked else padded, JSON, path)

    assert (await sent(limit))[0] == status
    assert await sent(limit + 1) == (413, {"detail": "The request body is too large."})


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip", "deflate", "br", "zstd", "identity, gzip"])
async def test_a_compressed_body_is_refused_without_unpacking_it(anna: Person, encoding: str) -> None:
    given = json.dumps({"username": "anna", "password": PASSWORD}).encode()
    for data in (given, gzip.compress(given), gzip.compress(b" " * 50_000_000), b"nonsense"):
        response = await anna.client.post(
            "/auth/jwt/create/", data=io.BytesIO(data), headers=JSON | {"Content-Encoding": encoding}
        )
        assert await response.json() == {"detail": f'Unsupported content encoding "{encoding}" in request.'}
        assert (response.status, response.headers["Accept-Encoding"]) == (415, "identity")


async def test_the_content_encoding_identity_is_accepted(anna: Person) -> None:
    given = json.dumps({"username": "anna", "password": PASSWORD}).encode()
    assert (await send(anna.client, given, JSON | {"Content-Encoding": "Identity"}))[0] == 200


@pytest.mark.parametrize(("path", "status"), [("/auth/users/me/", 401), ("/nope", 404), ("/healthz", 405)])
async def test_a_compressed_body_that_no_endpoint_reads_is_not_unpacked(
    client: Client, caplog: pytest.LogCaptureFixture, path: str, status: int
) -> None:
    for _ in range(2):  # the connection stays usable
        async with client.put(path, data=b"{nonsense}", headers=JSON | {"Content-Encoding": "gzip"}) as response:
            assert response.status == status
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    assert client.server.runner is not None
    assert client.server.runner.server is not None
    assert len(client.server.runner.server.connections) == 1


async def test_a_chunked_body_is_read(anna: Person) -> None:
    async def chunks() -> Any:
        for byte in json.dumps({"username": "anna", "password": PASSWORD}).encode():
            yield bytes([byte])

    assert (await send(anna.client, chunks(), JSON))[0] == 200


async def test_a_client_that_disconnects_in_the_middle_of_a_body_changes_nothing(
    client: Client, database: Any, caplog: pytest.LogCaptureFixture
) -> None:
    body = json.dumps({"username": "anna", "password": PASSWORD}).encode()
    for sent in (0, 1, len(body) - 1):
        _, writer = await asyncio.open_connection(client.host, client.port)
        head = "POST /auth/users/ HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:sent])
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    assert (await client.get("/readyz")).status == 200
    assert database.execute("select * from users").fetchall() == []
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
