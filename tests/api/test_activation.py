"""Activation: a new account waits until its letter's link is followed (contract 2, 6)."""

from typing import Any

import pytest

from server.auth.one_time_tokens import write_uid
from tests.conftest import PASSWORD, Client, Person, in_mode, post
from tests.links import ACTIVATION, ASKED_AT, DONE, INVALID_TOKEN, INVALID_UID, STALE, TAKEN_AT, confirm, link, register

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


def is_active(database: Any) -> bool:
    (row,) = database.execute("select is_active from users where username = 'anna'").fetchall()
    return row["is_active"]


@in_mode("activation")
async def test_a_new_account_waits_for_its_letters_link(client: Client, database: Any, letters: Any) -> None:
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
async def test_the_link_activates_and_a_letter_confirms_it(client: Client, letters: Any) -> None:
    await register(client)
    assert await confirm(client, ACTIVATION, await link(letters, ANNA)) == DONE
    assert [(letter.to, letter.subject, letter.link) for letter in await letters()] == [(ANNA, WELCOME, "")]
    assert await sign_in(client) == 200


@in_mode("activation", send_confirmation_email=False)
async def test_without_the_switch_no_letter_confirms_it(client: Client, letters: Any) -> None:
    await register(client)
    assert await confirm(client, ACTIVATION, await link(letters, ANNA)) == DONE
    assert await letters() == []


@in_mode("default", "retype")
async def test_where_nothing_waits_a_new_account_is_active_and_gets_no_letter(client: Client, letters: Any) -> None:
    await register(client, re_password=PASSWORD)
    assert await letters() == []
    assert await sign_in(client) == 200


@in_mode("default", "retype", send_confirmation_email=True)
async def test_where_nothing_waits_the_confirming_letter_goes_out_at_once(client: Client, letters: Any) -> None:
    await register(client, re_password=PASSWORD)
    assert [(letter.to, letter.subject) for letter in await letters()] == [(ANNA, WELCOME)]


@in_mode("default", "activation", send_confirmation_email=True)
async def test_without_an_address_nothing_is_sent_and_nothing_fails(client: Client, letters: Any) -> None:
    await register(client, email="")
    assert await letters() == []


@in_mode("activation")
async def test_a_second_click_is_stale(client: Client, letters: Any) -> None:
    await register(client)
    given = await link(letters, ANNA)
    assert await confirm(client, ACTIVATION, given) == DONE
    for _ in range(2):
        assert await confirm(client, ACTIVATION, given) == STALE
    assert await confirm(client, ACTIVATION, given | {"token": given["token"][:-1]}) == INVALID_TOKEN


@in_mode("activation")
async def test_a_link_of_an_account_that_staff_activated_meanwhile_is_stale(
    client: Client, database: Any, letters: Any
) -> None:
    await register(client)
    given = await link(letters, ANNA)
    database.execute("update users set is_active = true")
    assert await confirm(client, ACTIVATION, given) == STALE
    assert is_active(database) is True


@pytest.mark.parametrize("before", [True, False], ids=["once active", "never active"])
@in_mode("activation")
async def test_what_staff_deactivated_neither_an_old_link_nor_a_new_letter_activates(
    client: Client, database: Any, letters: Any, before: bool
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
async def test_what_staff_deactivated_after_its_activation_stays_so_whatever_is_clicked(
    client: Client, database: Any, letters: Any
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
async def test_a_letter_sent_again_goes_to_the_stored_address_and_replaces_the_first(
    client: Client, letters: Any, typed: str
) -> None:
    await register(client)
    first = await link(letters, ANNA)
    assert await post(client, RESEND, email=typed) == DONE
    (letter,) = await letters()
    assert (letter.to, letter.subject) == (ANNA, ACTIVATE)
    assert await confirm(client, ACTIVATION, first) == INVALID_TOKEN
    assert await confirm(client, ACTIVATION, letter.uid_and_token) == DONE


@in_mode("activation")
async def test_nobody_else_gets_an_activation_letter(client: Client, database: Any, letters: Any) -> None:
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
async def test_where_nothing_waits_no_letter_is_sent_again(client: Client, letters: Any) -> None:
    await register(client, re_password=PASSWORD)
    for address in (ANNA, "nobody@example.com"):
        response = await client.post(RESEND, json={"email": address})
        assert (response.status, await response.read()) == (400, b"")
        assert "Content-Type" not in response.headers
    assert await letters() == []


NO_ADDRESSES: list[tuple[dict[str, Any], list[str]]] = [
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
async def test_an_address_that_is_none_is_a_field_error_in_every_mode(client: Client, path: str) -> None:
    for given, faults in NO_ADDRESSES:
        assert await post(client, path, **given) == (400, {"email": faults})


NO_LINKS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"uid": REQUIRED, "token": REQUIRED}),
    ({"uid": "", "token": " "}, {"uid": BLANK, "token": BLANK}),
    ({"uid": None, "token": None}, {"uid": NULL, "token": NULL}),
    ({"uid": [], "token": {}}, {"uid": NOT_TEXT, "token": NOT_TEXT}),
    ({"uid": "MA", "token": "x"}, INVALID_UID[1]),
    ({"uid": 1, "token": 1}, INVALID_UID[1]),
]


@in_mode()
async def test_a_faulty_activation_names_its_faults(client: Client) -> None:
    for given, faults in NO_LINKS:
        assert await post(client, TAKEN_AT[ACTIVATION], **given) == (400, faults)


@in_mode("default", "retype")
async def test_where_nothing_waits_a_forged_link_is_invalid_all_the_same(client: Client, letters: Any) -> None:
    user = await register(client, re_password=PASSWORD)
    assert await confirm(client, ACTIVATION, {"uid": write_uid(user["id"]), "token": "x"}) == INVALID_TOKEN


@in_mode("activation")
async def test_the_form_of_a_letters_link_is_read_from_any_media_type(client: Client, letters: Any) -> None:
    await register(client)
    response = await client.post(TAKEN_AT[ACTIVATION], data=await link(letters, ANNA))
    assert (response.status, await response.read()) == (204, b"")
    assert "Content-Type" not in response.headers


@in_mode("activation")
async def test_staff_activate_an_account_that_waits(client: Client, database: Any, letters: Any) -> None:
    user = await register(client)
    await register(client, "sofia")
    database.execute("update users set is_active = true, is_staff = true where username = 'sofia'")
    sofia = await Person(client, "sofia").sign_in()
    assert (await sofia.patch(f"/auth/users/{user['id']}/", {"is_active": True}))[0] == 200
    assert await sign_in(client) == 200
