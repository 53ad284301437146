"""Passwords: changed with the present one, or reset by the link in a letter (contract 2, 5, 11.7, 11.10, 11.23)."""

import asyncio
from collections import Counter
from typing import Any

import bcrypt
import pytest

from tests.conftest import PASSWORD, Client, Letters, MakePerson, Person, in_mode, post
from tests.links import (
    ASKED_AT,
    DONE,
    INVALID_TOKEN,
    INVALID_UID,
    NEW_PASSWORD,
    PASSWORD_RESET,
    confirm,
    link,
    register,
)
from tests.rows import Connection, only_row

SET = "/auth/users/set_password/"
ASK = ASKED_AT[PASSWORD_RESET]
RESET = "/auth/users/reset_password_confirm/"
ANNA = "anna@example.com"
CHANGED = "Frontdesk - Your password has been successfully changed!"

REQUIRED = ["This field is required."]
BLANK = ["This field may not be blank."]
NULL = ["This field may not be null."]
NOT_TEXT = ["Not a valid string."]
NUL = ["Null characters are not allowed."]
TOO_MUCH = ["Ensure this field has no more than 4096 bytes."]
WRONG = {"current_password": ["Invalid password."]}
SHORT = "This password is too short. It must contain at least 8 characters."
COMMON = "This password is too common."
NUMERIC = "This password is entirely numeric."
SIMILAR = "The password is too similar to the username."
SIMILAR_EMAIL = "The password is too similar to the email address."
MISMATCH = {"non_field_errors": ["The two password fields didn't match."]}

WEAK: list[tuple[str, list[str]]] = [
    ("12345", [SHORT, COMMON, NUMERIC]),
    ("x7Gq", [SHORT]),
    ("iloveyou", [COMMON]),
    ("8273645019", [NUMERIC]),
]
LIKE_ANNA: list[tuple[str, list[str]]] = [("anna-kowalska", [SIMILAR]), ("walker.by", [SIMILAR_EMAIL])]


def change(**given: Any) -> dict[str, Any]:
    return {"current_password": PASSWORD, "new_password": NEW_PASSWORD} | given


async def signs_in(client: Client, password: str, username: str = "anna") -> bool:
    return (await post(client, "/auth/jwt/create/", username=username, password=password))[0] == 200


def alive(person: Person) -> Any:
    return person.get("/auth/users/me/")


@pytest.fixture
async def walker(make_person: MakePerson) -> Person:
    """An account whose username and address are long enough for a password to resemble them."""
    return await make_person("anna.kowalska", email="walker@by.example")


async def test_a_new_password_is_in_force_at_once_and_a_letter_reports_it(anna: Person, letters: Letters) -> None:
    await letters()
    assert await anna.post(SET, change()) == DONE
    assert not await signs_in(anna.client, PASSWORD)
    assert await signs_in(anna.client, NEW_PASSWORD)
    assert [(letter.to, letter.subject, letter.link) for letter in await letters()] == [(ANNA, CHANGED, "")]


@in_mode("default", password_changed_email_confirmation=False)
async def test_with_the_confirmation_off_no_letter_reports_a_new_password(anna: Person, letters: Letters) -> None:
    await letters()
    assert await anna.post(SET, change()) == DONE
    assert await post(anna.client, ASK, email=ANNA) == DONE
    assert await confirm(anna.client, PASSWORD_RESET, await link(letters, ANNA), new_password=PASSWORD) == DONE
    assert await letters() == []


async def test_a_change_ends_every_session_but_the_one_that_made_it(
    anna: Person, boris: Person, database: Connection
) -> None:
    others = [await anna.sign_in() for _ in range(2)]
    assert await anna.post(SET, change()) == DONE
    assert (await alive(anna))[0] == 200
    assert (await post(anna.client, "/auth/jwt/refresh/", refresh=anna.tokens["refresh"]))[0] == 200
    for other in others:
        assert (await alive(other))[1]["code"] == "token_not_valid"
        assert (await post(anna.client, "/auth/jwt/refresh/", refresh=other.tokens["refresh"]))[0] == 401
        assert (await post(anna.client, "/auth/jwt/verify/", token=other.tokens["access"]))[0] == 401
    assert (await alive(boris))[0] == 200


