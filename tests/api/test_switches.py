"""Settings with the names of the contract, and what each changes (contract 7.1, 12)."""

from collections import Counter
from typing import Any

import pytest

from tests.conftest import MODES, PASSWORD, Client, Letters, Person, in_mode, post
from tests.links import (
    ASKED_AT,
    DONE,
    EMAIL_CHANGE,
    EMAIL_RESET_ASKED_AT,
    EMAIL_RESET_TAKEN_AT,
    INVALID_TOKEN,
    INVALID_UID,
    KINDS,
    asked,
    confirm,
    link,
    register,
)
from tests.rows import Connection

CREATE, LOGIN, ME = "/auth/jwt/create/", "/auth/token/login/", "/auth/users/me/"
ANNA = "anna@example.com"
NO_ACCOUNT = (401, {"detail": "No active account found with the given credentials"})
NO_LOGIN = (400, {"non_field_errors": ["Unable to log in with provided credentials."]})
FORBIDDEN = (403, {"detail": "You do not have permission to perform this action."})
NOT_FOUND = (404, {"detail": "Not found."})
NO_EMAIL = (400, ["User with given email does not exist."])
REQUIRED = ["This field is required."]
BLANK = ["This field may not be blank."]
TAKEN_EMAIL = ["A user with that email already exists."]

by_email = in_mode("default", login_field="email")
by_either = in_mode("default", login_field="either")


async def sign_in(client: Client, **given: str) -> tuple[int, Any]:
    """Sign in at jwt/create and token/login, which must agree: the answer of jwt/create."""
    status, response = await post(client, CREATE, password=PASSWORD, **given)
    also, _ = await post(client, LOGIN, password=PASSWORD, **given)
    assert (status, also) in ((200, 200), (401, 400), (400, 400))
    return status, response


class TestHideUsers:
    @in_mode("default")
    async def test_on_other_accounts_are_404(self, anna: Person, boris: Person) -> None:
        assert [user["id"] for user in (await anna.get("/auth/users/"))[1]] == [anna.id]
        for method in ("GET", "PUT", "PATCH", "DELETE"):
            for user_id in (boris.id, 999_999_999):
                assert await anna.ask(method, f"/auth/users/{user_id}/") == NOT_FOUND

    @in_mode("default", hide_users=False)
    async def test_off_every_account_lists_all_and_other_accounts_are_403(
        self, anna: Person, boris: Person, staff: Person
    ) -> None:
        status, users = await anna.get("/auth/users/")
        assert (status, [user["username"] for user in users]) == (200, ["anna", "boris", "sofia"])
        assert set(users[0]) == {"email", "id", "username"}
        for method in ("GET", "PUT", "PATCH", "DELETE"):
            assert await anna.ask(method, f"/auth/users/{boris.id}/", json={"email": "x"}) == FORBIDDEN
            assert await anna.ask(method, "/auth/users/999999999/") == NOT_FOUND
        assert (await staff.get(f"/auth/users/{boris.id}/"))[0] == 200
        assert (await anna.get(f"/auth/users/{anna.id}/"))[0] == 200

    @in_mode("default", hide_users=False)
    async def test_off_the_list_is_paged_and_shows_deactivated_accounts_to_staff_only(
        self, anna: Person, boris: Person, staff: Person
    ) -> None:
        assert (await staff.patch(f"/auth/users/{boris.id}/", {"is_active": False}))[0] == 200
        assert [user["id"] for user in (await anna.get("/auth/users/"))[1]] == [anna.id, staff.id]
        assert [user["id"] for user in (await staff.get("/auth/users/?limit=2"))[1]] == [anna.id, boris.id]
        assert [user["id"] for user in (await anna.get(f"/auth/users/?after={anna.id}"))[1]] == [staff.id]


class TestLoginByUsername:
    @in_mode()
    async def test_an_address_does_not_sign_in(self, client: Client, database: Connection) -> None:
        await register(client, re_password=PASSWORD)
        database.execute("update users set is_active = true")
        assert (await sign_in(client, username="anna"))[0] == 200
        assert await sign_in(client, username=ANNA) == NO_ACCOUNT
        assert await sign_in(client, email=ANNA) == (400, {"username": REQUIRED})


