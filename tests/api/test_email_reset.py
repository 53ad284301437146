"""The letter that lets an account choose another address to sign in with (contract 11.29, security 26 and 28)."""

import asyncio
from collections import Counter
from typing import Any

import psycopg
import pytest

from tests.conftest import PASSWORD, Client, Letters, Person, in_mode, post
from tests.links import (
    ACTIVATION,
    DONE,
    EMAIL_CHANGE,
    EMAIL_RESET,
    EMAIL_RESET_ASKED_AT,
    EMAIL_RESET_TAKEN_AT,
    ENDPOINTS,
    INVALID_TOKEN,
    INVALID_UID,
    PASSWORD_RESET,
    USERNAME_RESET,
    asked_by,
    confirm,
    link,
    register,
)
from tests.locks import until_blocked
from tests.rows import Connection

ME = "/auth/users/me/"
ANNA, BORIS, NEW = "anna@example.com", "boris@example.com", "new@example.com"
TAKEN = (400, {"new_email": ["A user with that email already exists."]})

by_email = in_mode("default", login_field="email")
by_email_with_activation = in_mode("activation", login_field="email")


async def sign_in(client: Client, email: str = ANNA) -> tuple[int, Any]:
    return await post(client, "/auth/jwt/create/", email=email, password=PASSWORD)


async def asked(client: Client, letters: Letters) -> dict[str, str]:
    """Ask for a link to choose another address for anna's account: its uid and token."""
    assert await post(client, EMAIL_RESET_ASKED_AT, email=ANNA) == DONE
    return await link(letters, ANNA)


async def signed_in(client: Client, letters: Letters) -> Person:
    """Register anna, and sign in."""
    user = await register(client)
    await letters()
    status, tokens = await sign_in(client)
    assert status == 200
    return Person(client, "anna", user["id"], tokens)


@by_email
async def test_a_token_is_accepted_only_by_its_endpoint_and_there_no_other_one(
    client: Client, letters: Letters
) -> None:
    anna = await signed_in(client, letters)
    given = await asked(client, letters)
    for path, more in ENDPOINTS.items():
        assert await post(client, path, **given, **more) == INVALID_TOKEN, path
    for kind in (PASSWORD_RESET, USERNAME_RESET):
        other = await asked_by(anna, letters, kind)
        assert await confirm(client, EMAIL_RESET, other, new_email=NEW) == INVALID_TOKEN, kind
    assert await confirm(client, EMAIL_RESET, given, new_email=NEW) == DONE


@by_email_with_activation
async def test_the_token_of_an_activation_or_of_a_waiting_address_chooses_no_address(
    client: Client, letters: Letters
) -> None:
    await register(client)
    given = await link(letters, ANNA)
    assert await confirm(client, EMAIL_RESET, given, new_email=NEW) == INVALID_TOKEN
    assert await confirm(client, ACTIVATION, given) == DONE
    assert await confirm(client, EMAIL_RESET, await asked(client, letters), new_email=NEW) == DONE
    waiting = await link(letters, NEW)
    assert await confirm(client, EMAIL_RESET, waiting, new_email="other@example.com") == INVALID_TOKEN
    assert await confirm(client, EMAIL_CHANGE, waiting) == DONE


@pytest.mark.parametrize("path", ["/auth/jwt/verify/", "/auth/jwt/refresh/"])
@by_email
async def test_a_token_does_not_sign_in(client: Client, letters: Letters, path: str) -> None:
    await signed_in(client, letters)
    token = (await asked(client, letters))["token"]
    assert (await post(client, path, token=token, refresh=token))[0] == 401
    for keyword in ("Bearer", "JWT", "Token"):
        assert (await client.get(ME, headers={"Authorization": f"{keyword} {token}"})).status == 401


@by_email
async def test_of_twenty_confirmations_at_once_one_succeeds(client: Client, letters: Letters) -> None:
    await signed_in(client, letters)
    given = await asked(client, letters)
    addresses = [f"new.{number}@example.com" for number in range(20)]
    responses = await asyncio.gather(*(confirm(client, EMAIL_RESET, given, new_email=each) for each in addresses))
    assert Counter(status for status, _ in responses) == {204: 1, 400: 19}
    assert len(await letters()) == 1  # the old address is told of one change (security 28)


