"""A body that takes its time: a bounded one, and who sends it must still be somebody when it is there."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from server.web import bodies
from tests.conftest import Person, post


@pytest.fixture
def identified(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """Set as soon as somebody was let in and the service begins to read what they send."""
    event = asyncio.Event()
    read = bodies._read

    async def noted(request: web.Request) -> bytes:
        event.set()
        return await read(request)

    monkeypatch.setattr(bodies, "_read", noted)
    return event


def edit(person: Person, identified: asyncio.Event, meanwhile: Callable[[], Any]) -> Any:
    """An edit of one's own account; once the door is passed, and before its body comes, `meanwhile` happens."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"email": '
        await identified.wait()
        await meanwhile()
        yield b'"anna@example.org"}'

    return person.patch("/auth/users/me/", data=chunks(), headers={"Content-Type": "application/json"})


def deletes(database: Any) -> Callable[[], Any]:
    async def delete() -> None:
        await asyncio.to_thread(database.execute, "delete from users")

    return delete


async def test_who_signed_out_while_the_body_came_is_nobody(
    anna: Person, identified: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "STALE_IDENTITY_SECONDS", 0)

    async def sign_out() -> None:
        assert (await post(anna.client, "/auth/jwt/blacklist/", refresh=anna.tokens["refresh"]))[0] == 200

    status, said = await edit(anna, identified, sign_out)
    assert (status, said["code"]) == (401, "token_not_valid")


async def test_who_is_no_longer_staff_when_the_body_is_there_is_refused(
    staff: Person, anna: Person, database: Any, identified: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "STALE_IDENTITY_SECONDS", 0)

    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"is_active": '
        await identified.wait()
        await asyncio.to_thread(database.execute, "update users set is_staff = false")
        yield b"false}"

    path, headers = f"/auth/users/{anna.id}/", {"Content-Type": "application/json"}
    assert (await staff.patch(path, data=chunks(), headers=headers))[0] == 403
    assert (await anna.get("/auth/users/me/"))[0] == 200


async def test_an_own_account_that_is_gone_when_the_body_is_there_is_401(
    anna: Person, database: Any, identified: asyncio.Event
) -> None:
    status, said = await edit(anna, identified, deletes(database))
    assert (status, said["code"]) == (401, "user_not_found")


async def test_a_password_for_an_account_that_is_gone_is_401(
    anna: Person, database: Any, identified: asyncio.Event
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b'{"current_password": '
        await identified.wait()
        await deletes(database)()
        yield b'"correct horse battery"}'

    status, said = await anna.delete("/auth/users/me/", data=chunks(), headers={"Content-Type": "application/json"})
    assert (status, said["code"]) == (401, "user_not_found")


async def test_a_body_that_does_not_come_is_408(anna: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_READ_SECONDS", 0.01)
    told = asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        yield b"{"
        await told.wait()

    async with asyncio.timeout(10), anna.client.post("/auth/jwt/create/", data=chunks()) as response:
        assert (response.status, await response.json()) == (408, {"detail": "The request body did not arrive in time."})
        told.set()