async def test_a_reset_ends_every_session(anna: Person, boris: Person, letters: Letters) -> None:
    other = await anna.sign_in()
    assert await post(anna.client, ASK, email=ANNA) == DONE
    given = await link(letters, ANNA)
    assert (await alive(anna))[0] == 200
    # A reset may be sent with credentials, and ends their session too.
    assert await anna.post(RESET, given | {"new_password": NEW_PASSWORD}) == DONE
    for person in (anna, other):
        assert (await alive(person))[1]["code"] == "token_not_valid"
        assert (await post(anna.client, "/auth/jwt/refresh/", refresh=person.tokens["refresh"]))[0] == 401
    assert (await alive(boris))[0] == 200


async def test_a_reset_puts_the_new_password_in_force_and_a_letter_reports_it(anna: Person, letters: Letters) -> None:
    assert await post(anna.client, ASK, email=ANNA) == DONE
    (letter,) = await letters()
    assert (letter.to, letter.subject) == (ANNA, "Password reset on Frontdesk")
    assert "anna" in letter.text.replace(ANNA, "")
    assert letter.link in letter.text
    assert await confirm(anna.client, PASSWORD_RESET, letter.uid_and_token) == DONE
    assert not await signs_in(anna.client, PASSWORD)
    assert await signs_in(anna.client, NEW_PASSWORD)
    assert [(letter.to, letter.subject) for letter in await letters()] == [(ANNA, CHANGED)]


INVALID_CHANGES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"current_password": REQUIRED, "new_password": REQUIRED}),
    (change(current_password="", new_password=""), {"current_password": BLANK, "new_password": BLANK}),
    (change(current_password=None, new_password=None), {"current_password": NULL, "new_password": NULL}),
    (change(current_password=[], new_password=True), {"current_password": NOT_TEXT, "new_password": NOT_TEXT}),
    (change(new_password="a\0"), {"new_password": NUL}),
    (change(current_password="x" * 4097, new_password="x" * 4097), dict.fromkeys(change(), TOO_MUCH)),
    (change(current_password="wrong one"), WRONG),
    (change(current_password=f"{PASSWORD} "), WRONG),
    (change(current_password="wrong one", new_password="12345"), WRONG | {"new_password": [SHORT, COMMON, NUMERIC]}),
    ({"current_password": "wrong one"}, WRONG | {"new_password": REQUIRED}),
    ({"new_password": "x7Gq"}, {"current_password": REQUIRED, "new_password": [SHORT]}),
]


@in_mode("default", "activation", send_activation_email=False)
async def test_an_invalid_change_reports_its_faults_and_changes_nothing(anna: Person) -> None:
    other = await anna.sign_in()
    for given, faults in INVALID_CHANGES:
        assert await anna.post(SET, given) == (400, faults)
    assert (await alive(other))[0] == 200
    assert await signs_in(anna.client, PASSWORD)


@pytest.mark.parametrize(("password", "faults"), [*WEAK, *LIKE_ANNA])
async def test_a_weak_password_is_refused_at_change_and_at_reset(
    walker: Person, letters: Letters, password: str, faults: list[str]
) -> None:
    weak = (400, {"new_password": faults})
    assert await walker.post(SET, change(new_password=password)) == weak
    assert await post(walker.client, ASK, email="walker@by.example") == DONE
    given = await link(letters, "walker@by.example")
    assert await confirm(walker.client, PASSWORD_RESET, given, new_password=password) == weak
    assert await confirm(walker.client, PASSWORD_RESET, given) == DONE, "the refusal must not use up the link"


async def test_a_new_password_is_not_trimmed(anna: Person, letters: Letters) -> None:
    assert await anna.post(SET, change(new_password="  spaces around it  ")) == DONE
    assert await signs_in(anna.client, "  spaces around it  ")
    assert not await signs_in(anna.client, "spaces around it")
    await letters()
    assert await post(anna.client, ASK, email=ANNA) == DONE
    given = await link(letters, ANNA)
    assert await confirm(anna.client, PASSWORD_RESET, given, new_password=" " * 10 + "é" * 2043) == DONE
    assert await signs_in(anna.client, " " * 10 + "é" * 2043)


async def test_the_same_password_may_be_set_again(anna: Person) -> None:
    other = await anna.sign_in()
    assert await anna.post(SET, change(new_password=PASSWORD)) == DONE
    assert (await alive(other))[0] == 401


