"""The signing key is changed without signing anybody out: VERIFYING_KEYS (docs/operate.md)."""

import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import jwt
import pytest
from aiohttp.test_utils import TestClient

from server.app import create_app
from server.settings.faults import SettingsError
from server.settings.settings import Settings
from tests.conftest import KEY, PASSWORD, Client, FrontdeskServer, Person, post
from tests.jwts import forge, with_token

NEXT = "the next key of more than 32 bytes in length"
OTHER = "a key that nobody named, of more than 32 bytes"

Renew = Callable[..., AbstractAsyncContextManager[Client]]


@pytest.fixture
def renewed(settings: Settings, anna: Person) -> Renew:
    """Makes a client of another process of the same service, with other keys."""

    @asynccontextmanager
    async def renew(signing_key: str, *verifying_keys: str) -> AsyncIterator[Client]:
        changed = dataclasses.replace(settings, signing_key=signing_key, verifying_keys=verifying_keys)
        async with TestClient(FrontdeskServer(create_app(changed))) as client:
            yield client

    return renew


async def test_tokens_of_both_keys_work_while_the_key_is_changed(anna: Person, renewed: Renew) -> None:
    async with renewed(KEY, NEXT) as prepared, renewed(NEXT, KEY) as changed:
        for client in (prepared, changed):
            assert (await with_token(client, anna.tokens["access"]))[0] == 200
        status, answer = await post(changed, "/auth/jwt/refresh/", refresh=anna.tokens["refresh"])
        assert status == 200
        assert jwt.decode(answer["access"], NEXT, ["HS256"])["token_type"] == "access"
        for client in (prepared, changed):
            assert (await with_token(client, answer["access"]))[0] == 200
    assert (await with_token(anna.client, answer["access"]))[0] == 401


async def test_a_key_that_is_not_named_signs_no_valid_token(anna: Person, renewed: Renew) -> None:
    async with renewed(NEXT, OTHER) as finished:
        assert (await with_token(finished, anna.tokens["access"]))[0] == 401
        assert (await post(finished, "/auth/jwt/refresh/", refresh=anna.tokens["refresh"]))[0] == 401
        assert (await with_token(finished, forge(anna, key=OTHER)))[0] == 200
        assert (await with_token(finished, forge(anna, key=OTHER, exp=1_000_000_000)))[0] == 401


async def test_api_tokens_stay_valid_when_the_key_is_changed(anna: Person, renewed: Renew) -> None:
    given = {"username": "anna", "password": PASSWORD}
    _, answer = await post(anna.client, "/auth/token/login/", **given)
    header = {"Authorization": f"Token {answer['auth_token']}"}
    async with renewed(NEXT) as changed, changed.get("/auth/users/me/", headers=header) as response:
        assert response.status == 200


@pytest.mark.parametrize("text", ["short", f"{KEY}\nshort", "\n".join(f"{KEY} {number}" for number in range(4))])
def test_a_short_key_and_too_many_keys_stop_the_start(text: str) -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.read({"VERIFYING_KEYS": text})
    assert raised.value.faults == ["VERIFYING_KEYS has at most 3 lines, each a key of 32 bytes or more"]


def test_several_keys_are_lines() -> None:
    assert Settings.read({"VERIFYING_KEYS": f"{KEY}\n\n {NEXT} \n"}).verifying_keys == (KEY, NEXT)