class TestLoginByEmail:
    @by_email
    async def test_the_address_signs_in_in_any_case_and_the_username_does_not(self, client: Client) -> None:
        await register(client)
        for address in (ANNA, "ANNA@Example.Com", f" {ANNA} "):
            assert (await sign_in(client, email=address))[0] == 200
        for other in ("anna", "nobody@example.com", "x" * 300):
            assert await sign_in(client, email=other) == NO_ACCOUNT
        assert await sign_in(client, username="anna") == (400, {"email": REQUIRED})
        assert await post(client, CREATE, email="", password="") == (400, {"email": BLANK, "password": BLANK})
        assert await post(client, LOGIN, email="", password="") == (400, {"email": BLANK, "password": BLANK})
        assert await post(client, LOGIN, username="anna", password=PASSWORD) == NO_LOGIN

    @by_email
    async def test_an_account_without_an_address_cannot_sign_in(self, client: Client, database: Connection) -> None:
        await register(client)
        database.execute("update users set email = ''")
        assert await post(client, LOGIN, password=PASSWORD) == NO_LOGIN
        assert await sign_in(client, email=ANNA) == NO_ACCOUNT

    @by_email
    async def test_registration_needs_an_address(self, client: Client) -> None:
        given = {"username": "anna", "password": PASSWORD}
        assert await post(client, "/auth/users/", **given) == (400, {"email": REQUIRED})
        assert await post(client, "/auth/users/", **given, email="") == (400, {"email": BLANK})
        assert (await post(client, "/auth/users/", **given, email="A@EXAMPLE.com"))[1]["email"] == "A@example.com"

    @pytest.mark.parametrize("method", ["PUT", "PATCH"])
    @by_email
    async def test_the_address_is_read_only_in_the_user_object(self, client: Client, method: str) -> None:
        anna = await self.signed_in(client)
        same = (200, {"email": ANNA, "id": anna.id, "username": "anna"})
        for value in ("new@example.com", "", None, "x"):
            assert await anna.ask(method, ME, json={"email": value}) == same
        assert await anna.get(ME) == same

    @by_email
    async def test_set_email_sets_the_address(self, client: Client, letters: Letters) -> None:
        anna = await self.signed_in(client)
        await register(client, "boris")
        path = "/auth/users/set_email/"
        given = {"new_email": "new@example.com", "current_password": PASSWORD}
        assert await anna.post(path, {"new_username": "x"}) == (
            400,
            {"new_email": REQUIRED, "current_password": REQUIRED},
        )
        assert await anna.post(path, given | {"new_email": "BORIS@example.com"}) == (400, {"new_email": TAKEN_EMAIL})
        assert await anna.post(path, given | {"new_email": ""}) == (400, {"new_email": BLANK})
        assert await anna.post(path, given) == DONE
        assert (await anna.get(ME))[1]["email"] == "new@example.com"
        assert [letter.to for letter in await letters()] == [ANNA]
        assert (await sign_in(client, email="new@example.com"))[0] == 200

    @by_email
    async def test_reset_email_sets_the_address(self, client: Client, letters: Letters) -> None:
        await register(client)
        assert await post(client, EMAIL_RESET_ASKED_AT, email=ANNA) == DONE
        given = await link(letters, ANNA)
        path = EMAIL_RESET_TAKEN_AT
        assert await post(client, path, **given) == (400, {"new_email": REQUIRED})
        assert await post(client, path, **given, new_email=ANNA) == (400, {"new_email": TAKEN_EMAIL})
        assert await post(client, path, new_email="new@example.com") == INVALID_UID
        assert await post(client, path, **given | {"token": "x"}, new_email="new@example.com") == INVALID_TOKEN
        assert await post(client, path, **given, new_email="new@example.com") == DONE
        assert (await sign_in(client, email="new@example.com"))[0] == 200

    @in_mode("default", login_field="email", set_username_retype=True, username_reset_confirm_retype=True)
    async def test_with_retype_the_address_must_be_sent_twice(self, client: Client, letters: Letters) -> None:
        anna = await self.signed_in(client)
        mismatch = (400, {"non_field_errors": ["The two username fields didn't match."]})
        given = {"new_email": "new@example.com", "current_password": PASSWORD}
        assert await anna.post("/auth/users/set_email/", given) == (400, {"re_new_email": REQUIRED})
        assert await anna.post("/auth/users/set_email/", given | {"re_new_email": ANNA}) == mismatch
        assert await post(client, EMAIL_RESET_TAKEN_AT, **given, re_new_email=ANNA) == mismatch
        assert await anna.post("/auth/users/set_email/", given | {"re_new_email": "new@example.com"}) == DONE

    @in_mode("activation", login_field="email")
    async def test_in_activation_mode_the_new_address_is_pending(self, client: Client, letters: Letters) -> None:
        user = await register(client)
        assert await confirm(client, "activation", await link(letters, ANNA)) == DONE
        anna = Person(client, "anna", user["id"], (await sign_in(client, email=ANNA))[1])
        given = {"new_email": "new@example.com", "current_password": PASSWORD}
        assert await anna.post("/auth/users/set_email/", given) == DONE
        assert (await sign_in(client, email="new@example.com")) == NO_ACCOUNT
        assert await confirm(client, EMAIL_CHANGE, await link(letters, "new@example.com")) == DONE
        assert (await sign_in(client, email="new@example.com"))[0] == 200

    async def signed_in(self, client: Client) -> Person:
        user = await register(client)
        status, tokens = await sign_in(client, email=ANNA)
        assert status == 200
        return Person(client, "anna", user["id"], tokens)


