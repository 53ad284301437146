"""Fields that must be typed twice, and which fault is reported first (contract 2, 5, 7.1)."""

from typing import Any

import pytest

from tests.conftest import PASSWORD, Client, Letters, Person, in_mode, post
from tests.links import (
    ASKED_AT,
    DONE,
    INVALID_TOKEN,
    INVALID_UID,
    NEW_NAME,
    NEW_PASSWORD,
    PASSWORD_RESET,
    USERNAME_RESET,
    confirm,
    link,
    register,
)
from tests.rows import Connection

REQUIRED = ["This field is required."]
BLANK = ["This field may not be blank."]
NULL = ["This field may not be null."]
NOT_TEXT = ["Not a valid string."]
SHORT = ["This password is too short. It must contain at least 8 characters."]
WRONG = {"current_password": ["Invalid password."]}
TAKEN = ["A user with that username already exists."]
PASSWORDS_DIFFER = (400, {"non_field_errors": ["The two password fields didn't match."]})
USERNAMES_DIFFER = (400, {"non_field_errors": ["The two username fields didn't match."]})
ANNA = "anna@example.com"
INVALID: list[tuple[Any, list[str]]] = [("", BLANK), (None, NULL), ([], NOT_TEXT), (True, NOT_TEXT)]

retyped_usernames = in_mode("default", set_username_retype=True, username_reset_confirm_retype=True)


@pytest.fixture
async def anna(client: Client) -> Person:
    """A signed-in account, registered with the password typed twice."""
    user = await register(client, re_password=PASSWORD)
    return await Person(client, "anna", user["id"]).sign_in()


@in_mode("retype")
class TestPasswords:
    async def test_registration_needs_the_password_twice(self, client: Client, database: Connection) -> None:
        given = {"username": "anna", "password": PASSWORD}
        assert await post(client, "/auth/users/", **given) == (400, {"re_password": REQUIRED})
        assert await post(client, "/auth/users/", **given, re_password=f"{PASSWORD} ") == PASSWORDS_DIFFER
        assert database.execute("select from users").fetchall() == []
        status, user = await post(client, "/auth/users/", **given, re_password=PASSWORD)
        assert (status, list(user)) == (201, ["email", "username", "id"])

    @pytest.mark.parametrize(("repetition", "fault"), INVALID)
    async def test_an_invalid_repetition_is_a_field_error_beside_the_others(
        self, anna: Person, repetition: Any, fault: list[str]
    ) -> None:
        given = {"username": "", "password": PASSWORD, "re_password": repetition}
        assert await post(anna.client, "/auth/users/", **given) == (400, {"username": BLANK, "re_password": fault})
        given = {"current_password": "", "new_password": NEW_PASSWORD, "re_new_password": repetition}
        wrong = (400, {"current_password": BLANK, "re_new_password": fault})
        assert await anna.post("/auth/users/set_password/", given) == wrong
        given = {"uid": "", "token": "x", "new_password": NEW_PASSWORD, "re_new_password": repetition}
        response = await post(anna.client, "/auth/users/reset_password_confirm/", **given)
        assert response == (400, {"uid": BLANK, "re_new_password": fault})

    async def test_at_registration_every_other_fault_is_reported_before_a_mismatch(self, anna: Person) -> None:
        given = {"username": "boris", "password": PASSWORD, "re_password": "x"}
        for changed, faults in (
            ({"username": "ANNA"}, {"username": TAKEN}),
            ({"password": "short7x"}, {"password": SHORT}),
            ({"username": "ANNA", "password": "short7x"}, {"username": TAKEN, "password": SHORT}),
            ({"email": "x"}, {"email": ["Enter a valid email address."]}),
        ):
            assert await post(anna.client, "/auth/users/", **given | changed) == (400, faults)

    async def test_a_change_needs_it_twice_and_reports_every_other_fault_before_a_mismatch(self, anna: Person) -> None:
        path = "/auth/users/set_password/"
        given = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
        assert await anna.post(path, given) == (400, {"re_new_password": REQUIRED})
        unlike = given | {"re_new_password": NEW_PASSWORD.upper()}
        assert await anna.post(path, unlike | {"current_password": "wrong one"}) == (400, WRONG)
        assert await anna.post(path, unlike | {"new_password": "short7x"}) == (400, {"new_password": SHORT})
        assert await anna.post(path, unlike) == PASSWORDS_DIFFER
        assert await anna.post(path, given | {"re_new_password": NEW_PASSWORD}) == DONE

    async def test_a_reset_reports_a_mismatch_after_a_weak_password_and_before_an_invalid_link(
        self, anna: Person, letters: Letters
    ) -> None:
        assert await post(anna.client, ASKED_AT[PASSWORD_RESET], email=ANNA) == DONE
        given = await link(letters, ANNA)
        assert await confirm(anna.client, PASSWORD_RESET, given) == (400, {"re_new_password": REQUIRED})
        unlike = given | {"re_new_password": "another phrase"}
        weak = unlike | {"new_password": "short7x"}
        assert await confirm(anna.client, PASSWORD_RESET, weak | {"uid": "MA"}) == (400, {"new_password": SHORT})
        assert await confirm(anna.client, PASSWORD_RESET, unlike | {"uid": "MA", "token": "x"}) == PASSWORDS_DIFFER
        assert await confirm(anna.client, PASSWORD_RESET, unlike) == PASSWORDS_DIFFER
        alike = given | {"re_new_password": NEW_PASSWORD}
        assert await confirm(anna.client, PASSWORD_RESET, alike | {"uid": "MA", "token": "x"}) == INVALID_UID
        assert await confirm(anna.client, PASSWORD_RESET, alike | {"token": "x"}) == INVALID_TOKEN
        assert await confirm(anna.client, PASSWORD_RESET, alike) == DONE

    async def test_a_username_is_typed_once(self, anna: Person, letters: Letters) -> None:
        given = {"new_username": NEW_NAME, "current_password": PASSWORD}
        assert await anna.post("/auth/users/set_username/", given) == DONE


