"""A malformed uid or token is a 400 with a field error (contract 4.3, 9, 11.18)."""

import base64
import io
from typing import Any

import pytest

from tests.conftest import Client, Letters, in_mode, post
from tests.links import DONE, ENDPOINTS, INVALID_TOKEN, INVALID_UID, KINDS, asked, confirm

pytestmark = in_mode("activation")

every_kind = pytest.mark.parametrize("kind", KINDS)
every_endpoint = pytest.mark.parametrize("path", ENDPOINTS)


def text(uid: str) -> str:
    return base64.urlsafe_b64encode(uid.encode()).rstrip(b"=").decode()


MALFORMED_UIDS = [
    *(1, 0, -1, 1.5, 10**60, "MA", "=", "====", "é", "A", "MQ" * 200, "x" * 16_000),
    *map(text, ("-1", "+1", " 1", "1.0", "1e1", "0x1", "٣", "1\0", "1'", "9" * 19, "9" * 20, "9" * 150, str(2**63))),
    "999999999",
]
NOT_TEXT = "Not a valid string."


@every_endpoint
async def test_a_uid_of_no_account_is_invalid(client: Client, path: str) -> None:
    for uid in MALFORMED_UIDS:
        assert await post(client, path, uid=uid, token="x", **ENDPOINTS[path]) == INVALID_UID, str(uid)[:40]


INVALID_TEXTS: list[tuple[Any, str]] = [
    (True, NOT_TEXT),
    ([], NOT_TEXT),
    ({}, NOT_TEXT),
    (None, "This field may not be null."),
    ("NDI\0", "Null characters are not allowed."),
    ("\ud800", "Surrogate characters are not allowed: U+D800."),
]


@every_endpoint
async def test_a_uid_or_token_that_is_not_a_text_is_a_field_error(client: Client, path: str) -> None:
    for value, fault in INVALID_TEXTS:
        response = await post(client, path, uid=value, token=value, **ENDPOINTS[path])
        assert response == (400, {"uid": [fault], "token": [fault]})


@every_kind
async def test_padding_and_foreign_characters_are_ignored_in_a_uid_but_not_in_a_token(
    client: Client, letters: Letters, kind: str
) -> None:
    given = await asked(client, letters, kind)
    uid, token = given["uid"], given["token"]
    for value in (
        1,
        0,
        1.5,
        10**60,
        "é",
        "x" * 15_000,
        f"{token}=",
        f"{token}.",
        f"a{token}",
        token[:-1],
        token.upper(),
    ):
        assert await confirm(client, kind, given | {"token": value}) == INVALID_TOKEN, str(value)[:60]
    for value in (f"{uid}=", f"{uid}==", f"{uid}====", f"!{uid}", f"é{uid[0]}.{uid[1:]}\n", f" {uid} "):
        assert await confirm(client, kind, {"uid": value, "token": "x"}) == INVALID_TOKEN, value
    assert await confirm(client, kind, {"uid": f"{uid[0]}*{uid[1:]}==", "token": f" {token}\n"}) == DONE


@every_endpoint
async def test_a_body_of_more_than_a_megabyte_is_refused(client: Client, path: str) -> None:
    sent = io.BytesIO(b'{"uid": "%s"}' % (b"x" * 1_100_000))
    assert (await client.post(path, data=sent, headers={"Content-Type": "application/json"})).status == 413