@by_email_with_activation
async def test_of_twenty_confirmations_at_once_one_address_waits(client: Client, letters: Letters) -> None:
    await register(client)
    assert await confirm(client, ACTIVATION, await link(letters, ANNA)) == DONE
    await letters()
    given = await asked(client, letters)
    addresses = [f"new.{number}@example.com" for number in range(20)]
    responses = await asyncio.gather(*(confirm(client, EMAIL_RESET, given, new_email=each) for each in addresses))
    assert Counter(status for status, _ in responses) == {204: 1, 400: 19}
    told = [letter.to for letter in await letters()]
    assert len(told) == 2
    assert ANNA in told


@by_email
async def test_a_used_an_expired_and_a_replaced_token_are_invalid(
    client: Client, letters: Letters, database: Connection
) -> None:
    await signed_in(client, letters)
    first, second = await asked(client, letters), await asked(client, letters)
    assert await confirm(client, EMAIL_RESET, first, new_email=NEW) == INVALID_TOKEN
    database.execute("update one_time_tokens set expires_at = now() - interval '1 second'")
    assert await confirm(client, EMAIL_RESET, second, new_email=NEW) == INVALID_TOKEN
    third = await asked(client, letters)
    assert await confirm(client, EMAIL_RESET, third, new_email=NEW) == DONE
    assert await confirm(client, EMAIL_RESET, third, new_email="other@example.com") == INVALID_TOKEN


@pytest.mark.parametrize("change", ["password = '!'", "email = 'changed@example.com'"])
@by_email
async def test_a_change_of_password_or_address_invalidates_a_token(
    client: Client, letters: Letters, database: Connection, change: str
) -> None:
    await signed_in(client, letters)
    given = await asked(client, letters)
    database.execute(f"update users set {change}")
    assert await confirm(client, EMAIL_RESET, given, new_email=NEW) == INVALID_TOKEN


@by_email
async def test_a_change_of_password_at_the_same_moment_causes_no_deadlock(
    client: Client, letters: Letters, database: Connection, database_url: str
) -> None:
    await signed_in(client, letters)
    given = await asked(client, letters)
    with psycopg.connect(database_url) as other:
        other.execute("select from users for no key update")
        under_way = asyncio.create_task(confirm(client, EMAIL_RESET, given, new_email=NEW))
        await until_blocked(under_way, database)
        assert not under_way.done()
        await asyncio.to_thread(other.execute, "update users set password = '!'")
    assert await under_way == INVALID_TOKEN


@by_email
async def test_a_token_is_valid_for_its_own_account_only(client: Client, letters: Letters) -> None:
    await signed_in(client, letters)
    boris = await register(client, "boris")
    assert await post(client, EMAIL_RESET_ASKED_AT, email=BORIS) == DONE
    uid = (await link(letters, BORIS))["uid"]
    given = await asked(client, letters)
    assert await confirm(client, EMAIL_RESET, given | {"uid": uid}, new_email=NEW) == INVALID_TOKEN
    assert await confirm(client, EMAIL_RESET, given | {"uid": "MA"}, new_email=NEW) == INVALID_UID
    assert (await sign_in(client, boris["email"]))[0] == 200


