"""Many sign-ins at once: the queue is bounded, disconnected clients leave it, other requests are served."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from aiohttp.test_utils import TestClient

from server.app import create_app
from server.auth.passwords import HASH_QUEUE_LENGTH
from server.settings.settings import Settings
from server.settings.values import cores
from server.telemetry import metrics
from tests.auth.test_passwords import Counting, hashes
from tests.conftest import Client, FrontdeskServer, Person, post

__all__ = ["hashes"]  # a fixture


@pytest.fixture
async def client(settings: Settings, database: object, counted: None) -> AsyncIterator[Client]:
    """A client of a service whose metrics begin at zero; it may open any number of connections."""
    unlimited = dataclasses.replace(settings, limit_sign_in_account=None)
    server = FrontdeskServer(create_app(unlimited))
    async with TestClient(server, connector=aiohttp.TCPConnector(limit=0)) as visitor:
        yield visitor


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.005)


def sign_in(client: Client) -> "asyncio.Task[tuple[int, object]]":
    return asyncio.create_task(post(client, "/auth/jwt/create/", username="nobody", password="anything"))


async def test_with_the_queue_full_a_sign_in_is_503_with_retry_after_and_others_are_served(
    anna: Person, hashes: Counting
) -> None:
    assert HASH_QUEUE_LENGTH >= 50
    hashes.gate.clear()
    waiting = [sign_in(anna.client) for _ in range(cores() + HASH_QUEUE_LENGTH)]
    await until(lambda: metrics.HASH_WAITING.value() == HASH_QUEUE_LENGTH)
    account = {"username": "boris", "password": "correct horse battery"}
    for path in ("/auth/jwt/create/", "/auth/users/"):
        response = await anna.client.post(path, json=account)
        assert (response.status, response.headers["Retry-After"]) == (503, "2")
        assert await response.json() == {"detail": "The service is busy."}
    assert (await anna.get("/auth/users/me/"))[0] == 200
    assert (await anna.get("/healthz"))[0] == 200
    hashes.gate.set()
    assert {status for status, _ in await asyncio.gather(*waiting)} == {401}
    assert len(hashes.threads) == cores() + HASH_QUEUE_LENGTH
    assert (metrics.HASH_REFUSED.value(), metrics.HASH_RUNNING.value()) == (2, 0)
    assert metrics.HASH_WAIT_SECONDS.count() == len(hashes.threads) + 2  # Anna's registration and sign-in
    assert metrics.HASH_WAIT_SECONDS.sum() > 0


async def test_a_client_that_disconnects_in_the_queue_is_not_hashed_and_frees_its_place(
    client: Client, hashes: Counting
) -> None:
    hashes.gate.clear()
    running = [sign_in(client) for _ in range(cores())]
    await until(lambda: metrics.HASH_RUNNING.value() == cores())
    for _ in range(2):
        leaving = [sign_in(client) for _ in range(HASH_QUEUE_LENGTH)]
        await until(lambda: metrics.HASH_WAITING.value() == HASH_QUEUE_LENGTH)
        for each in leaving:
            each.cancel()
        await until(lambda: metrics.HASH_WAITING.value() == 0)
    hashes.gate.set()
    await asyncio.gather(*running)
    assert len(hashes.threads) == cores()
    assert metrics.HASH_LEFT.value() == 2 * HASH_QUEUE_LENGTH
    assert (await sign_in(client))[0] == 401


async def test_a_client_that_disconnects_during_its_hash_disturbs_no_other(client: Client, hashes: Counting) -> None:
    hashes.gate.clear()
    leaving = [sign_in(client) for _ in range(cores())]
    await until(lambda: metrics.HASH_RUNNING.value() == cores())
    for each in leaving:
        each.cancel()
    hashes.gate.set()
    assert (await sign_in(client))[0] == 401
    assert metrics.HASH_LEFT.value() == 0
