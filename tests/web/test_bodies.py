"""Bodies: three media types, bounded; what is odd gets a clear 4xx and leaves nothing behind (contract 1.2, 1.3)."""

import asyncio
import gzip
import io
import json
import logging
from typing import Any

import pytest
from aiohttp import FormData

from tests.conftest import PASSWORD, Client, Person

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}


async def send(client: Client, data: Any, headers: dict[str, str], path: str = "/auth/jwt/create/") -> tuple[int, Any]:
    # As a file: aiohttp warns of large bodies that are bytes.
    content = io.BytesIO(data) if isinstance(data, bytes) else data
    async with client.post(path, data=content, headers=headers) as response:
        return response.status, await response.json()


def written(kind: str, given: dict[str, str]) -> dict[str, Any]:
    """`given` as a body of `kind`."""
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
        got, answer = await anna.ask(method, path, **written(kind, given))
        assert got == status, (method, path, answer)
        for name in {"username", "email", "description", "location"} & set(given) & set(answer or ()):
            assert answer[name] == given[name]


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


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b"{", "JSON parse error - Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        (b"nonsense", "JSON parse error - Expecting value: line 1 column 1 (char 0)"),
        (b'{"a": NaN}', "JSON parse error - Out of range float values are not JSON compliant: 'NaN'"),
        (b'{"a": -Infinity}', "JSON parse error - Out of range float values are not JSON compliant: '-Infinity'"),
        (b'{"a": 1e400}', "JSON parse error - Number out of range"),
        (b'{"a": 1' + b"0" * 5000 + b"}", "JSON parse error - Numbers have at most 64 digits"),
        (b'{"a": 0.' + b"1" * 5000 + b"}", "JSON parse error - Numbers have at most 64 digits"),
        (b"[" * 100_000, "JSON parse error - Too deeply nested"),
        (b'{"a":' * 100_000, "JSON parse error - Too deeply nested"),
        (b'{"username": "a", "username": "b"}', "JSON parse error - Duplicate keys in an object"),
        (b'{"x": {"a": 1, "a": 2}}', "JSON parse error - Duplicate keys in an object"),
        (
            b"\xef\xbb\xbf{}",
            "JSON parse error - Expecting value: line 1 column 1 (char 0)",
        ),
    ],
    ids=lambda value: value[:20].decode() if isinstance(value, bytes) else "",
)
async def test_broken_json_is_a_parse_error(client: Client, data: bytes, detail: str) -> None:
    assert await send(client, data, JSON) == (400, {"detail": detail})


@pytest.mark.parametrize("data", ['{"a": "é"}'.encode("latin-1"), '{"a": 1}'.encode("utf-16")])
async def test_json_is_utf_8(client: Client, data: bytes) -> None:
    status, fault = await send(client, data, JSON)
    assert (status, fault["detail"][:36]) == (400, "JSON parse error - 'utf-8' codec can")


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ("null", "No data provided"),
        ("[]", "Invalid data. Expected a dictionary, but got list."),
        ('"x"', "Invalid data. Expected a dictionary, but got str."),
        ("1", "Invalid data. Expected a dictionary, but got int."),
        ("1.5", "Invalid data. Expected a dictionary, but got float."),
        ("true", "Invalid data. Expected a dictionary, but got bool."),
    ],
)
async def test_json_that_is_no_object_is_told_so(client: Client, data: str, fault: str) -> None:
    assert await send(client, data, JSON) == (400, {"non_field_errors": [fault]})


@pytest.mark.parametrize("where", ['{"x": "\\ud800"}', '{"\\udfff": 1}', '{"x": [{"y": "\\ud800z"}]}'])
async def test_lone_surrogates_in_what_is_not_ours_are_a_parse_error(anna: Person, where: str) -> None:
    status, fault = await anna.patch("/auth/users/me/", data=where, headers=JSON)
    assert (status, fault) == (400, {"detail": "JSON parse error - Surrogate characters are not allowed"})


async def test_a_lone_surrogate_in_a_field_of_ours_is_its_fault(anna: Person) -> None:
    for data in ('{"email": "\\udfff"}', '{"email": "\\udfff", "x": "\\ud800"}'):
        status, fault = await anna.patch("/auth/users/me/", data=data, headers=JSON)
        assert (status, "Surrogate characters are not allowed: U+DFFF." in fault["email"]) == (400, True)


