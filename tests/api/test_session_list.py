"""People see where they are signed in and end it; staff see and end the sessions of any account (security 25)."""

import re
import uuid
from datetime import datetime
from typing import Any

import pytest

from tests.conftest import PASSWORD, Client, Person, in_mode, post
from tests.jwts import ENDED, claims_of, refused
from tests.rows import Connection, count, only_row

FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
NOT_FOUND = (404, {"detail": "Not found."})


def session_of(person: Person) -> str:
    """The id of the session of a signed-in account."""
    return str(claims_of(person.tokens["access"])["sid"])


async def sign_in_with(person: Person, device: str) -> Person:
    """Sign in with a User-Agent header."""
    body = {"username": person.username, "password": PASSWORD}
    async with person.client.post("/auth/jwt/create/", json=body, headers={"User-Agent": device}) as response:
        assert response.status == 200
        return Person(person.client, person.username, person.id, await response.json())


async def test_a_person_sees_where_they_are_signed_in(anna: Person, boris: Person, database: Connection) -> None:
    browser = await sign_in_with(anna, FIREFOX)
    status, sessions = await browser.get("/auth/sessions/")
    assert status == 200
    assert {each["id"]: each["is_current"] for each in sessions} == {session_of(anna): False, session_of(browser): True}
    shown = next(each for each in sessions if each["is_current"])
    assert list(shown) == ["id", "device", "address", "opened_on", "last_used_on", "expires_on", "is_current"]
    assert (shown["device"], shown["address"]) == ("Firefox on Windows", "127.0.0.1")
    query = "select opened_at, last_used_at, expires_at from sessions where id = %s"
    stored = [*only_row(database, query, session_of(browser)).values()]
    assert [datetime.fromisoformat(shown[name]) for name in ("opened_on", "last_used_on", "expires_on")] == stored


async def test_a_session_row_has_device_and_address(anna: Person, database: Connection) -> None:
    await sign_in_with(anna, FIREFOX)
    row = only_row(database, "select device, host(address) as address from sessions where device = %s", FIREFOX)
    assert row == {"device": FIREFOX, "address": "127.0.0.1"}


async def test_a_person_ends_one_session_at_once(anna: Person) -> None:
    other, third = await anna.sign_in(), await anna.sign_in()
    assert await anna.delete(f"/auth/sessions/{session_of(other)}/") == (204, None)
    assert await other.get("/auth/users/me/") == refused(ENDED)
    assert await anna.delete(f"/auth/sessions/{session_of(other)}/") == NOT_FOUND
    assert (await third.get("/auth/users/me/"))[0] == 200
    assert (await anna.get("/auth/users/me/"))[0] == 200


async def test_a_person_ends_all_other_sessions_at_once(anna: Person, boris: Person) -> None:
    others = [await anna.sign_in() for _ in range(3)]
    assert await anna.delete("/auth/sessions/") == (204, None)
    for other in others:
        assert await other.get("/auth/users/me/") == refused(ENDED)
    assert [each["id"] for each in (await anna.get("/auth/sessions/"))[1]] == [session_of(anna)]
    assert (await boris.get("/auth/users/me/"))[0] == 200


async def test_ending_all_other_sessions_ends_the_api_token_too(
    anna: Person, boris: Person, database: Connection
) -> None:
    tokens = {person.username: await api_token(person) for person in (anna, boris)}
    assert await anna.delete("/auth/sessions/") == (204, None)
    assert [await reads_me(anna.client, token) for token in tokens.values()] == [401, 200]
    assert await anna.delete("/auth/sessions/") == (204, None)  # nothing is left to end
    rows = database.execute("select user_id, details from events where kind = 'session_ended'").fetchall()
    assert rows == [{"user_id": anna.id, "details": {"sessions": 0}}]


async def test_an_api_token_ends_all_sessions_and_stays(anna: Person) -> None:
    token = await api_token(anna)
    async with anna.client.delete("/auth/sessions/", headers={"Authorization": f"Token {token}"}) as response:
        assert response.status == 204
    assert await anna.get("/auth/users/me/") == refused(ENDED)
    assert await reads_me(anna.client, token) == 200


async def test_staff_end_the_api_token_of_another_account_with_its_sessions(anna: Person, staff: Person) -> None:
    token, of_staff = await api_token(anna), await api_token(staff)
    headers = {"Authorization": f"Token {of_staff}"}
    async with staff.client.delete(f"/auth/sessions/?user={anna.id}", headers=headers) as response:
        assert response.status == 204
    assert [await reads_me(anna.client, each) for each in (token, of_staff)] == [401, 200]


async def api_token(person: Person) -> str:
    status, body = await post(person.client, "/auth/token/login/", username=person.username, password=PASSWORD)
    assert status == 200
    token: str = body["auth_token"]
    return token


