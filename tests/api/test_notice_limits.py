"""Letters about changes are limited for each address, the changes are not; an unconfirmed address gets none."""

from typing import Any

import pytest

from server.settings.rates import Rate
from tests.api.test_limits import LOW, STRANGER, send
from tests.conftest import PASSWORD, Client, Letters, Person
from tests.links import NEW_PASSWORD, register
from tests.rows import Connection, count

ME, SET_PASSWORD = "/auth/users/me/", "/auth/users/set_password/"
UNLIMITED: dict[str, Any] = {"limit_changes_account": None, "limit_changes_network": None}
low = pytest.mark.parametrize("settings", [LOW | UNLIMITED], indirect=True)
off = pytest.mark.parametrize("settings", [LOW | UNLIMITED | {"limit_letters_address": None}], indirect=True)


async def change_password(person: Person, times: int) -> None:
    """Change the password to another one, and back, so many times."""
    passwords = [PASSWORD, NEW_PASSWORD]
    for number in range(times):
        current, new = passwords[number % 2], passwords[(number + 1) % 2]
        given = {"current_password": current, "new_password": new}
        assert await person.post(SET_PASSWORD, given) == (204, None)


@low
async def test_changes_of_a_password_do_not_flood_the_address_and_are_all_made(anna: Person, letters: Letters) -> None:
    await change_password(anna, 5)
    assert [letter.to for letter in await letters()] == ["anna@example.com"] * 2


@off
async def test_without_a_limit_of_letters_each_change_is_told(
    anna: Person, letters: Letters, database: Connection
) -> None:
    await change_password(anna, 3)
    assert len(await letters()) == 3
    assert database.execute("select from limits where key like 'letters%'").fetchall() == []


@low
async def test_letters_that_others_ask_for_do_not_keep_the_owner_from_being_told(
    client: Client, anna: Person, letters: Letters
) -> None:
    for path in ("reset_username", "reset_password") * 2:
        await send(client, f"/auth/users/{path}/", by=STRANGER, email="anna@example.com")
    for number in range(2):  # a kind of notice does not keep another one away
        assert (await anna.post("/auth/users/set_username/", renaming(f"anna{number}")))[0] == 204
    await letters()
    await change_password(anna, 1)
    assert [letter.to for letter in await letters()] == ["anna@example.com"]


def renaming(name: str) -> dict[str, str]:
    return {"new_username": name, "current_password": PASSWORD}


@low
async def test_changes_of_name_and_address_do_not_flood_the_address_and_are_all_made(
    anna: Person, letters: Letters
) -> None:
    for number in range(4):
        assert (await anna.post("/auth/users/set_username/", renaming(f"anna{number}")))[0] == 204
    assert [letter.to for letter in await letters()] == ["anna@example.com"] * 2
    for number in range(8):
        address = "victim@example.com" if number % 2 == 0 else "anna@example.com"
        assert (await anna.patch(ME, {"email": address}))[0] == 200
    told = [letter.to for letter in await letters()]
    assert sorted(told) == ["anna@example.com"] * 2 + ["victim@example.com"] * 2


@low
async def test_a_notice_that_has_drained_makes_room_for_the_next(
    anna: Person, letters: Letters, database: Connection
) -> None:
    await change_password(anna, 2)
    database.execute("update limits set drained_at = now() - interval '1 day'")
    await change_password(anna, 4)
    assert len(await letters()) == 2 + 2


@pytest.mark.parametrize("settings", [LOW | UNLIMITED | {"send_activation_email": True}], indirect=True)
async def test_an_address_that_was_never_confirmed_gets_no_notice(
    client: Client, letters: Letters, database: Connection
) -> None:
    await register(client, "sofia")
    database.execute("update users set is_active = true, is_staff = true")
    staff = await Person(client, "sofia").sign_in()
    user = await register(client, "anna", email="victim@example.com")
    assert [letter.to for letter in await letters() if letter.to == "victim@example.com"] == ["victim@example.com"]
    status, _ = await staff.patch(f"/auth/users/{user['id']}/", {"email": ""})
    assert status == 200
    assert count(database, "letters") == 0


@pytest.mark.parametrize("settings", [LOW | {"limit_letters_address": Rate(1, 900)}], indirect=True)
async def test_all_spellings_of_an_address_count_together(anna: Person, letters: Letters) -> None:
    await change_password(anna, 1)
    assert (await anna.patch(ME, {"email": "ANNA@example.com"}))[0] == 200
    given = {"current_password": NEW_PASSWORD, "new_password": PASSWORD}
    assert await anna.post(SET_PASSWORD, given) == (204, None)
    assert len(await letters()) == 1
