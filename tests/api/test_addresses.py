"""E-mail addresses: in activation mode a new one waits to be confirmed; the old one gets a letter (contract 11.13)."""

import asyncio
from typing import Any

import pytest

from tests.conftest import PASSWORD, Client, Letters, MakePerson, Person, in_mode, post
from tests.links import (
    ACTIVATION,
    DONE,
    EMAIL_CHANGE,
    INVALID_TOKEN,
    PASSWORD_RESET,
    activated,
    asked_by,
    confirm,
    link,
    register,
)
from tests.locks import Race
from tests.rows import Connection

ME = "/auth/users/me/"
OLD, NEW = "anna@example.com", "new@example.com"
TAKEN = {"email": ["A user with that email already exists."]}

in_activation = in_mode("activation")


@pytest.fixture
async def anna(client: Client, letters: Letters) -> Person:
    """A signed-in account that was activated by its letter."""
    return await activated(client, letters)


def user(anna: Person, email: str) -> tuple[int, dict[str, Any]]:
    return 200, {"email": email, "id": anna.id, "username": "anna"}


def stored(database: Connection, username: str = "anna") -> tuple[str, str | None]:
    query = "select email, pending_email from users where username = %s"
    (row,) = database.execute(query, [username]).fetchall()
    return row["email"], row["pending_email"]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("path", [ME, "/auth/users/{id}/"])
@in_activation
async def test_a_new_address_is_pending_and_the_account_stays_usable(
    anna: Person, database: Connection, letters: Letters, method: str, path: str
) -> None:
    assert await anna.ask(method, path.format(id=anna.id), json={"email": NEW}) == user(anna, OLD)
    assert stored(database) == (OLD, NEW)
    assert await anna.get(ME) == user(anna, OLD)
    assert (await (await anna.sign_in()).get(ME))[0] == 200
    sent = {letter.to: letter for letter in await letters()}
    assert set(sent) == {OLD, NEW}
    assert sent[NEW].link
    assert not sent[OLD].link
    assert sent[NEW].uid_and_token["token"] not in sent[OLD].text + sent[OLD].html


@in_activation
async def test_the_link_puts_the_new_address_in_force_and_notifies_the_old_one(
    anna: Person, database: Connection, letters: Letters
) -> None:
    given = await asked_by(anna, letters, EMAIL_CHANGE)
    assert await confirm(anna.client, EMAIL_CHANGE, given) == DONE
    assert stored(database) == (NEW, None)
    assert await anna.get(ME) == user(anna, NEW)
    assert [(letter.to, letter.link) for letter in await letters()] == [(OLD, "")]
    assert await confirm(anna.client, EMAIL_CHANGE, given) == INVALID_TOKEN


@in_activation
async def test_while_the_new_address_is_pending_letters_go_to_the_old_one_only(anna: Person, letters: Letters) -> None:
    await asked_by(anna, letters, EMAIL_CHANGE)
    for address in (NEW, OLD):
        assert await post(anna.client, "/auth/users/reset_password/", email=address) == DONE
    assert [letter.to for letter in await letters()] == [OLD]


@in_activation
async def test_a_new_address_replaces_the_pending_one(anna: Person, database: Connection, letters: Letters) -> None:
    first = await asked_by(anna, letters, EMAIL_CHANGE)
    assert await anna.patch(ME, {"email": "other@example.com"}) == user(anna, OLD)
    second = await link(letters, "other@example.com")
    assert await confirm(anna.client, EMAIL_CHANGE, first) == INVALID_TOKEN
    assert await confirm(anna.client, EMAIL_CHANGE, second) == DONE
    assert stored(database) == ("other@example.com", None)


@in_activation
async def test_setting_the_present_address_again_cancels_the_change(
    anna: Person, database: Connection, letters: Letters
) -> None:
    given = await asked_by(anna, letters, EMAIL_CHANGE)
    assert await anna.patch(ME, {"email": OLD}) == user(anna, OLD)
    assert stored(database) == (OLD, None)
    assert await letters() == []
    assert await confirm(anna.client, EMAIL_CHANGE, given) == INVALID_TOKEN
    assert stored(database) == (OLD, None)


@in_activation
async def test_a_change_cancelled_before_its_letter_was_sent_sends_no_link(anna: Person, letters: Letters) -> None:
    assert await anna.patch(ME, {"email": NEW}) == user(anna, OLD)
    assert await anna.patch(ME, {"email": OLD}) == user(anna, OLD)
    assert [letter.to for letter in await letters() if letter.link] == []