@retyped_usernames
class TestUsernames:
    async def test_a_change_needs_it_twice_and_reports_every_other_fault_before_a_mismatch(self, anna: Person) -> None:
        await register(anna.client, "boris")
        path = "/auth/users/set_username/"
        given = {"current_password": PASSWORD, "new_username": NEW_NAME}
        assert await anna.post(path, given) == (400, {"re_new_username": REQUIRED})
        unlike = given | {"re_new_username": "anna.other"}
        assert await anna.post(path, unlike | {"current_password": "wrong one"}) == (400, WRONG)
        assert await anna.post(path, unlike | {"new_username": "BORIS"}) == (400, {"new_username": TAKEN})
        assert await anna.post(path, unlike) == USERNAMES_DIFFER
        for again in ("a b", "anna;", "x" * 151):
            assert await anna.post(path, given | {"re_new_username": again}) == USERNAMES_DIFFER
        assert await anna.post(path, given | {"re_new_username": "ａnna.new "}) == DONE

    async def test_a_reset_reports_a_mismatch_after_a_taken_username_and_before_an_invalid_link(
        self, anna: Person, letters: Letters
    ) -> None:
        assert await post(anna.client, ASKED_AT[USERNAME_RESET], email=ANNA) == DONE
        given = await link(letters, ANNA)
        assert await confirm(anna.client, USERNAME_RESET, given) == (400, {"re_new_username": REQUIRED})
        unlike = given | {"re_new_username": "anna.other"}
        taken = unlike | {"new_username": "anna"}
        assert await confirm(anna.client, USERNAME_RESET, taken) == (400, {"new_username": TAKEN})
        assert await confirm(anna.client, USERNAME_RESET, taken | {"uid": "MA"}) == USERNAMES_DIFFER
        assert await confirm(anna.client, USERNAME_RESET, unlike | {"uid": "MA", "token": "x"}) == USERNAMES_DIFFER
        assert await confirm(anna.client, USERNAME_RESET, unlike) == USERNAMES_DIFFER
        alike = given | {"re_new_username": NEW_NAME}
        assert await confirm(anna.client, USERNAME_RESET, alike | {"uid": "MA", "token": "x"}) == INVALID_UID
        assert await confirm(anna.client, USERNAME_RESET, alike | {"token": "x"}) == INVALID_TOKEN
        assert await confirm(anna.client, USERNAME_RESET, alike) == DONE

    async def test_a_password_is_typed_once(self, anna: Person) -> None:
        given = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
        assert await anna.post("/auth/users/set_password/", given) == DONE


@in_mode("default", "activation")
async def test_a_repetition_that_is_not_required_is_ignored(client: Client) -> None:
    given = {"username": "anna", "password": PASSWORD, "re_password": "something else"}
    assert (await post(client, "/auth/users/", **given))[0] == 201
