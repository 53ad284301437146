"""Usernames: changed with the password, or reset by the link in a letter (contract 2, 3.1, 11.4)."""

import asyncio
from collections import Counter
from typing import Any

from server.auth.one_time_tokens import write_uid
from server.web.schemas.fields import NOT_USERNAME
from tests.conftest import PASSWORD, Client, Letters, Person, in_mode, post
from tests.links import ASKED_AT, DONE, INVALID_TOKEN, INVALID_UID, NEW_NAME, USERNAME_RESET, confirm, link
from tests.locks import Race
from tests.rows import Connection

SET = "/auth/users/set_username/"
ASK = ASKED_AT[USERNAME_RESET]
RESET = "/auth/users/reset_username_confirm/"
ANNA = "anna@example.com"
CHANGED = "Frontdesk - Your username has been successfully changed!"

REQUIRED = ["This field is required."]
BLANK = ["This field may not be blank."]
NULL = ["This field may not be null."]
NOT_TEXT = ["Not a valid string."]
TAKEN = ["A user with that username already exists."]
WRONG = ["Invalid password."]
TOO_LONG = "Ensure this field has no more than 150 characters."

# Faults of the username alone: every endpoint reports them in the same words.
INVALID_USERNAMES: list[tuple[Any, list[str]]] = [
    ("", BLANK),
    (" ", BLANK),
    (None, NULL),
    ([], NOT_TEXT),
    (True, NOT_TEXT),
    ("a b", [NOT_USERNAME]),
    ("a" * 151, [TOO_LONG]),
    ("!\0" + "a" * 150, [NOT_USERNAME, TOO_LONG, "Null characters are not allowed."]),
    ("\ud800", [NOT_USERNAME, "Surrogate characters are not allowed: U+D800."]),
    ("boris", TAKEN),
    ("BORIS", TAKEN),
    ("ｂｏｒｉｓ", TAKEN),
    ("anna", TAKEN),
]


def change(**given: Any) -> dict[str, Any]:
    return {"new_username": NEW_NAME, "current_password": PASSWORD} | given


async def signs_in(client: Client, username: str) -> bool:
    return (await post(client, "/auth/jwt/create/", username=username, password=PASSWORD))[0] == 200


async def test_a_new_username_is_in_force_at_once_and_a_letter_reports_it(anna: Person, letters: Letters) -> None:
    other = await anna.sign_in()
    assert await anna.post(SET, change()) == DONE
    assert not await signs_in(anna.client, "anna")
    assert await signs_in(anna.client, NEW_NAME)
    for person in (anna, other):
        assert (await person.get("/auth/users/me/"))[1]["username"] == NEW_NAME
    assert [(letter.to, letter.subject, letter.link) for letter in await letters()] == [(ANNA, CHANGED, "")]


@in_mode("default", "activation", username_changed_email_confirmation=False, send_activation_email=False)
async def test_with_the_confirmation_off_no_letter_reports_a_new_username(anna: Person, letters: Letters) -> None:
    await letters()
    assert await anna.post(SET, change()) == DONE
    assert await post(anna.client, ASK, email=ANNA) == DONE
    assert await confirm(anna.client, USERNAME_RESET, await link(letters, ANNA), new_username="anna.2") == DONE
    assert await letters() == []


async def test_an_invalid_username_is_refused_at_change_and_at_reset(
    anna: Person, boris: Person, letters: Letters
) -> None:
    await letters()
    assert await post(anna.client, ASK, email=ANNA) == DONE
    given = await link(letters, ANNA)
    for name, faults in INVALID_USERNAMES:
        refused = (400, {"new_username": faults})
        assert await anna.post(SET, change(new_username=name)) == refused
        assert await confirm(anna.client, USERNAME_RESET, given, new_username=name) == refused
        # Faults of the username come before those of the link. But only a valid link learns that a username is taken.
        expected = refused if faults != TAKEN else INVALID_UID
        assert await confirm(anna.client, USERNAME_RESET, {"uid": "MA", "token": "x"}, new_username=name) == expected
    assert await confirm(anna.client, USERNAME_RESET, given) == DONE, "the refusal must not use up the link"


INVALID_CHANGES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"new_username": REQUIRED, "current_password": REQUIRED}),
    (change(current_password=""), {"current_password": BLANK}),
    (change(current_password=None), {"current_password": NULL}),
    (change(current_password="wrong one"), {"current_password": WRONG}),
    (change(current_password=f" {PASSWORD}"), {"current_password": WRONG}),
    (change(current_password="wrong one", new_username="BORIS"), {"new_username": TAKEN, "current_password": WRONG}),
    (
        change(current_password="wrong one", new_username="a b"),
        {"new_username": [NOT_USERNAME], "current_password": WRONG},
    ),
    ({"new_username": "BORIS"}, {"new_username": TAKEN, "current_password": REQUIRED}),
]


async def test_an_invalid_change_reports_its_faults_and_changes_nothing(anna: Person, boris: Person) -> None:
    for given, faults in INVALID_CHANGES:
        assert await anna.post(SET, given) == (400, faults)
    assert (await anna.get("/auth/users/me/"))[1]["username"] == "anna"