@by_email
async def test_requests_other_than_post_do_not_use_up_a_token(client: Client, letters: Letters) -> None:
    await signed_in(client, letters)
    given = await asked(client, letters)
    for method in ("GET", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"):
        response = await client.request(method, EMAIL_RESET_TAKEN_AT, json=given | {"new_email": NEW})
        assert response.status == 401
    assert await confirm(client, EMAIL_RESET, given, new_email=NEW) == DONE


@by_email
async def test_a_refused_address_does_not_use_up_the_token(client: Client, letters: Letters) -> None:
    await signed_in(client, letters)
    await register(client, "boris")
    given = await asked(client, letters)
    forged = given | {"token": "x"}
    for address in ("", " ", "x", "x@", "anna@example.com\nBcc: b@example.com", ["a@example.com"], None):
        status, said = await confirm(client, EMAIL_RESET, given, new_email=address)
        assert (status, [*said]) == (400, ["new_email"]), address
    for address in (BORIS, "BORIS@Example.com"):
        assert await confirm(client, EMAIL_RESET, given, new_email=address) == TAKEN
        # Only a caller with a valid link learns that an address is taken (contract 12).
        assert await confirm(client, EMAIL_RESET, forged, new_email=address) == INVALID_TOKEN
    assert await confirm(client, EMAIL_RESET, given, new_email=NEW) == DONE


@by_email
async def test_an_address_that_two_accounts_choose_at_once_is_one_accounts(client: Client, letters: Letters) -> None:
    await signed_in(client, letters)
    await register(client, "boris")
    given = await asked(client, letters)
    assert await post(client, EMAIL_RESET_ASKED_AT, email=BORIS) == DONE
    other = await link(letters, BORIS)
    responses = await asyncio.gather(
        confirm(client, EMAIL_RESET, given, new_email=NEW), confirm(client, EMAIL_RESET, other, new_email=NEW.upper())
    )
    assert sorted(responses, key=lambda each: each[0]) == [DONE, TAKEN]


@by_email
async def test_a_chosen_address_ends_no_session_and_every_link_and_tells_the_old_address(
    client: Client, letters: Letters, database: Connection
) -> None:
    anna = await signed_in(client, letters)
    _, said = await post(client, "/auth/token/login/", email=ANNA, password=PASSWORD)
    for kind in (PASSWORD_RESET, USERNAME_RESET):
        await asked_by(anna, letters, kind)
    assert await confirm(client, EMAIL_RESET, await asked(client, letters), new_email=NEW) == DONE
    assert (await anna.get(ME))[1] == {"email": NEW, "id": anna.id, "username": "anna"}
    assert (await client.get(ME, headers={"Authorization": f"Token {said['auth_token']}"})).status == 200
    assert database.execute("select purpose from one_time_tokens").fetchall() == []
    (letter,) = await letters()
    assert (letter.to, letter.link) == (ANNA, "")
    assert ((await sign_in(client))[0], (await sign_in(client, NEW))[0]) == (401, 200)


@pytest.mark.parametrize("change", ["is_active = false", "password = '!'", "email = ''"])
@by_email
async def test_only_an_active_account_with_a_password_gets_the_letter(
    client: Client, letters: Letters, database: Connection, change: str
) -> None:
    await signed_in(client, letters)
    database.execute(f"update users set {change}")
    for address in (ANNA, "unknown@example.com"):
        assert await post(client, EMAIL_RESET_ASKED_AT, email=address) == DONE
    assert await letters() == []


@pytest.mark.parametrize(
    "settings",
    [{"login_field": "email", f"{noun}_reset_show_email_not_found": True} for noun in ("password", "username")],
    indirect=True,
)
async def test_an_unknown_address_is_named_if_a_setting_allows_it(client: Client, letters: Letters) -> None:
    await signed_in(client, letters)
    not_found = (400, ["User with given email does not exist."])
    assert await post(client, EMAIL_RESET_ASKED_AT, email="unknown@example.com") == not_found
    assert await post(client, EMAIL_RESET_ASKED_AT, email=ANNA) == DONE
    assert await post(client, EMAIL_RESET_ASKED_AT) == (400, {"email": ["This field is required."]})


@by_email
async def test_set_email_needs_the_password_and_a_signed_in_caller(client: Client, letters: Letters) -> None:
    anna = await signed_in(client, letters)
    path = "/auth/users/set_email/"
    assert (await post(client, path, new_email=NEW, current_password=PASSWORD))[0] == 401
    status, said = await anna.post(path, {"new_email": "x", "current_password": "wrong one"})
    assert (status, sorted(said)) == (400, ["current_password", "new_email"])  # all faults together (contract 12)
    assert await anna.post(path, {"new_email": ANNA, "current_password": PASSWORD}) == TAKEN
    assert (await anna.get(ME))[1]["email"] == ANNA
    assert await letters() == []
    assert await anna.post(path, {"new_email": NEW, "current_password": PASSWORD}) == DONE
    assert (await anna.get(ME))[0] == 200  # no session ends, as after set_username
    assert [(letter.to, letter.link) for letter in await letters()] == [(ANNA, "")]