@in_activation
async def test_setting_the_same_address_changes_nothing_and_sends_no_letter(
    anna: Person, database: Connection, letters: Letters
) -> None:
    assert await anna.patch(ME, {"email": OLD}) == user(anna, OLD)
    assert await anna.patch(ME, {}) == user(anna, OLD)
    assert (stored(database), await letters()) == ((OLD, None), [])


@in_activation
@pytest.mark.parametrize("typed", ["Anna@Example.COM", "anna@ｅｘａｍｐｌｅ.com"])
async def test_another_spelling_of_the_address_is_in_force_at_once_and_writes_no_letter(
    anna: Person, database: Connection, letters: Letters, typed: str
) -> None:
    assert await anna.patch(ME, {"email": typed}) == user(anna, typed)
    assert (stored(database), await letters()) == ((typed, None), [])


async def test_without_activation_another_spelling_writes_no_letter_either(
    make_person: MakePerson, letters: Letters
) -> None:
    berta = await make_person("berta", email="berta@münchen.example")
    for typed in ("BERTA@xn--mnchen-3ya.example", "berta@MÜNCHEN.example"):
        assert (await berta.patch(ME, {"email": typed}))[1]["email"] == typed
    assert await letters() == []


@in_activation
async def test_another_spelling_leaves_the_links_of_the_account_alone(anna: Person, letters: Letters) -> None:
    given = await asked_by(anna, letters, PASSWORD_RESET)
    assert (await anna.patch(ME, {"email": "ANNA@example.com"}))[0] == 200
    assert await confirm(anna.client, PASSWORD_RESET, given) == DONE


@in_activation
async def test_removing_the_address_needs_no_link_and_notifies_the_old_one(
    anna: Person, database: Connection, letters: Letters
) -> None:
    given = await asked_by(anna, letters, EMAIL_CHANGE)
    assert await anna.patch(ME, {"email": ""}) == user(anna, "")
    assert stored(database) == ("", None)
    assert [(letter.to, letter.link) for letter in await letters()] == [(OLD, "")]
    assert await confirm(anna.client, EMAIL_CHANGE, given) == INVALID_TOKEN
    assert (await anna.get(ME))[0] == 200


@in_activation
async def test_the_address_of_another_account_is_refused_at_once(
    anna: Person, database: Connection, letters: Letters
) -> None:
    await activated(anna.client, letters, "boris")
    assert await anna.patch(ME, {"email": "BORIS@example.com"}) == (400, TAKEN)
    assert (stored(database), await letters()) == ((OLD, None), [])


@in_activation
async def test_a_pending_address_that_another_account_takes_is_refused_at_confirmation(
    anna: Person, database: Connection, letters: Letters
) -> None:
    given = await asked_by(anna, letters, EMAIL_CHANGE)
    await register(anna.client, "boris", email="NEW@example.com")
    for _ in range(2):
        assert await confirm(anna.client, EMAIL_CHANGE, given) == (400, TAKEN)
    assert stored(database) == (OLD, NEW)
    database.execute("delete from users where username = 'boris'")
    assert await confirm(anna.client, EMAIL_CHANGE, given) == DONE
    assert stored(database) == (NEW, None)


@in_activation
async def test_of_two_accounts_with_the_same_pending_address_one_confirms_it(
    anna: Person, database: Connection, letters: Letters
) -> None:
    boris = await activated(anna.client, letters, "boris")
    given = []
    for person in (anna, boris):
        assert (await person.patch(ME, {"email": NEW}))[0] == 200
        given.append(await link(letters, NEW))
    responses = await asyncio.gather(*(confirm(anna.client, EMAIL_CHANGE, each) for each in given))
    assert sorted(responses, key=str) == [DONE, (400, TAKEN)]
    assert len(database.execute("select from users where email = %s", [NEW]).fetchall()) == 1


@in_activation
async def test_a_new_address_that_staff_set_is_pending_too(
    anna: Person, database: Connection, letters: Letters
) -> None:
    sofia = await activated(anna.client, letters, "sofia")
    database.execute("update users set is_staff = true where username = 'sofia'")
    status, seen = await sofia.patch(f"/auth/users/{anna.id}/", {"email": NEW})
    assert (status, seen["email"], seen["pending_email"]) == (200, OLD, NEW)
    assert (await anna.get(ME))[0] == 200
    sent = {letter.to: letter for letter in await letters()}
    assert set(sent) == {OLD, NEW}
    assert await confirm(anna.client, EMAIL_CHANGE, sent[NEW].uid_and_token) == DONE
    assert stored(database) == (NEW, None)


