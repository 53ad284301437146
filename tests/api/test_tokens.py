"""The API token: one per account, the same at every login until something ends it (contract 2, 11.23)."""

import asyncio
import re
from collections import Counter
from dataclasses import replace
from typing import Any

import bcrypt
import pytest
from aiohttp.test_utils import TestClient

from server.app import create_app
from server.settings.settings import Settings
from tests.conftest import PASSWORD, Client, FrontdeskServer, Letters, Person, in_mode, post
from tests.links import DONE, NEW_PASSWORD, PASSWORD_RESET, asked_by, confirm
from tests.locks import Race
from tests.rows import Connection

LOGIN, LOGOUT = "/auth/token/login/", "/auth/token/logout/"
FAILED = (400, {"non_field_errors": ["Unable to log in with provided credentials."]})
UNKNOWN = (401, {"detail": "Invalid token."})
ME = "/auth/users/me/"


async def log_in(client: Client, username: str = "anna", password: str = PASSWORD) -> str:
    status, response = await post(client, LOGIN, username=username, password=password)
    assert (status, list(response)) == (200, ["auth_token"])
    token: str = response["auth_token"]
    return token


async def use(client: Client, token: str, method: str = "GET", path: str = ME, **options: Any) -> tuple[int, Any]:
    headers = {"Authorization": f"Token {token}"}
    async with client.request(method, path, headers=headers, **options) as response:
        return response.status, await response.json() if await response.read() else None


@in_mode("default", "retype", user_create_password_retype=False)
async def test_login_returns_the_same_forty_hex_digits_each_time(anna: Person) -> None:
    token = await log_in(anna.client)
    assert re.fullmatch("[0-9a-f]{40}", token)
    assert [await log_in(anna.client, name) for name in ("anna", "ANNA", "ａｎｎａ")] == [token] * 3
    assert await use(anna.client, token) == await anna.get(ME)


async def test_each_account_has_its_own_token(anna: Person, boris: Person) -> None:
    tokens = {await log_in(anna.client, name) for name in ("anna", "boris")}
    assert len(tokens) == 2


async def test_many_logins_at_once_return_the_same_token(anna: Person, database: Connection) -> None:
    tokens = await asyncio.gather(*(log_in(anna.client) for _ in range(20)))
    assert len(set(tokens)) == 1
    assert len(database.execute("select from api_tokens").fetchall()) == 1
    assert (await use(anna.client, tokens[0]))[0] == 200


async def test_logins_of_one_account_run_one_after_the_other(anna: Person, race: Race) -> None:
    # Without this lock, two first logins at the same moment could both insert the same hash: one would be a 500.
    login = post(anna.client, LOGIN, username="anna", password=PASSWORD)
    assert (await race("select from users for no key update", login))[0] == 200


async def test_a_logout_during_a_login_ends_the_former_token_and_not_the_login(anna: Person, race: Race) -> None:
    former = await log_in(anna.client)
    ends = (
        "with locked as (select id from users for no key update)"
        " update api_tokens set generation = generation + 1, hash = null from locked"
    )
    status, given = await race(ends, post(anna.client, LOGIN, username="anna", password=PASSWORD))
    assert status == 200
    assert await use(anna.client, former) == UNKNOWN
    assert (await use(anna.client, given["auth_token"]))[0] == 200


@pytest.mark.parametrize("keyword", ["Token", "token", "TOKEN", " Token ", "Token   "])
async def test_the_keyword_is_read_in_any_case(anna: Person, keyword: str) -> None:
    token = await log_in(anna.client)
    response = await anna.client.get(ME, headers={"Authorization": f"{keyword} {token}"})
    assert response.status == 200


async def test_a_token_in_another_spelling_is_refused(anna: Person) -> None:
    token = await log_in(anna.client)
    for other in (token.upper(), token[:-1], f"{token}0", f"{token}=", "0" * 40, "é" * 40, f"0x{token}"):
        assert await use(anna.client, other) == UNKNOWN, other


