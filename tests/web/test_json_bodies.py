"""JSON bodies: strict UTF-8, an object, bounded in depth and numbers, without surrogates (contract 1.2, 12)."""

import pytest

from server.web.body_formats import JSON_MAX_ESCAPES, JSON_MAX_VALUES
from tests.conftest import Client, Person
from tests.web.sending import JSON, send


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
        (b"[" * 3000, "JSON parse error - Too deeply nested"),
        (b'{"a":' * 3000, "JSON parse error - Too deeply nested"),
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
async def test_json_that_is_not_utf_8_is_a_parse_error(client: Client, data: bytes) -> None:
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
async def test_json_that_is_not_an_object_is_a_fault_of_the_whole_object(client: Client, data: str, fault: str) -> None:
    assert await send(client, data, JSON) == (400, {"non_field_errors": [fault]})


@pytest.mark.parametrize("where", ['{"x": "\\ud800"}', '{"\\udfff": 1}', '{"x": [{"y": "\\ud800z"}]}'])
async def test_lone_surrogates_in_keys_and_unknown_fields_are_a_parse_error(anna: Person, where: str) -> None:
    status, fault = await anna.patch("/auth/users/me/", data=where, headers=JSON)
    assert (status, fault) == (400, {"detail": "JSON parse error - Surrogate characters are not allowed"})


async def test_a_lone_surrogate_in_a_known_field_is_a_fault_of_the_field(anna: Person) -> None:
    for data in ('{"email": "\\udfff"}', '{"email": "\\udfff", "x": "\\ud800"}'):
        status, fault = await anna.patch("/auth/users/me/", data=data, headers=JSON)
        assert (status, "Surrogate characters are not allowed: U+DFFF." in fault["email"]) == (400, True)


async def test_an_escaped_pair_of_surrogates_is_an_ordinary_character(anna: Person) -> None:
    path = f"/api/accounts/profile/{(await anna.profile())['id']}"
    status, profile = await anna.patch(path, data='{"description": "\\ud83d\\ude00"}', headers=JSON)
    assert (status, profile["description"]) == (200, "😀")


async def test_an_escape_at_any_depth_is_no_server_error(client: Client) -> None:
    for depth in [*range(940, 1000), 3000]:  # reading and writing fail at slightly different depths
        body = b'{"username": "anna", "password": "x", "other": ' + b"[" * depth + b'"\\u0061"' + b"]" * depth + b"}"
        status, sent = await send(client, body, JSON)
        assert status == 401 or sent == {"detail": "JSON parse error - Too deeply nested"}, (depth, sent)


@pytest.mark.parametrize("value", [b"1", b'""', b"[]", b"{}", b"null", b'"\\""', b'"\\\\"'])
async def test_values_are_counted_before_they_are_parsed(
    client: Client, monkeypatch: pytest.MonkeyPatch, value: bytes
) -> None:
    refused = 400, {"detail": f"JSON parse error - More than {JSON_MAX_VALUES} values"}
    body = b'{"x":[' + b",".join([value] * (JSON_MAX_VALUES + 1)) + b"]}"
    monkeypatch.setattr("server.web.body_formats._decoder", None)  # parsing would fail
    assert await send(client, body, JSON, "/auth/users/") == refused


async def test_members_are_counted(client: Client) -> None:
    refused = 400, {"detail": f"JSON parse error - More than {JSON_MAX_VALUES} values"}
    members = ",".join(f'"a{number}":{number}' for number in range(JSON_MAX_VALUES + 10))
    assert await send(client, f"{{{members}}}".encode(), JSON, "/auth/users/") == refused


async def test_commas_and_brackets_in_texts_are_no_values(anna: Person) -> None:
    text = ',[{\\"\\\\' * 2000
    profile = await anna.profile()
    path = f"/api/accounts/profile/{profile['id']}"
    status, changed = await anna.patch(path, data=f'{{"description": "{text}"}}'.encode(), headers=JSON)
    assert (status, changed["description"]) == (200, ',[{"\\' * 2000)


async def test_escapes_are_bounded(client: Client) -> None:
    body = b'{"x":"' + b"\\n" * (JSON_MAX_ESCAPES + 1) + b'"}'
    refused = 400, {"detail": f"JSON parse error - More than {JSON_MAX_ESCAPES} escapes"}
    assert await send(client, body, JSON, "/auth/users/") == refused