async def test_of_many_changes_at_once_one_succeeds(anna: Person) -> None:
    wanted = [f"{NEW_PASSWORD} {number}" for number in range(8)]
    responses = await asyncio.gather(*(anna.post(SET, change(new_password=each)) for each in wanted))
    assert Counter(status for status, _ in responses) == {204: 1, 400: 7}
    assert all(body == WRONG for status, body in responses if status == 400)
    (new,) = [each for each, (status, _) in zip(wanted, responses, strict=True) if status == 204]
    assert await signs_in(anna.client, new)


async def test_a_password_changed_while_the_new_one_is_hashed_is_not_overwritten(
    anna: Person, database: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed = bcrypt.hashpw

    def change_meanwhile(*arguments: Any) -> bytes:
        database.execute("update users set password = '!'")
        return hashed(*arguments)

    monkeypatch.setattr(bcrypt, "hashpw", change_meanwhile)
    assert await anna.post(SET, change()) == (400, WRONG)
    assert only_row(database, "select password from users")["password"] == "!"


async def test_a_session_opened_with_the_old_password_during_a_reset_ends_with_it(
    anna: Person, letters: Letters
) -> None:
    assert await post(anna.client, ASK, email=ANNA) == DONE
    given = await link(letters, ANNA)
    old = {"username": "anna", "password": PASSWORD}
    responses = await asyncio.gather(
        *(post(anna.client, "/auth/jwt/create/", **old) for _ in range(10)),
        confirm(anna.client, PASSWORD_RESET, given),
        *(post(anna.client, "/auth/jwt/create/", **old) for _ in range(10)),
    )
    for status, tokens in responses:
        if status == 200:
            assert (await alive(Person(anna.client, "anna", anna.id, tokens)))[0] == 401


@pytest.mark.parametrize("path", [SET, ASK, RESET])
async def test_a_form_is_read_too(anna: Person, letters: Letters, path: str) -> None:
    assert await post(anna.client, ASK, email=ANNA) == DONE
    given = await link(letters, ANNA)
    form = {SET: change(), ASK: {"email": ANNA}, RESET: given | {"new_password": NEW_PASSWORD}}[path]
    assert await anna.ask("POST", path, data=form) == DONE


async def test_changing_the_password_needs_a_sign_in(client: Client) -> None:
    status, response = await post(client, SET, **change())
    assert (status, response) == (401, {"detail": "Authentication credentials were not provided."})


INVALID_RESETS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"uid": REQUIRED, "token": REQUIRED, "new_password": REQUIRED}),
    (dict.fromkeys(("uid", "token", "new_password"), ""), {"uid": BLANK, "token": BLANK, "new_password": BLANK}),
    (dict.fromkeys(("uid", "token", "new_password")), {"uid": NULL, "token": NULL, "new_password": NULL}),
    ({"uid": "MA", "token": "x", "new_password": "12345"}, {"new_password": [SHORT, COMMON, NUMERIC]}),
    ({"uid": "MA", "token": "x", "new_password": "x" * 4097}, {"new_password": TOO_MUCH}),
    ({"uid": "MA", "token": "x", "new_password": NEW_PASSWORD}, INVALID_UID[1]),
]


@in_mode("default", "activation")
async def test_an_invalid_reset_reports_its_faults_in_the_order_of_the_contract(client: Client) -> None:
    for given, faults in INVALID_RESETS:
        assert await post(client, RESET, **given) == (400, faults)


async def test_a_forged_reset_runs_no_hash(client: Client, letters: Letters, hashes: Counter[str]) -> None:
    await register(client)
    assert await post(client, ASK, email=ANNA) == DONE
    given = await link(letters, ANNA)
    hashes.clear()
    assert await confirm(client, PASSWORD_RESET, given | {"uid": "MA"}) == INVALID_UID
    assert await confirm(client, PASSWORD_RESET, given | {"token": "x"}) == INVALID_TOKEN
    assert hashes["run"] == 0
    assert await confirm(client, PASSWORD_RESET, given) == DONE
    assert hashes["run"] == 1


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


async def test_a_reset_of_an_inactive_account_leaves_it_inactive(
    anna: Person, database: Connection, letters: Letters
) -> None:
    assert await post(anna.client, ASK, email=ANNA) == DONE
    given = await link(letters, ANNA)
    database.execute("update users set is_active = false")
    assert await confirm(anna.client, PASSWORD_RESET, given) == DONE
    assert not await signs_in(anna.client, NEW_PASSWORD)
    database.execute("update users set is_active = true")
    assert await signs_in(anna.client, NEW_PASSWORD)