async def test_a_token_is_accepted_on_every_protected_route(anna: Person) -> None:
    token = await log_in(anna.client)
    profile = await anna.profile()
    assert (await use(anna.client, token, path="/api/accounts/all-profiles"))[0] == 200
    edited = await use(
        anna.client, token, "PATCH", f"/api/accounts/profile/{profile['id']}", json={"location": "Lisbon"}
    )
    assert (edited[0], edited[1]["location"]) == (200, "Lisbon")
    password = {"current_password": PASSWORD}
    assert await use(anna.client, token, "DELETE", ME, json=password) == DONE
    assert await use(anna.client, token) == UNKNOWN


FAILED_LOGINS: list[dict[str, str]] = [
    {},
    {"username": "anna"},
    {"password": PASSWORD},
    {"username": "anna", "password": "wrong one"},
    {"username": "nobody", "password": PASSWORD},
    {"username": "anna@example.com", "password": PASSWORD},
    {"email": "anna@example.com", "password": PASSWORD},
    {"username": "anna", "password": f"{PASSWORD} "},
    {"username": "boris", "password": PASSWORD},
    {"username": "unusable", "password": "!"},
]


async def test_every_failed_login_looks_the_same_and_runs_one_hash(
    anna: Person, boris: Person, database: Connection, hashes: Counter[str]
) -> None:
    database.execute("update users set is_active = false where username = 'boris'")
    database.execute("insert into users (username, password) values ('unusable', '!')")
    for given in FAILED_LOGINS:
        hashes.clear()
        assert await post(anna.client, LOGIN, **given) == FAILED
        assert hashes["run"] == 1, given
    assert database.execute("select from api_tokens where hash is not null").fetchall() == []


BLANK = ["This field may not be blank."]
NULL = ["This field may not be null."]


@pytest.mark.parametrize(
    ("given", "faults"),
    [
        ({"username": "", "password": ""}, {"username": BLANK, "password": BLANK}),
        ({"username": None, "password": None}, {"username": NULL, "password": NULL}),
        ({"username": [], "password": True}, dict.fromkeys(("username", "password"), ("Not a valid string.",))),
        ({"password": "a\0"}, {"password": ["Null characters are not allowed."]}),
        ({"password": "x" * 4097}, {"password": ["Ensure this field has no more than 4096 bytes."]}),
    ],
)
async def test_an_invalid_field_is_a_field_error(
    client: Client, hashes: Counter[str], given: dict[str, Any], faults: dict[str, Any]
) -> None:
    assert await post(client, LOGIN, **given) == (400, {name: list(texts) for name, texts in faults.items()})
    assert hashes["run"] == 0


async def test_a_form_logs_in_too(anna: Person) -> None:
    response = await anna.client.post(LOGIN.rstrip("/"), data={"username": "anna", "password": PASSWORD})
    assert (response.status, await response.json()) == (200, {"auth_token": await log_in(anna.client)})
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("by", ["token", "session"])
async def test_logout_ends_the_token_and_the_next_login_issues_another(anna: Person, boris: Person, by: str) -> None:
    token, other = await log_in(anna.client), await log_in(anna.client, "boris")
    if by == "token":
        assert await use(anna.client, token, "POST", LOGOUT) == DONE
    else:
        assert await anna.post(LOGOUT) == DONE
    assert await use(anna.client, token) == UNKNOWN
    assert (await use(anna.client, other))[0] == 200
    assert (await anna.get(ME))[0] == (200 if by == "token" else 401), "logout with a session's token ends the session"
    second = await log_in(anna.client)
    assert second != token
    assert (await use(anna.client, second))[0] == 200
    assert await use(anna.client, token) == UNKNOWN


async def test_logout_without_a_token_succeeds(anna: Person) -> None:
    for _ in range(2):
        assert await (await anna.sign_in()).post(LOGOUT) == DONE


async def test_logout_needs_a_sign_in(client: Client) -> None:
    assert await post(client, LOGOUT) == (401, {"detail": "Authentication credentials were not provided."})


@pytest.mark.parametrize("by", ["token", "session"])
async def test_a_password_change_ends_the_token(anna: Person, by: str) -> None:
    token = await log_in(anna.client)
    given = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    if by == "token":
        assert await use(anna.client, token, "POST", "/auth/users/set_password/", json=given) == DONE
        assert (await anna.get(ME))[0] == 401, "a change made with the token ends every session"
    else:
        assert await anna.post("/auth/users/set_password/", given) == DONE
    assert await use(anna.client, token) == UNKNOWN
    assert await log_in(anna.client, password=NEW_PASSWORD) != token