async def test_escaped_pairs_of_surrogates_are_ordinary_characters(anna: Person) -> None:
    path = f"/api/accounts/profile/{(await anna.profile())['id']}"
    status, profile = await anna.patch(path, data='{"description": "\\ud83d\\ude00"}', headers=JSON)
    assert (status, profile["description"]) == (200, "😀")


@pytest.mark.parametrize("headers", [{}, JSON, FORM, MULTIPART, {"Content-Type": "text/plain"}])
async def test_an_empty_body_is_an_empty_object(client: Client, headers: dict[str, str]) -> None:
    required = ["This field is required."]
    assert await send(client, b"", headers) == (400, {"username": required, "password": required})


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_an_empty_edit_leaves_everything(anna: Person, method: str) -> None:
    path = f"/api/accounts/profile/{(await anna.profile())['id']}"
    given = {"description": "kept", "location": "Oslo", "is_creator": True}
    await anna.patch(path, given)
    for empty in ({"json": {}}, {"data": b"", "headers": JSON}, {"data": b"", "headers": {"Content-Type": "text/x"}}):
        status, profile = await anna.ask(method, path, **empty)
        assert (status, {name: profile[name] for name in given}) == (200, given)


@pytest.mark.parametrize("kind", [b"\xff/json", "text/é".encode(), b"a\xffb"])
async def test_a_media_type_of_odd_bytes_is_415(client: Client, caplog: pytest.LogCaptureFixture, kind: bytes) -> None:
    caplog.set_level(logging.CRITICAL)  # a log with such bytes would stop a parallel run at its report
    reader, writer = await asyncio.open_connection(client.host, client.port)
    head = b"POST /auth/users/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\nContent-Type: "
    writer.write(head + kind + b"\r\n\r\n{}")
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 415 "), answer
    assert b'{"detail":"Unsupported media type ' in answer


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "application/jsonx", "json", ""])
async def test_other_media_types_are_415(client: Client, kind: str) -> None:
    answer = 415, {"detail": f'Unsupported media type "{kind}" in request.'}
    assert await send(client, b"{}", {"Content-Type": kind}) == answer


async def test_a_media_type_is_known_whatever_its_case_and_parameters(anna: Person) -> None:
    given = json.dumps({"username": "anna", "password": PASSWORD})
    assert (await send(anna.client, given, {"Content-Type": "Application/JSON; charset=utf-8"}))[0] == 200


async def test_the_last_of_a_repeated_form_key_counts(anna: Person) -> None:
    twice = f"username=x&password=y&username=anna&password={PASSWORD.replace(' ', '+')}"
    assert (await send(anna.client, twice, FORM))[0] == 200


@pytest.mark.parametrize("data", [b"username=%ED%A0%80", b"username=%ff", b"\xff=1", b"&".join([b"a=1"] * 1001)])
async def test_a_broken_form_is_a_parse_error(client: Client, data: bytes) -> None:
    status, fault = await send(client, data, FORM)
    assert (status, fault["detail"].startswith("Form parse error - ")) == (400, True)


def part(name: str, value: bytes, more: str = "") -> bytes:
    return f'--x\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'.encode() + value + b"\r\n"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"nonsense", "multipart/form-data; boundary=x"),
        (b"--x\r\n\r\n", "multipart/form-data; boundary=x"),
        (part("username", b"anna"), "multipart/form-data; boundary=x"),
        (part("username", b"\xff") + b"--x--\r\n", "multipart/form-data; boundary=x"),
        (part("a", b"1") * 1001 + b"--x--\r\n", "multipart/form-data; boundary=x"),
        (part("username", b"anna") + b"--x--\r\n", "multipart/form-data"),
        (part("username", b"anna") + b"--x--\r\n", "multipart/form-data; boundary=" + "x" * 71),
        (b'--x\r\nContent-Disposition: attachment; name="a"\r\n\r\n1\r\n--x--\r\n', "multipart/form-data; boundary=x"),
        (b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--\r\n", "multipart/form-data; boundary=x"),
    ],
)
async def test_a_broken_multipart_is_a_parse_error(client: Client, data: bytes, kind: str) -> None:
    status, fault = await send(client, data, {"Content-Type": kind})
    assert (status, fault.get("detail", "")[:29]) == (400, "Multipart form parse error - "), fault