@in_activation
async def test_an_address_that_staff_correct_before_activation_gets_the_activation_letter(
    client: Client, database: Connection, letters: Letters
) -> None:
    sofia = await activated(client, letters, "sofia")
    database.execute("update users set is_staff = true where username = 'sofia'")
    waiting = await register(client, "anna", email="typo@example.com")
    first = await link(letters, "typo@example.com")
    path = f"/auth/users/{waiting['id']}/"
    status, seen = await sofia.patch(path, {"email": OLD})
    assert (status, seen["email"], seen["awaits_activation"]) == (200, OLD, True)
    assert stored(database) == (OLD, None)
    second = await link(letters, OLD)
    assert await confirm(client, ACTIVATION, first) == INVALID_TOKEN
    assert await confirm(client, ACTIVATION, second) == DONE
    assert (await post(client, "/auth/jwt/create/", username="anna", password=PASSWORD))[0] == 200


@in_activation
async def test_a_first_address_is_pending_and_no_other_address_gets_a_letter(
    anna: Person, database: Connection, letters: Letters
) -> None:
    database.execute("update users set email = ''")
    assert await anna.patch(ME, {"email": NEW}) == user(anna, "")
    assert [letter.to for letter in await letters()] == [NEW]


@in_activation
async def test_a_new_address_invalidates_links_sent_to_the_old_one(anna: Person, letters: Letters) -> None:
    reset = await asked_by(anna, letters, PASSWORD_RESET)
    assert await confirm(anna.client, EMAIL_CHANGE, await asked_by(anna, letters, EMAIL_CHANGE)) == DONE
    assert await confirm(anna.client, PASSWORD_RESET, reset) == INVALID_TOKEN
    assert (await anna.get(ME))[0] == 200, "the session stays"


@in_activation
async def test_an_address_taken_before_its_confirmation_is_a_field_error_and_does_not_use_up_the_link(
    anna: Person, database: Connection, letters: Letters, race: Race
) -> None:
    given = await asked_by(anna, letters, EMAIL_CHANGE)
    confirming = confirm(anna.client, EMAIL_CHANGE, given)
    assert await race(f"insert into users (username, email) values ('boris', '{NEW}')", confirming) == (400, TAKEN)
    assert (stored(database), await letters()) == ((OLD, NEW), [])
    database.execute("delete from users where username = 'boris'")
    assert await confirm(anna.client, EMAIL_CHANGE, given) == DONE
    assert stored(database) == (NEW, None)


class TestWithoutActivation:
    """The default: a new address is in force at once."""

    @pytest.fixture
    async def anna(self, make_person: MakePerson, letters: Letters) -> Person:
        """A signed-in account."""
        return await make_person("anna", email=OLD)

    @pytest.mark.parametrize("address", [NEW, ""])
    async def test_a_new_address_is_in_force_at_once_and_notifies_the_old_one(
        self, anna: Person, database: Connection, letters: Letters, address: str
    ) -> None:
        reset = await asked_by(anna, letters, PASSWORD_RESET)
        assert await anna.patch(ME, {"email": address}) == user(anna, address)
        assert stored(database) == (address, None)
        assert [(letter.to, letter.link) for letter in await letters()] == [(OLD, "")]
        assert await confirm(anna.client, PASSWORD_RESET, reset) == INVALID_TOKEN

    async def test_a_new_address_that_staff_set_is_in_force_at_once_and_notifies_the_old_one(
        self, anna: Person, staff: Person, letters: Letters
    ) -> None:
        status, seen = await staff.put(f"/auth/users/{anna.id}/", {"email": NEW})
        assert (status, seen["email"], seen["pending_email"]) == (200, NEW, None)
        assert [letter.to for letter in await letters()] == [OLD]

    async def test_setting_the_same_address_sends_no_letter(self, anna: Person, letters: Letters) -> None:
        assert await anna.patch(ME, {"email": OLD}) == user(anna, OLD)
        assert await letters() == []

    async def test_an_address_taken_at_the_last_moment_is_a_field_error(
        self, anna: Person, database: Connection, letters: Letters, race: Race
    ) -> None:
        taking = f"insert into users (username, email) values ('boris', '{NEW}')"
        assert await race(taking, anna.patch(ME, {"email": NEW})) == (400, TAKEN)
        assert (stored(database), await letters()) == ((OLD, None), [])
