"""Tokens in letters: one purpose, one use, an expiry, one per purpose at a time (contract 11.8, security 14, 26)."""

import asyncio
from collections import Counter

import psycopg
import pytest

from tests.conftest import PASSWORD, Client, Letters, Person, in_mode, post
from tests.links import (
    ACTIVATION,
    ASKED_AT,
    DONE,
    EMAIL_CHANGE,
    ENDPOINTS,
    INVALID_TOKEN,
    KINDS,
    PASSWORD_RESET,
    STALE,
    TAKEN_AT,
    USERNAME_RESET,
    activated,
    asked,
    asked_by,
    confirm,
    link,
    register,
)
from tests.locks import until_blocked
from tests.rows import Connection

pytestmark = in_mode("activation")

every_kind = pytest.mark.parametrize("kind", KINDS)


@every_kind
async def test_a_token_is_accepted_only_by_the_endpoint_for_its_kind(
    client: Client, letters: Letters, kind: str
) -> None:
    given = await asked(client, letters, kind)
    for path, more in ENDPOINTS.items():
        if path != TAKEN_AT[kind]:
            assert await post(client, path, **given, **more) == INVALID_TOKEN, path
    assert await confirm(client, kind, given) == DONE


@every_kind
async def test_a_token_works_once(client: Client, letters: Letters, kind: str) -> None:
    given = await asked(client, letters, kind)
    assert await confirm(client, kind, given) == DONE
    # A used activation token is remembered; used tokens of other kinds are deleted.
    again = await confirm(client, kind, given, **({"new_username": "anna.2"} if kind == USERNAME_RESET else {}))
    assert again == (STALE if kind == ACTIVATION else INVALID_TOKEN)


@every_kind
async def test_of_twenty_confirmations_at_once_one_succeeds(client: Client, letters: Letters, kind: str) -> None:
    given = await asked(client, letters, kind)
    more = [{"new_username": f"anna.{number}"} if kind == USERNAME_RESET else {} for number in range(20)]
    responses = await asyncio.gather(*(confirm(client, kind, given, **each) for each in more))
    assert Counter(status for status, _ in responses) == {204: 1, 403 if kind == ACTIVATION else 400: 19}


@every_kind
async def test_an_expired_token_is_invalid(client: Client, letters: Letters, database: Connection, kind: str) -> None:
    given = await asked(client, letters, kind)
    database.execute("update one_time_tokens set expires_at = now() - interval '1 second'")
    assert await confirm(client, kind, given) == INVALID_TOKEN


@every_kind
async def test_a_token_expires_after_three_days(
    client: Client, letters: Letters, database: Connection, kind: str
) -> None:
    await asked(client, letters, kind)
    ends = database.execute("select expires_at - now() as life from one_time_tokens where purpose = %s", [kind])
    assert abs(ends.fetchall()[0]["life"].total_seconds() - 259_200) < 60


@every_kind
async def test_a_new_token_invalidates_the_one_before_of_its_kind(client: Client, letters: Letters, kind: str) -> None:
    first = await asked(client, letters, kind)
    anna = Person(client, "anna") if kind == ACTIVATION else await Person(client, "anna").sign_in()
    second = await asked_by(anna, letters, kind)
    assert first["token"] != second["token"]
    assert await confirm(client, kind, first) == INVALID_TOKEN
    assert await confirm(client, kind, second) == DONE


async def test_a_token_stays_valid_when_one_of_another_kind_is_issued(client: Client, letters: Letters) -> None:
    given = await asked(client, letters, PASSWORD_RESET)
    anna = await Person(client, "anna").sign_in()
    await asked_by(anna, letters, EMAIL_CHANGE)
    assert await confirm(client, USERNAME_RESET, await asked_by(anna, letters, USERNAME_RESET)) == DONE
    assert await confirm(client, PASSWORD_RESET, given) == DONE


@every_kind
@pytest.mark.parametrize("change", ["password = '!'", "email = 'changed@example.com'"])
async def test_a_change_of_password_or_address_in_the_database_invalidates_a_token(
    client: Client, letters: Letters, database: Connection, kind: str, change: str
) -> None:
    given = await asked(client, letters, kind)
    database.execute(f"update users set {change}")
    assert await confirm(client, kind, given) == INVALID_TOKEN


@pytest.mark.parametrize("kind", [EMAIL_CHANGE, PASSWORD_RESET, USERNAME_RESET])
async def test_a_change_of_password_by_its_owner_invalidates_a_token(
    client: Client, letters: Letters, kind: str
) -> None:
    given = await asked(client, letters, kind)
    anna = await Person(client, "anna").sign_in()
    change = {"current_password": PASSWORD, "new_password": "another one of hers"}
    assert await anna.post("/auth/users/set_password/", change) == DONE
    assert await confirm(client, kind, given) == INVALID_TOKEN


