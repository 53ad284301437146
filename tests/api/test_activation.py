"""Activation: a new account is inactive until its owner follows the link in a letter (contract 2, 6)."""

from typing import Any

import pytest

from server.auth.one_time_tokens import write_uid
from tests.conftest import PASSWORD, Client, Letters, Person, in_mode, post
from tests.links import ACTIVATION, ASKED_AT, DONE, INVALID_TOKEN, INVALID_UID, STALE, TAKEN_AT, confirm, link, register
from tests.rows import Connection, only_row

RESEND = ASKED_AT[ACTIVATION]
ANNA = "anna@example.com"
ACTIVATE = "Account activation on Frontdesk"
WELCOME = "Frontdesk - Your account has been successfully created and activated!"
NO_ACCOUNT = (401, {"detail": "No active account found with the given credentials"})
NO_LOGIN = (400, {"non_field_errors": ["Unable to log in with provided credentials."]})
REQUIRED = ["This field is required."]
BLANK = ["This field may not be blank."]
NULL = ["This field may not be null."]
NOT_TEXT = ["Not a valid string."]
NOT_EMAIL = ["Enter a valid email address."]


async def sign_in(client: Client) -> int:
    return (await post(client, "/auth/jwt/create/", username="anna", password=PASSWORD))[0]


def is_active(database: Connection) -> bool:
    return only_row(database, "select is_active from users where username = 'anna'")["is_active"] is True


@in_mode("activation")
async def test_a_new_account_cannot_sign_in_before_its_activation(
    client: Client, database: Connection, letters: Letters
) -> None:
    user = await register(client)
    assert list(user) == ["email", "username", "id"]
    given = {"username": "anna", "password": PASSWORD}
    assert await post(client, "/auth/jwt/create/", **given) == NO_ACCOUNT
    assert await post(client, "/auth/token/login/", **given) == NO_LOGIN
    assert is_active(database) is False
    (letter,) = await letters()
    assert (letter.to, letter.subject) == (ANNA, ACTIVATE)
    assert letter.link in letter.text


@in_mode("activation")
async def test_the_link_activates_the_account_and_a_letter_confirms_it(client: Client, letters: Letters) -> None:
    await register(client)
    assert await confirm(client, ACTIVATION, await link(letters, ANNA)) == DONE
    assert [(letter.to, letter.subject, letter.link) for letter in await letters()] == [(ANNA, WELCOME, "")]
    assert await sign_in(client) == 200


@in_mode("activation", send_confirmation_email=False)
async def test_without_send_confirmation_email_no_letter_confirms_the_activation(
    client: Client, letters: Letters
) -> None:
    await register(client)
    assert await confirm(client, ACTIVATION, await link(letters, ANNA)) == DONE
    assert await letters() == []


@in_mode("default", "retype")
async def test_without_activation_a_new_account_is_active_and_gets_no_letter(client: Client, letters: Letters) -> None:
    await register(client, re_password=PASSWORD)
    assert await letters() == []
    assert await sign_in(client) == 200


@in_mode("default", "retype", send_confirmation_email=True)
async def test_without_activation_the_confirmation_letter_is_sent_at_registration(
    client: Client, letters: Letters
) -> None:
    await register(client, re_password=PASSWORD)
    assert [(letter.to, letter.subject) for letter in await letters()] == [(ANNA, WELCOME)]


@in_mode("default", "activation", send_confirmation_email=True)
async def test_registration_without_an_address_succeeds_and_sends_no_letter(client: Client, letters: Letters) -> None:
    await register(client, email="")
    assert await letters() == []


@in_mode("activation")
async def test_the_second_use_of_a_link_is_stale(client: Client, letters: Letters) -> None:
    await register(client)
    given = await link(letters, ANNA)
    assert await confirm(client, ACTIVATION, given) == DONE
    for _ in range(2):
        assert await confirm(client, ACTIVATION, given) == STALE
    assert await confirm(client, ACTIVATION, given | {"token": given["token"][:-1]}) == INVALID_TOKEN


@in_mode("activation")
async def test_the_link_of_an_account_that_staff_have_activated_is_stale(
    client: Client, database: Connection, letters: Letters
) -> None:
    await register(client)
    given = await link(letters, ANNA)
    database.execute("update users set is_active = true")
    assert await confirm(client, ACTIVATION, given) == STALE
    assert is_active(database) is True


@pytest.mark.parametrize("before", [True, False], ids=["once active", "never active"])
@in_mode("activation")
async def test_no_letter_activates_an_account_that_staff_deactivated(
    client: Client, database: Connection, letters: Letters, before: bool
) -> None:
    await register(client)
    given = await link(letters, ANNA)
    if before:
        database.execute("update users set is_active = true")
    database.execute("update users set is_active = false")
    assert await confirm(client, ACTIVATION, given) == STALE
    assert await post(client, RESEND, email=ANNA) == DONE
    assert (await letters(), is_active(database), await sign_in(client)) == ([], False, 401)