async def test_the_own_username_in_another_spelling_is_not_taken(anna: Person) -> None:
    assert await anna.post(SET, change(new_username="Ａnna")) == DONE
    assert (await anna.get("/auth/users/me/"))[1]["username"] == "Anna"
    assert await signs_in(anna.client, "ANNA")


async def test_a_username_is_stored_in_nfkc_and_may_have_150_characters(anna: Person, letters: Letters) -> None:
    assert await anna.post(SET, change(new_username="ｗｉｄｅ")) == DONE
    assert (await anna.get("/auth/users/me/"))[1]["username"] == "wide"
    assert await anna.post(SET, change(new_username="ß" * 150)) == DONE
    assert await signs_in(anna.client, "SS" * 150)


async def test_of_two_changes_to_one_username_at_once_one_succeeds(anna: Person, boris: Person) -> None:
    responses = await asyncio.gather(*(person.post(SET, change()) for person in (anna, boris)))
    assert sorted(responses, key=str) == [DONE, (400, {"new_username": TAKEN})]


async def test_a_username_taken_at_the_last_moment_is_a_field_error_and_does_not_use_up_the_link(
    anna: Person, letters: Letters, race: Race
) -> None:
    taken = (400, {"new_username": TAKEN})
    changing = anna.post(SET, change(new_username="boris"))
    assert await race("insert into users (username) values ('Boris')", changing) == taken
    assert await post(anna.client, ASK, email=ANNA) == DONE
    given = await link(letters, ANNA)
    resetting = confirm(anna.client, USERNAME_RESET, given, new_username="clara")
    assert await race("insert into users (username) values ('Clara')", resetting) == taken
    assert await confirm(anna.client, USERNAME_RESET, given) == DONE


async def test_a_reset_puts_the_new_username_in_force_and_ends_no_session(anna: Person, letters: Letters) -> None:
    assert await post(anna.client, ASK, email="Anna@Example.COM") == DONE
    (letter,) = await letters()
    assert (letter.to, letter.subject) == (ANNA, "Username reset on Frontdesk")
    assert "anna" in letter.text.replace(ANNA, "")
    assert letter.link in letter.text
    assert await confirm(anna.client, USERNAME_RESET, letter.uid_and_token) == DONE
    assert await signs_in(anna.client, NEW_NAME)
    assert (await anna.get("/auth/users/me/"))[1]["username"] == NEW_NAME
    assert [(letter.to, letter.subject) for letter in await letters()] == [(ANNA, CHANGED)]


INVALID_LINKS: list[tuple[dict[str, Any], Any]] = [
    ({}, (400, {"new_username": REQUIRED})),
    ({"new_username": ""}, (400, {"new_username": BLANK})),
    ({"new_username": NEW_NAME}, INVALID_UID),
    ({"new_username": NEW_NAME, "uid": "", "token": ""}, INVALID_UID),
    ({"new_username": NEW_NAME, "uid": None}, (400, {"uid": NULL})),
    ({"new_username": NEW_NAME, "uid": None, "token": None}, (400, {"uid": NULL, "token": NULL})),
    ({"new_username": NEW_NAME, "uid": 1, "token": 1}, INVALID_UID),
]


@in_mode()
async def test_a_missing_uid_is_an_invalid_uid(client: Client) -> None:
    for given, response in INVALID_LINKS:
        assert await post(client, RESET, **given) == response


async def test_a_missing_token_is_an_invalid_token(anna: Person) -> None:
    uid = write_uid(anna.id)
    for token in ({}, {"token": ""}, {"token": " "}, {"token": "x"}, {"token": 1}):
        assert await post(anna.client, RESET, uid=uid, new_username=NEW_NAME, **token) == INVALID_TOKEN


@in_mode()
async def test_only_an_active_account_with_a_password_gets_a_link(
    client: Client, database: Connection, letters: Letters
) -> None:
    database.execute(
        "insert into users (username, email, password, is_active) values"
        " ('inactive', 'inactive@example.com', 'bcrypt', false), ('unusable', 'unusable@example.com', '!x', true),"
        " ('good', 'good@example.com', 'bcrypt', true)"
    )
    for address in ("inactive@example.com", "unusable@example.com", "nobody@example.com", "GOOD@example.com"):
        assert await post(client, ASK, email=address) == DONE
    assert [letter.to for letter in await letters()] == ["good@example.com"]


async def test_of_twenty_resets_at_once_with_one_link_one_succeeds(anna: Person, letters: Letters) -> None:
    assert await post(anna.client, ASK, email=ANNA) == DONE
    given = await link(letters, ANNA)
    names = [f"anna.{number}" for number in range(20)]
    responses = await asyncio.gather(
        *(confirm(anna.client, USERNAME_RESET, given, new_username=each) for each in names)
    )
    assert Counter(status for status, _ in responses) == {204: 1, 400: 19}
    (name,) = [each for each, (status, _) in zip(names, responses, strict=True) if status == 204]
    assert (await anna.get("/auth/users/me/"))[1]["username"] == name


async def test_changing_the_username_needs_a_sign_in(client: Client) -> None:
    assert (await post(client, SET, **change()))[0] == 401
