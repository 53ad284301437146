"""A slow body: it must arrive in time, and its sender must still be signed in when it has arrived."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import StreamReader

from server.web import bodies, middleware
from tests.conftest import Person, post
from tests.web.connections import head, opened, until

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def is_awaited(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set as soon as the service waits for a body that is not complete: its sender is identified by then."""
    event, read = asyncio.Event(), StreamReader.readany

    async def notify_and_read(content: StreamReader) -> bytes:
        event.set()
        return await read(content)

    monkeypatch.setattr(StreamReader, "readany", notify_and_read)
    return event


async def body(
    is_awaited: asyncio.Event, begin: bytes, meanwhile: Callable[[], Awaitable[Any]], end: bytes
) -> AsyncIterator[bytes]:
    """A body in two parts; `meanwhile` happens between them, after the sender was identified."""
    yield begin
    await is_awaited.wait()
    await meanwhile()
    yield end


def edit(person: Person, is_awaited: asyncio.Event, meanwhile: Callable[[], Awaitable[Any]]) -> Any:
    """Edit an account's own address with a slow body."""
    chunks = body(is_awaited, b'{"email": ', meanwhile, b'"anna@example.org"}')
    return person.patch("/auth/users/me/", data=chunks, headers=JSON)


def run(database: Any, statement: str) -> Callable[[], Awaitable[Any]]:
    """A function that runs `statement` in the database."""
    return lambda: asyncio.to_thread(database.execute, statement)


async def test_a_sender_who_signed_out_meanwhile_gets_401(
    anna: Person, is_awaited: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "STALE_IDENTITY_SECONDS", 0)

    async def sign_out() -> None:
        assert (await post(anna.client, "/auth/jwt/blacklist/", refresh=anna.tokens["refresh"]))[0] == 200

    status, failure = await edit(anna, is_awaited, sign_out)
    assert (status, failure["code"]) == (401, "token_not_valid")


async def test_a_sender_who_is_no_longer_staff_gets_403(
    staff: Person, anna: Person, database: Any, is_awaited: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "STALE_IDENTITY_SECONDS", 0)
    demote = run(database, "update users set is_staff = false")
    chunks = body(is_awaited, b'{"is_active": ', demote, b"false}")
    assert (await staff.patch(f"/auth/users/{anna.id}/", data=chunks, headers=JSON))[0] == 403
    assert (await anna.get("/auth/users/me/"))[0] == 200


async def test_an_edit_of_the_own_account_that_was_deleted_meanwhile_is_401(
    anna: Person, database: Any, is_awaited: asyncio.Event
) -> None:
    status, failure = await edit(anna, is_awaited, run(database, "delete from users"))
    assert (status, failure["code"]) == (401, "user_not_found")


async def test_a_password_for_an_account_that_was_deleted_meanwhile_is_401(
    anna: Person, database: Any, is_awaited: asyncio.Event
) -> None:
    delete = run(database, "delete from users")
    chunks = body(is_awaited, b'{"current_password": ', delete, b'"correct horse battery"}')
    status, failure = await anna.delete("/auth/users/me/", data=chunks, headers=JSON)
    assert (status, failure["code"]) == (401, "user_not_found")


async def test_a_body_that_does_not_arrive_in_time_is_408(anna: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_READ_SECONDS", 0.01)
    answered = asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        yield b"{"
        await answered.wait()

    async with asyncio.timeout(10), anna.client.post("/auth/jwt/create/", data=chunks()) as response:
        assert (response.status, await response.json()) == (408, {"detail": "The request body did not arrive in time."})
        answered.set()


async def test_a_body_that_is_cut_off_is_no_failure_of_the_service(
    anna: Person, is_awaited: asyncio.Event, caplog: pytest.LogCaptureFixture
) -> None:
    seen = list[tuple[int, str]]()
    problem = middleware._problem

    def record(request: Any, failure: Exception) -> Any:
        found = problem(request, failure)
        seen.append((found.status, found.detail))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(middleware, "_problem", record)
        async with opened(anna.client, head("/auth/users/", 100) + b"{") as (_, writer):
            await is_awaited.wait()
            writer.transport.abort()
            await until(lambda: seen)
    assert seen == [(400, "The request body was cut off.")]
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