async def reads_me(client: Client, api_token: str) -> int:
    async with client.get("/auth/users/me/", headers={"Authorization": f"Token {api_token}"}) as response:
        return response.status


async def test_another_persons_sessions_are_not_found(anna: Person, boris: Person, database: Connection) -> None:
    assert await anna.delete(f"/auth/sessions/{session_of(boris)}/") == NOT_FOUND
    for user in (boris.id, boris.id + 1000):
        assert await anna.get(f"/auth/sessions/?user={user}") == NOT_FOUND
        assert await anna.delete(f"/auth/sessions/?user={user}") == NOT_FOUND
    assert (await anna.get(f"/auth/sessions/?user={anna.id}"))[0] == 200
    assert (await boris.get("/auth/users/me/"))[0] == 200


@pytest.mark.parametrize(
    "name", ["1", "x", "%00", "5b0f7f0e-6d9a-4c1e-9d0e-3f1f0c2a7b54", str(uuid.UUID(int=0)), "{0}", "a" * 3000]
)
async def test_what_is_no_session_is_not_found(anna: Person, name: str) -> None:
    assert await anna.delete(f"/auth/sessions/{name}/") == NOT_FOUND


async def test_an_id_in_another_spelling_is_not_found(anna: Person) -> None:
    for spelling in (session_of(anna).upper(), session_of(anna).replace("-", "")):
        if spelling != session_of(anna):
            assert await anna.delete(f"/auth/sessions/{spelling}/") == NOT_FOUND


async def test_staff_see_and_end_the_sessions_of_any_account(anna: Person, staff: Person) -> None:
    first, second, third = anna, await anna.sign_in(), await anna.sign_in()
    status, sessions = await staff.get(f"/auth/sessions/?user={anna.id}")
    assert (status, len(sessions), {each["is_current"] for each in sessions}) == (200, 3, {False})
    assert await staff.delete(f"/auth/sessions/{session_of(first)}/") == (204, None)
    assert await first.get("/auth/users/me/") == refused(ENDED)
    assert (await second.get("/auth/users/me/"))[0] == 200
    assert await staff.delete(f"/auth/sessions/?user={anna.id}") == (204, None)
    for person in (second, third):
        assert await person.get("/auth/users/me/") == refused(ENDED)
    assert (await staff.get("/auth/users/me/"))[0] == 200


async def test_staff_who_end_their_own_other_sessions_stay_signed_in(staff: Person) -> None:
    other = await staff.sign_in()
    assert await staff.delete(f"/auth/sessions/?user={staff.id}") == (204, None)
    assert await other.get("/auth/users/me/") == refused(ENDED)
    assert (await staff.get("/auth/users/me/"))[0] == 200


async def test_an_ended_session_is_recorded_with_the_account_that_ended_it(
    anna: Person, staff: Person, database: Connection
) -> None:
    second, third, fourth = await anna.sign_in(), await anna.sign_in(), await anna.sign_in()
    await anna.delete(f"/auth/sessions/{session_of(second)}/")
    await staff.delete(f"/auth/sessions/{session_of(third)}/")
    await anna.delete("/auth/sessions/")
    await anna.delete("/auth/sessions/")  # there is none left: nothing happened
    await staff.delete(f"/auth/sessions/?user={anna.id}")
    rows = database.execute(
        "select user_id, actor_id, details from events where kind = 'session_ended' order by id"
    ).fetchall()
    assert [tuple(row.values()) for row in rows] == [
        (anna.id, anna.id, {"session": session_of(second)}),
        (anna.id, staff.id, {"session": session_of(third)}),
        (anna.id, anna.id, {"sessions": 1}),
        (anna.id, staff.id, {"sessions": 1}),
    ]
    assert await fourth.get("/auth/users/me/") == refused(ENDED)


async def test_with_an_api_token_no_session_is_the_current_one(anna: Person, database: Connection) -> None:
    _, token = await post(anna.client, "/auth/token/login/", username="anna", password=PASSWORD)
    headers = {"Authorization": f"Token {token['auth_token']}"}
    _, sessions = await anna.get("/auth/sessions/", headers=headers)
    assert [each["is_current"] for each in sessions] == [False]
    assert (await anna.delete("/auth/sessions/", headers=headers))[0] == 204
    assert count(database, "sessions") == 0


async def test_ended_and_expired_sessions_are_not_listed(anna: Person, staff: Person, database: Connection) -> None:
    other = await anna.sign_in()
    database.execute("update sessions set expires_at = now() where id = %s", [session_of(other)])
    assert [each["id"] for each in (await anna.get("/auth/sessions/"))[1]] == [session_of(anna)]
    assert await anna.delete(f"/auth/sessions/{session_of(other)}/") == NOT_FOUND
    assert await staff.delete(f"/auth/sessions/{session_of(other)}/") == NOT_FOUND