class TestLoginByEither:
    @by_either
    async def test_username_and_address_both_sign_in_in_the_field_username(self, anna: Person) -> None:
        for login in ("anna", "ANNA", ANNA, "Anna@EXAMPLE.com"):
            assert (await sign_in(anna.client, username=login))[0] == 200
        for login in ("nobody", "nobody@example.com"):
            assert await sign_in(anna.client, username=login) == NO_ACCOUNT
        assert await sign_in(anna.client, email=ANNA) == (400, {"username": REQUIRED})

    @by_either
    async def test_an_address_wins_over_a_username_of_the_same_text(self, anna: Person, client: Client) -> None:
        await register(client, ANNA, email="", password="a phrase of another account")
        status, tokens = await sign_in(client, username=ANNA)
        assert (status, await Person(client, "anna", anna.id, tokens).get(ME)) == (200, await anna.get(ME))
        other = {"username": ANNA, "password": "a phrase of another account"}
        assert await post(client, CREATE, **other) == NO_ACCOUNT

    @by_either
    async def test_an_empty_address_signs_no_account_in(self, client: Client) -> None:
        await register(client, email="")
        assert await post(client, LOGIN, password=PASSWORD) == NO_LOGIN
        assert (await sign_in(client, username="anna"))[0] == 200

    @by_either
    async def test_address_and_username_can_both_be_changed(self, anna: Person) -> None:
        assert (await anna.patch(ME, {"email": "new@example.com"}))[1]["email"] == "new@example.com"
        given = {"new_username": "anna.k", "current_password": PASSWORD}
        assert await anna.post("/auth/users/set_username/", given) == DONE

    @pytest.mark.parametrize("login", ["anna", ANNA, "nobody", "nobody@example.com"])
    @by_either
    async def test_every_sign_in_runs_one_hash(self, anna: Person, hashes: Counter[str], login: str) -> None:
        hashes.clear()
        await post(anna.client, CREATE, username=login, password="wrong one")
        assert hashes["run"] == 1


shown_by_either = pytest.mark.parametrize(
    "settings",
    [MODES["activation"] | {f"{noun}_reset_show_email_not_found": True} for noun in ("password", "username")],
    indirect=True,
    ids=["set for passwords", "set for usernames"],
)


class TestShownEmails:
    @pytest.mark.parametrize("path", ASKED_AT.values())
    @in_mode("activation")
    async def test_off_an_unknown_address_gets_the_answer_of_a_known_one(self, client: Client, path: str) -> None:
        assert await post(client, path, email="nobody@example.com") == DONE

    @pytest.mark.parametrize("kind", ASKED_AT)
    @shown_by_either
    async def test_either_setting_reports_unknown_addresses_everywhere(
        self, client: Client, letters: Letters, kind: str
    ) -> None:
        await asked(client, letters, kind)
        for address in ("nobody@example.com", "anna@example.org"):
            assert await post(client, ASKED_AT[kind], email=address) == NO_EMAIL
        assert await post(client, ASKED_AT[kind], email="ANNA@example.com") == DONE
        assert [letter.to for letter in await letters()] == [ANNA]

    @pytest.mark.parametrize("kind", ASKED_AT)
    @shown_by_either
    async def test_an_account_that_may_not_have_the_letter_is_reported_as_unknown(
        self, client: Client, letters: Letters, database: Connection, kind: str
    ) -> None:
        await asked(client, letters, kind)
        database.execute("update users set is_active = false")
        assert await post(client, ASKED_AT[kind], email=ANNA) == NO_EMAIL

    @in_mode("default", password_reset_show_email_not_found=True)
    async def test_without_activation_resending_reports_unknown_and_active_addresses(
        self, anna: Person, database: Connection
    ) -> None:
        for address in (ANNA, "nobody@example.com"):
            assert await post(anna.client, ASKED_AT["activation"], email=address) == NO_EMAIL
        database.execute("update users set is_active = false, awaits_activation = true")
        assert await post(anna.client, ASKED_AT["activation"], email=ANNA) == (400, None)


@pytest.mark.parametrize("kind", KINDS)
@in_mode("activation", password_reset_timeout=600)
async def test_a_link_expires_after_password_reset_timeout(
    client: Client, letters: Letters, database: Connection, kind: str
) -> None:
    await asked(client, letters, kind)
    ends = database.execute("select expires_at - now() as life from one_time_tokens where purpose = %s", [kind])
    assert abs(ends.fetchall()[0]["life"].total_seconds() - 600) < 60
