"""Many sign-ins at once: the queue is bounded, disconnected clients leave it, other requests are served."""

import asyncio
import dataclasses
import itertools
from collections.abc import AsyncIterator, Callable, Collection

import aiohttp
import pytest
from aiohttp.test_utils import TestClient

from server.app import create_app
from server.auth.passwords import HASH_QUEUE_LENGTH, Passwords
from server.settings.settings import Settings
from server.settings.values import cores
from server.telemetry import metrics
from server.web.app_keys import DB
from tests.auth.test_passwords import Counting, hashes
from tests.conftest import PASSWORD, Client, FrontdeskServer, Letters, Person, post

__all__ = ["hashes"]  # a fixture
_numbers = itertools.count()


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
    """Sign in with an unknown name, another one each time: no account fills the queue alone."""
    name = f"nobody{next(_numbers)}"
    return asyncio.create_task(post(client, "/auth/jwt/create/", username=name, password="anything"))


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


@pytest.mark.parametrize("path", ["/auth/jwt/create/", "/auth/token/login/"])
async def test_with_the_queue_full_a_sign_in_is_refused_before_any_statement(
    client: Client, hashes: Counting, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    hashes.gate.clear()
    waiting = [sign_in(client) for _ in range(cores() + HASH_QUEUE_LENGTH)]
    await until(lambda: metrics.HASH_WAITING.value() == HASH_QUEUE_LENGTH)
    sent: list[str] = []

    async def row(name: str, *values: object) -> None:
        sent.append(name)

    with monkeypatch.context() as changed:
        changed.setattr(client.app[DB], "row", row)
        assert (await post(client, path, username="anna", password=PASSWORD))[0] == 503
    assert sent == []
    hashes.gate.set()
    await asyncio.gather(*waiting)


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


async def test_an_account_with_its_right_password_does_not_fill_the_queue(anna: Person, hashes: Counting) -> None:
    hashes.gate.clear()

    def right() -> "asyncio.Task[tuple[int, object]]":
        return asyncio.create_task(post(anna.client, "/auth/jwt/create/", username="anna", password=PASSWORD))

    running = [right() for _ in range(cores())]
    await until(lambda: metrics.HASH_RUNNING.value() == cores())
    waiting = [right() for _ in range(HASH_QUEUE_LENGTH)]
    await until(lambda: metrics.HASH_REFUSED.value() == HASH_QUEUE_LENGTH // 2)
    assert metrics.HASH_WAITING.value() == HASH_QUEUE_LENGTH // 2
    other = sign_in(anna.client)
    await until(lambda: metrics.HASH_WAITING.value() == HASH_QUEUE_LENGTH // 2 + 1)
    hashes.gate.set()
    statuses = sorted(status for status, _ in await asyncio.gather(*running, *waiting))
    assert statuses == [*[200] * (cores() + HASH_QUEUE_LENGTH // 2), *[503] * (HASH_QUEUE_LENGTH // 2)]
    assert (await other)[0] == 401
    assert (await right())[0] == 200  # its places are free again


async def test_one_network_does_not_fill_the_queue_with_the_names_of_many(
    settings: Settings, database: object, counted: None, hashes: Counting
) -> None:
    hashes.gate.clear()
    limited = dataclasses.replace(settings, unlimited_networks=())
    connector = aiohttp.TCPConnector(limit=0)
    async with TestClient(FrontdeskServer(create_app(limited)), connector=connector) as client:
        tries = [sign_in(client) for _ in range(cores() + HASH_QUEUE_LENGTH)]
        registrations = {"username": "anna", "password": PASSWORD}
        await until(lambda: metrics.HASH_REFUSED.value() == HASH_QUEUE_LENGTH // 2)
        assert (await post(client, "/auth/users/", **registrations))[0] == 503  # for the same network
        assert metrics.HASH_WAITING.value() == HASH_QUEUE_LENGTH // 2
        hashes.gate.set()
        statuses = [status for status, _ in await asyncio.gather(*tries)]
    assert statuses.count(503) == HASH_QUEUE_LENGTH // 2


async def test_the_hash_of_a_new_password_is_held_by_its_account(
    anna: Person, letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[list[str]] = []
    hash_one = Passwords.hash

    async def noting(self: Passwords, password: str, *, holders: Collection[str] = ()) -> str:
        held.append([*holders])
        return await hash_one(self, password, holders=holders)

    monkeypatch.setattr(Passwords, "hash", noting)
    given = {"current_password": PASSWORD, "new_password": "staple gun theory"}
    assert (await anna.post("/auth/users/set_password/", given))[0] == 204
    assert (await post(anna.client, "/auth/users/reset_password/", email="anna@example.com"))[0] == 204
    link = next(each.uid_and_token for each in await letters() if each.link)
    given = {**link, "new_password": "another gun theory"}
    assert (await post(anna.client, "/auth/users/reset_password_confirm/", **given))[0] == 204
    assert held == [[f"account {anna.id}"]] * 2