@pytest.mark.parametrize("pair", [(b"a", b"\xff"), (b"\xff", b"1")])
async def test_a_multipart_that_is_no_text_is_told_so(client: Client, pair: tuple[bytes, bytes]) -> None:
    data = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n--x--\r\n' % pair
    fault = {"detail": "Multipart form parse error - Names and values are UTF-8"}
    assert await send(client, data, MULTIPART) == (400, fault)


async def test_the_last_of_a_repeated_multipart_key_counts(anna: Person) -> None:
    fields = [("username", b"x"), ("password", PASSWORD.encode()), ("username", b"anna")]
    twice = b"".join(part(name, value) for name, value in fields) + b"--x--\r\n"
    assert (await send(anna.client, twice, MULTIPART))[0] == 200


async def test_a_file_is_no_text(anna: Person) -> None:
    form = FormData()
    for name in ("location", "description", "is_creator"):
        form.add_field(name, b"true", filename="odd.txt")
    status, faults = await anna.put(f"/api/accounts/profile/{(await anna.profile())['id']}", data=form)
    text = ["Not a valid string."]
    assert (status, faults) == (
        400,
        {"location": text, "description": text, "is_creator": ["Must be a valid boolean."]},
    )


async def test_a_mebibyte_is_read_and_more_is_not(anna: Person) -> None:
    def padded(size: int) -> bytes:
        body = json.dumps({"username": "anna", "password": PASSWORD, "x": ""})
        return body.replace('"x": ""', '"x": "' + "x" * (size - len(body)) + '"').encode()

    assert (await send(anna.client, padded(1024 * 1024), JSON))[0] == 200
    too_large = 413, {"detail": "The request body is too large."}
    assert await send(anna.client, padded(1024 * 1024 + 1), JSON) == too_large


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip", "deflate", "br", "zstd", "identity, gzip"])
async def test_a_compressed_body_is_refused_without_a_look_into_it(anna: Person, encoding: str) -> None:
    given = json.dumps({"username": "anna", "password": PASSWORD}).encode()
    for data in (given, gzip.compress(given), gzip.compress(b" " * 50_000_000), b"nonsense"):
        response = await anna.client.post(
            "/auth/jwt/create/", data=io.BytesIO(data), headers=JSON | {"Content-Encoding": encoding}
        )
        assert await response.json() == {"detail": f'Unsupported content encoding "{encoding}" in request.'}
        assert (response.status, response.headers["Accept-Encoding"]) == (415, "identity")


async def test_a_body_may_say_that_it_is_not_compressed(anna: Person) -> None:
    given = json.dumps({"username": "anna", "password": PASSWORD}).encode()
    assert (await send(anna.client, given, JSON | {"Content-Encoding": "Identity"}))[0] == 200


@pytest.mark.parametrize(("path", "status"), [("/auth/users/me/", 401), ("/nope", 404), ("/healthz", 405)])
async def test_a_compressed_body_that_nobody_wants_is_not_unpacked(
    client: Client, caplog: pytest.LogCaptureFixture, path: str, status: int
) -> None:
    for _ in range(2):  # the connection is good for another request
        async with client.put(path, data=b"{nonsense}", headers=JSON | {"Content-Encoding": "gzip"}) as response:
            assert response.status == status
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    assert len(client.server.runner.server.connections) == 1


async def test_a_chunked_body_is_read(anna: Person) -> None:
    async def chunks() -> Any:
        for byte in json.dumps({"username": "anna", "password": PASSWORD}).encode():
            yield bytes([byte])

    assert (await send(anna.client, chunks(), JSON))[0] == 200


async def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(
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


async def test_whatever_depth_an_escape_lies_at_is_no_failure_of_ours(client: Client) -> None:
    for depth in [*range(940, 1000), 100_000]:  # reading and writing give up at depths that differ by a few
        body = b'{"username": "anna", "password": "x", "other": ' + b"[" * depth + b'"\\u0061"' + b"]" * depth + b"}"
        status, said = await send(client, body, JSON)
        assert status == 401 or said == {"detail": "JSON parse error - Too deeply nested"}, (depth, said)