@in_mode("activation")
async def test_no_letter_reactivates_an_account_that_staff_deactivated_after_its_activation(
    client: Client, database: Connection, letters: Letters
) -> None:
    await register(client)
    given = await link(letters, ANNA)
    assert await confirm(client, ACTIVATION, given) == DONE
    await letters()
    database.execute("update users set is_active = false")
    assert await confirm(client, ACTIVATION, given) == STALE
    assert await post(client, RESEND, email=ANNA) == DONE
    assert (await letters(), is_active(database)) == ([], False)


@pytest.mark.parametrize("typed", [ANNA, "ANNA@Example.COM", f" {ANNA} "])
@in_mode("activation")
async def test_a_resent_letter_goes_to_the_stored_address_and_replaces_the_first(
    client: Client, letters: Letters, typed: str
) -> None:
    await register(client)
    first = await link(letters, ANNA)
    assert await post(client, RESEND, email=typed) == DONE
    (letter,) = await letters()
    assert (letter.to, letter.subject) == (ANNA, ACTIVATE)
    assert await confirm(client, ACTIVATION, first) == INVALID_TOKEN
    assert await confirm(client, ACTIVATION, letter.uid_and_token) == DONE


@in_mode("activation")
async def test_only_an_account_that_waits_for_activation_gets_its_letter(
    client: Client, database: Connection, letters: Letters
) -> None:
    await register(client)
    await confirm(client, ACTIVATION, await link(letters, ANNA))
    await letters()
    database.execute(
        "insert into users (username, email, is_active, awaits_activation) values ('x', 'x@example.com', false, true)"
    )
    for address in (ANNA, "nobody@example.com", "x@example.com"):
        assert await post(client, RESEND, email=address) == DONE
    assert await letters() == []


@in_mode("default", "retype")
async def test_without_activation_resending_is_an_empty_400(client: Client, letters: Letters) -> None:
    await register(client, re_password=PASSWORD)
    for address in (ANNA, "nobody@example.com"):
        response = await client.post(RESEND, json={"email": address})
        assert (response.status, await response.read()) == (400, b"")
        assert "Content-Type" not in response.headers
    assert await letters() == []


INVALID_ADDRESSES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, REQUIRED),
    ({"email": ""}, BLANK),
    ({"email": " "}, BLANK),
    ({"email": None}, NULL),
    ({"email": []}, NOT_EMAIL),
    ({"email": True}, NOT_EMAIL),
    ({"email": "anna"}, NOT_EMAIL),
    ({"email": 1}, NOT_EMAIL),
    ({"email": "anna@example.com\0"}, [*NOT_EMAIL, "Null characters are not allowed."]),
    ({"email": "a" * 250 + "@example.com"}, ["Ensure this field has no more than 254 characters."]),
    ({"email": "\ud800@example.com"}, [*NOT_EMAIL, "Surrogate characters are not allowed: U+D800."]),
]


@pytest.mark.parametrize("path", ASKED_AT.values())
@in_mode()
async def test_an_invalid_address_is_a_field_error_in_every_mode(client: Client, path: str) -> None:
    for given, faults in INVALID_ADDRESSES:
        assert await post(client, path, **given) == (400, {"email": faults})


INVALID_LINKS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"uid": REQUIRED, "token": REQUIRED}),
    ({"uid": "", "token": " "}, {"uid": BLANK, "token": BLANK}),
    ({"uid": None, "token": None}, {"uid": NULL, "token": NULL}),
    ({"uid": [], "token": {}}, {"uid": NOT_TEXT, "token": NOT_TEXT}),
    ({"uid": "MA", "token": "x"}, INVALID_UID[1]),
    ({"uid": 1, "token": 1}, INVALID_UID[1]),
]


@in_mode()
async def test_an_invalid_activation_request_reports_every_fault(client: Client) -> None:
    for given, faults in INVALID_LINKS:
        assert await post(client, TAKEN_AT[ACTIVATION], **given) == (400, faults)


@in_mode("default", "retype")
async def test_without_activation_a_forged_link_is_still_invalid(client: Client, letters: Letters) -> None:
    user = await register(client, re_password=PASSWORD)
    assert await confirm(client, ACTIVATION, {"uid": write_uid(user["id"]), "token": "x"}) == INVALID_TOKEN


@in_mode("activation")
async def test_activation_reads_a_form_too(client: Client, letters: Letters) -> None:
    await register(client)
    response = await client.post(TAKEN_AT[ACTIVATION], data=await link(letters, ANNA))
    assert (response.status, await response.read()) == (204, b"")
    assert "Content-Type" not in response.headers


@in_mode("activation")
async def test_staff_can_activate_an_account_that_waits_for_activation(
    client: Client, database: Connection, letters: Letters
) -> None:
    user = await register(client)
    await register(client, "sofia")
    database.execute("update users set is_active = true, is_staff = true where username = 'sofia'")
    sofia = await Person(client, "sofia").sign_in()
    assert (await sofia.patch(f"/auth/users/{user['id']}/", {"is_active": True}))[0] == 200
    assert await sign_in(client) == 200