async def test_the_session_that_was_used_last_is_the_first_of_the_list(anna: Person, database: Connection) -> None:
    second, third = await anna.sign_in(), await anna.sign_in()
    for person, seconds in ((second, 10), (anna, 20), (third, 30)):
        used = "update sessions set last_used_at = now() - make_interval(secs => %s) where id = %s"
        database.execute(used, [seconds, session_of(person)])
    _, sessions = await anna.get("/auth/sessions/")
    assert [each["id"] for each in sessions] == [session_of(person) for person in (second, anna, third)]
    assert [each["is_current"] for each in sessions] == [False, True, False]


async def read_page(person: Person, path: str) -> tuple[list[dict[str, Any]], str | None]:
    """The sessions of a page, and the path of the next page."""
    async with person.client.get(path, headers=person.header) as response:
        assert response.status == 200
        found = re.fullmatch(r'<(.+)>; rel="next"', response.headers.get("Link", ""))
        return await response.json(), found[1] if found else None


def insert_sessions(database: Connection, person: Person, number: int) -> None:
    """Insert sessions of an account, all used at the same moment."""
    database.execute(
        "insert into sessions (user_id, expires_at) select %s, now() + interval '1 day' from generate_series(1, %s)",
        [person.id, number],
    )


async def test_pages_hold_every_session_once(anna: Person, staff: Person, database: Connection) -> None:
    insert_sessions(database, anna, 12)
    insert_sessions(database, anna, 12)
    seen: list[tuple[str, str]] = []
    path: str | None = f"/auth/sessions/?limit=10&user={anna.id}"
    while path:
        page, path = await read_page(staff, path)
        assert len(page) <= 10
        seen += [(each["last_used_on"], each["id"]) for each in page]
    assert len(seen) == 25
    assert seen == sorted(set(seen), reverse=True)


async def test_a_session_that_ends_between_two_pages_hides_no_other(anna: Person, database: Connection) -> None:
    insert_sessions(database, anna, 5)
    first, path = await read_page(anna, "/auth/sessions/?limit=3")
    assert path is not None
    assert await anna.delete(f"/auth/sessions/{first[-1]['id']}/") == (204, None)
    second, path = await read_page(anna, path)
    assert (len({each["id"] for each in first + second}), path) == (6, None)


async def test_a_page_begins_at_a_time(anna: Person, database: Connection) -> None:
    database.execute("update sessions set last_used_at = '2026-11-23 15:00:00+00'")
    for before, found in (("2026-11-23T15:00:00Z", 0), ("2026-11-23T17:00:00.000001%2B02:00", 1)):
        assert len((await anna.get(f"/auth/sessions/?before={before}"))[1]) == found


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=1001", "user=x", "user=0", "user="),
        *("before=1", "before=", "before=2026-11-23T15:12:37", "before_id=1", "before_id="),
    ],
)
async def test_a_wrong_query_names_its_parameter(anna: Person, query: str) -> None:
    status, body = await anna.get(f"/auth/sessions/?{query}")
    assert (status, list(body)) == (400, [query.partition("=")[0]])


@in_mode("default", auth_path="/api/v1/auth")
async def test_auth_path_moves_the_list(client: Client, database: Connection) -> None:
    await post(client, "/api/v1/auth/users/", username="anna", password=PASSWORD)
    _, tokens = await post(client, "/api/v1/auth/jwt/create/", username="anna", password=PASSWORD)
    anna = Person(client, "anna", 0, tokens)
    assert len((await anna.get("/api/v1/auth/sessions/"))[1]) == 1
    assert await anna.delete(f"/api/v1/auth/sessions/{session_of(anna)}/") == (204, None)


@in_mode("default", hide_users=False)
async def test_without_hide_users_another_persons_sessions_are_forbidden(anna: Person, boris: Person) -> None:
    status, _ = await anna.get(f"/auth/sessions/?user={boris.id}")
    assert status == 403


async def test_a_hostile_user_agent_is_stored_shown_and_harms_nothing(anna: Person) -> None:
    devices = ["<script>alert(1)</script>", "a" * 5000, "Mozilla/5.0 " + "(" * 200, "curl/8.5 ' or 1=1 --", "\xff\xfe"]
    signed_in: list[Any] = [await sign_in_with(anna, device) for device in devices]
    status, sessions = await anna.get("/auth/sessions/")
    assert (status, len(sessions)) == (200, len(signed_in) + 1)
    assert max(len(each["device"]) for each in sessions) <= 100
