"""A proof (session, password, link) is checked again when the change is made; concurrent requests do not refuse it."""

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from server.accounts import sign_in
from server.mail.letters import PASSWORD_RESET
from server.web import guards
from server.web.app_keys import DB, LETTERS, ONE_TIME_TOKENS
from tests.conftest import PASSWORD, Client, Letters, Person, in_mode, post
from tests.locks import Race, until_blocked
from tests.rows import Connection

NEW = "staple gun theory"
CHANGE = {"current_password": PASSWORD, "new_password": NEW}
BY_EMAIL = in_mode("default", login_field="email")


class Check:
    """Holds the first password check until `go` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.started, self.go = asyncio.Event(), asyncio.Event()
        check = sign_in.check_password

        async def held(*arguments: Any, **named: Any) -> bool:
            fits = await check(*arguments, **named)
            if not self.started.is_set():
                self.started.set()
                async with asyncio.timeout(10):
                    await self.go.wait()
            return fits

        for module in (sign_in, guards):
            monkeypatch.setattr(module, "check_password", held)


@pytest.fixture
async def check(anna: Person, monkeypatch: pytest.MonkeyPatch) -> Check:
    return Check(monkeypatch)


async def act_during_check(check: Check, acting: Awaitable[Any], act: Callable[[], Awaitable[Any]]) -> tuple[int, Any]:
    """Await `act` while the password of the request `acting` is checked: the answer to `acting`."""
    response = asyncio.ensure_future(acting)
    await check.started.wait()
    await act()
    check.go.set()
    status, said = await response
    return status, said


@pytest.mark.parametrize(
    ("method", "path", "fields"),
    [
        ("DELETE", "/auth/users/me/", {}),
        ("POST", "/auth/users/set_username/", {"new_username": "thief"}),
        ("POST", "/auth/users/set_password/", {"new_password": "a password of the thief"}),
    ],
)
async def test_a_request_is_refused_when_its_session_ends_during_the_password_check(
    anna: Person, check: Check, database: Connection, method: str, path: str, fields: dict[str, str]
) -> None:
    thief = Person(anna.client, "anna", anna.id, anna.tokens)

    async def sign_out() -> None:
        assert (await post(anna.client, "/auth/jwt/blacklist/", refresh=anna.tokens["refresh"]))[0] == 200

    acting = thief.ask(method, path, json={"current_password": PASSWORD} | fields)
    assert (await act_during_check(check, acting, sign_out))[0] == 401
    assert database.execute("select username from users").fetchall() == [{"username": "anna"}]


async def test_staff_deactivated_during_the_password_check_delete_no_account(
    staff: Person, anna: Person, check: Check, database: Connection
) -> None:
    async def deactivate() -> None:
        await asyncio.to_thread(database.execute, "update users set is_active = false where is_staff")

    acting = staff.delete(f"/auth/users/{anna.id}/", {"current_password": PASSWORD})
    assert (await act_during_check(check, acting, deactivate))[0] == 401
    assert (await anna.get("/auth/users/me/"))[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "fields"),
    [("DELETE", "/auth/users/me/", {}), ("POST", "/auth/users/set_username/", {"new_username": "thief"})],
)
async def test_a_password_changed_after_the_check_is_refused_when_the_change_is_made(
    anna: Person, database: Connection, race: Race, method: str, path: str, fields: dict[str, str]
) -> None:
    acting = anna.ask(method, path, json={"current_password": PASSWORD} | fields)
    assert await race("update users set password = '!'", acting) == (400, {"current_password": ["Invalid password."]})
    assert database.execute("select username from users").fetchall() == [{"username": "anna"}]


async def test_a_notice_goes_to_the_address_at_the_time_of_the_change(anna: Person, letters: Letters) -> None:
    await letters()
    assert (await anna.post("/auth/users/set_password/", CHANGE))[0] == 204
    renaming = {"current_password": NEW, "new_username": "thief"}
    assert (await anna.post("/auth/users/set_username/", renaming))[0] == 204
    assert (await anna.patch("/auth/users/me/", {"email": "thief@example.com"}))[0] == 200
    assert [letter.to for letter in await letters()] == ["anna@example.com"] * 3


def imported_hash(password: str) -> str:
    """A hash in the format of another system, which is rewritten at the next sign-in."""
    salt = "SaltSaltSaltSaltSaltSa"
    digest = hashlib.pbkdf2_hmac("sha256", password.encode(), salt.encode(), 1000)
    return f"pbkdf2_sha256$1000${salt}${base64.b64encode(digest).decode()}"


@pytest.mark.parametrize("path", ["/auth/jwt/create/", "/auth/token/login/"])
async def test_several_sign_ins_at_once_with_an_imported_hash_all_succeed(
    anna: Person, database: Connection, path: str
) -> None:
    database.execute("update users set password = %s", [imported_hash(PASSWORD)])
    signing_in = [post(anna.client, path, username="anna", password=PASSWORD) for _ in range(8)]
    assert [status for status, _ in await asyncio.gather(*signing_in)] == [200] * 8


async def test_a_login_at_the_same_time_as_a_logout_is_not_refused(anna: Person) -> None:
    logging_in = [post(anna.client, "/auth/token/login/", username="anna", password=PASSWORD) for _ in range(12)]
    sessions = [await anna.sign_in() for _ in range(12)]  # a logout ends its session, too
    logging_out = [each.post("/auth/token/logout/") for each in sessions]
    responses = await asyncio.gather(*(each for pair in zip(logging_in, logging_out, strict=True) for each in pair))
    assert [status for status, _ in responses] == [200, 204] * 12


async def test_issuing_a_link_during_a_change_of_password_causes_no_deadlock(
    anna: Person, database: Connection
) -> None:
    app = anna.client.app
    async with app[DB].transaction() as transaction:
        await app[LETTERS].queue_link(transaction, PASSWORD_RESET, anna.id)
    async with app[DB].transaction() as transaction:
        nonce = await app[ONE_TIME_TOKENS].issue(transaction, anna.id, PASSWORD_RESET)
        changing = asyncio.ensure_future(anna.post("/auth/users/set_password/", CHANGE))
        await until_blocked(changing, database)
        await app[LETTERS].queue(transaction, PASSWORD_RESET, anna.id, nonce=nonce)
    assert (await changing)[0] == 204


@BY_EMAIL
async def test_a_reset_tells_that_an_address_is_taken_only_with_a_valid_link(
    client: Client, database: Connection
) -> None:
    account = {"username": "anna", "email": "anna@example.com", "password": PASSWORD}
    assert (await post(client, "/auth/users/", **account))[0] == 201
    responses = [
        await post(client, "/auth/users/reset_username_confirm/", uid="MQ", token="x", new_email=f"{name}@example.com")
        for name in ("anna", "nobody")
    ]
    assert responses[0] == responses[1]


@in_mode("activation", login_field="either")
async def test_an_unconfirmed_address_does_not_block_the_sign_in_of_an_account_with_that_username(
    client: Client, database: Connection
) -> None:
    named = {"username": "anna@example.com", "email": "real@example.com", "password": PASSWORD}
    assert (await post(client, "/auth/users/", **named))[0] == 201
    database.execute("update users set is_active = true")
    thief = {"username": "thief", "email": "anna@example.com", "password": "a password of the thief"}
    assert (await post(client, "/auth/users/", **thief))[0] == 201
    status, _ = await post(client, "/auth/jwt/create/", username="anna@example.com", password=PASSWORD)
    assert status == 200