async def test_a_reset_ends_the_token(anna: Person, letters: Letters) -> None:
    token = await log_in(anna.client)
    assert await confirm(anna.client, PASSWORD_RESET, await asked_by(anna, letters, PASSWORD_RESET)) == DONE
    assert await use(anna.client, token) == UNKNOWN


@pytest.mark.parametrize("by", ["staff", "psql"])
async def test_deactivation_ends_the_token_and_activation_does_not_restore_it(
    anna: Person, staff: Person, database: Connection, by: str
) -> None:
    token = await log_in(anna.client)

    async def switch(active: bool) -> None:
        if by == "staff":
            await staff.patch(f"/auth/users/{anna.id}/", {"is_active": active})
        else:
            database.execute("update users set is_active = %s where id = %s", [active, anna.id])

    await switch(False)
    assert (await use(anna.client, token))[0] == 401
    assert await post(anna.client, LOGIN, username="anna", password=PASSWORD) == FAILED
    await switch(True)
    assert await use(anna.client, token) == UNKNOWN
    second = await log_in(anna.client)
    assert second != token
    assert (await use(anna.client, second))[0] == 200


async def test_signing_out_of_a_session_keeps_the_token(anna: Person) -> None:
    token = await log_in(anna.client)
    assert await post(anna.client, "/auth/jwt/blacklist/", refresh=anna.tokens["refresh"]) == (200, {})
    assert (await use(anna.client, token))[0] == 200


async def test_an_account_deactivated_during_the_password_check_gets_no_token(
    anna: Person, database: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    check = bcrypt.checkpw

    def change_meanwhile(*arguments: Any) -> bool:
        database.execute("update users set is_active = false")
        return check(*arguments)

    monkeypatch.setattr(bcrypt, "checkpw", change_meanwhile)
    assert await post(anna.client, LOGIN, username="anna", password=PASSWORD) == FAILED
    assert database.execute("select from api_tokens where hash is not null").fetchall() == []


async def test_every_kind_of_token_is_refused_where_another_is_wanted(anna: Person) -> None:
    token = await log_in(anna.client)
    for keyword in ("Bearer", "JWT"):
        response = await anna.client.get(ME, headers={"Authorization": f"{keyword} {token}"})
        assert (response.status, (await response.json())["code"]) == (401, "token_not_valid")
    for path, name in (("refresh", "refresh"), ("verify", "token"), ("blacklist", "refresh")):
        assert (await post(anna.client, f"/auth/jwt/{path}/", **{name: token}))[0] == 401
    for other in anna.tokens.values():
        assert await use(anna.client, other) == UNKNOWN


async def test_the_database_holds_no_token(anna: Person, database: Connection) -> None:
    token = await log_in(anna.client)
    (row,) = database.execute("select * from api_tokens").fetchall()
    assert token not in str(row)
    assert bytes.fromhex(token) not in row["hash"]
    assert await use(anna.client, row["hash"].hex()) == UNKNOWN
    assert await use(anna.client, row["hash"].hex()[:40]) == UNKNOWN


async def test_the_token_depends_on_the_signing_key(anna: Person, settings: Settings) -> None:
    token = await log_in(anna.client)
    rekeyed = create_app(replace(settings, signing_key="another key of more than 32 bytes in length"))
    async with TestClient(FrontdeskServer(rekeyed)) as client:
        assert await log_in(client) != token


@pytest.mark.parametrize("path", [LOGIN, LOGIN.rstrip("/")])
async def test_options_and_other_methods_of_login_need_no_sign_in(client: Client, path: str) -> None:
    response = await client.options(path)
    assert (response.status, response.headers["Allow"]) == (200, "POST, OPTIONS")
    for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE"):
        response = await client.request(method, path)
        assert (response.status, response.headers["Allow"]) == (405, "POST, OPTIONS")
        refused = await client.request(method, path, headers={"Authorization": "Token x"})
        assert refused.status == 401


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
async def test_options_and_other_methods_of_logout_need_a_sign_in(anna: Person, method: str) -> None:
    assert (await anna.client.request(method, LOGOUT)).status == 401
    assert (await anna.ask(method, LOGOUT))[0] == (200 if method == "OPTIONS" else 405)