@pytest.mark.parametrize("kind", [PASSWORD_RESET, USERNAME_RESET])
async def test_confirming_a_new_address_invalidates_a_token(client: Client, letters: Letters, kind: str) -> None:
    given = await asked(client, letters, kind)
    anna = await Person(client, "anna").sign_in()
    assert await confirm(client, EMAIL_CHANGE, await asked_by(anna, letters, EMAIL_CHANGE)) == DONE
    assert await confirm(client, kind, given) == INVALID_TOKEN


@pytest.mark.parametrize("kind", [EMAIL_CHANGE, PASSWORD_RESET, USERNAME_RESET])
async def test_a_token_stays_valid_after_a_sign_in_and_a_change_of_username(
    client: Client, letters: Letters, kind: str
) -> None:
    given = await asked(client, letters, kind)
    anna = await Person(client, "anna").sign_in()
    assert (await post(client, "/auth/token/login/", username="anna", password=PASSWORD))[0] == 200
    named = {"new_username": "anna.k", "current_password": PASSWORD}
    assert await anna.post("/auth/users/set_username/", named) == DONE
    assert await confirm(client, kind, given) == DONE


@every_kind
async def test_a_token_is_valid_for_its_own_account_only(client: Client, letters: Letters, kind: str) -> None:
    await register(client, "boris")
    other = await link(letters, "boris@example.com")
    given = await asked(client, letters, kind)
    assert await confirm(client, kind, given | {"uid": other["uid"]}) == INVALID_TOKEN
    assert await confirm(client, kind, given) == DONE


@every_kind
async def test_requests_other_than_post_do_not_use_up_a_token(client: Client, letters: Letters, kind: str) -> None:
    given = await asked(client, letters, kind)
    for method in ("GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"):
        response = await client.request(method, TAKEN_AT[kind], params=given, json=given | ENDPOINTS[TAKEN_AT[kind]])
        assert response.status == 401
    assert await confirm(client, kind, given) == DONE


@every_kind
async def test_a_token_of_a_letter_is_not_accepted_as_any_other_token(
    client: Client, letters: Letters, kind: str
) -> None:
    token = (await asked(client, letters, kind))["token"]
    for keyword in ("Bearer", "JWT", "Token"):
        response = await client.get("/auth/users/me/", headers={"Authorization": f"{keyword} {token}"})
        assert response.status == 401
    for path, name in (("refresh", "refresh"), ("verify", "token"), ("blacklist", "refresh")):
        assert (await post(client, f"/auth/jwt/{path}/", **{name: token}))[0] == 401


async def test_a_token_of_a_sign_in_is_not_accepted_as_one_of_a_letter(client: Client, letters: Letters) -> None:
    anna = await activated(client, letters)
    _, response = await post(client, "/auth/token/login/", username="anna", password=PASSWORD)
    given = await asked_by(anna, letters, PASSWORD_RESET)
    for token in (*anna.tokens.values(), response["auth_token"]):
        for path, more in ENDPOINTS.items():
            assert await post(client, path, uid=given["uid"], token=token, **more) == INVALID_TOKEN


@every_kind
async def test_a_change_of_password_at_the_same_moment_causes_no_deadlock(
    client: Client, letters: Letters, database: Connection, database_url: str, kind: str
) -> None:
    given = await asked(client, letters, kind)
    with psycopg.connect(database_url) as other:
        other.execute("select from users for no key update")
        under_way = asyncio.create_task(confirm(client, kind, given))
        await until_blocked(under_way, database)
        assert not under_way.done()
        await asyncio.to_thread(other.execute, "update users set password = '!'")
    assert await under_way == INVALID_TOKEN


async def test_an_unsent_letter_is_withdrawn_when_the_next_of_its_kind_is_queued(
    client: Client, letters: Letters
) -> None:
    anna = await activated(client, letters)
    for kind in (PASSWORD_RESET, USERNAME_RESET):
        for _ in range(3):
            assert await post(client, ASKED_AT[kind], email="anna@example.com") == DONE
        sent = [letter.link for letter in await letters()]
        assert len(sent) == 1, kind
    for address in ("one@example.com", "two@example.com"):
        assert (await anna.patch("/auth/users/me/", {"email": address}))[0] == 200
    linked = [letter.to for letter in await letters() if letter.link]
    assert linked == ["two@example.com"]


@pytest.mark.parametrize("change", ["update users set password = '!'", "delete from one_time_tokens"])
async def test_a_letter_whose_link_became_invalid_before_sending_is_withdrawn(
    client: Client, letters: Letters, database: Connection, change: str
) -> None:
    await register(client)
    database.execute(change)
    assert [letter for letter in await letters() if letter.link] == []


async def test_a_letter_to_a_deleted_account_is_withdrawn(
    client: Client, letters: Letters, database: Connection
) -> None:
    await register(client)
    database.execute("delete from users")
    assert await letters() == []
