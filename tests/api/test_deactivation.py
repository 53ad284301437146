"""Deactivation and activation by staff (contract 11.10, 12)."""

from typing import Any

import pytest

from tests.conftest import PASSWORD, Letters, Person, in_mode, post
from tests.locks import Race
from tests.rows import Connection, only_row

ME = "/auth/users/me/"
INACTIVE = (401, {"detail": "User is inactive", "code": "user_inactive"})
NULL = ["This field may not be null."]


async def test_staff_deactivate_and_activate_an_account_by_patch(
    anna: Person, staff: Person, database: Connection
) -> None:
    path = f"/auth/users/{anna.id}/"
    for value, stored in ((False, False), ("yes", True)):
        status, user = await staff.patch(path, {"is_active": value})
        assert (status, user["is_active"]) == (200, stored)
        assert only_row(database, "select is_active from users where id = %s", anna.id)["is_active"] is stored
    assert await staff.patch(path, {"is_active": "maybe"}) == (400, {"is_active": ["Must be a valid boolean."]})
    assert await staff.patch(path, {"is_active": None}) == (400, {"is_active": NULL})


async def test_a_form_without_the_flag_deactivates_no_account(anna: Person, staff: Person) -> None:
    for method in ("PUT", "PATCH"):
        assert (await staff.ask(method, f"/auth/users/{anna.id}/", data={"email": "new@example.com"}))[0] == 200
        assert (await anna.get("/auth/users/me/"))[0] == 200
    assert (await staff.ask("PATCH", f"/auth/users/{anna.id}/", data={"is_active": "off"}))[0] == 200
    assert (await anna.get("/auth/users/me/"))[1]["code"] == "user_inactive"


async def test_is_active_is_ignored_unless_staff_send_it_by_patch(anna: Person, staff: Person) -> None:
    for value in (False, "maybe", None):
        assert (await anna.patch("/auth/users/me/", {"is_active": value}))[0] == 200
    assert (await staff.put(f"/auth/users/{anna.id}/", {"is_active": False}))[0] == 200
    assert (await anna.get("/auth/users/me/"))[0] == 200


async def log_in(person: Person) -> dict[str, str]:
    """Log in for the API token: the header that sends it."""
    _, response = await post(person.client, "/auth/token/login/", username=person.username, password=PASSWORD)
    return {"Authorization": f"Token {response['auth_token']}"}


@in_mode("default", send_confirmation_email=True)
async def test_deactivation_ends_sessions_and_api_token_and_queues_no_letter(
    anna: Person, boris: Person, staff: Person, database: Connection, letters: Letters
) -> None:
    await letters()
    other, token = await anna.sign_in(), await log_in(anna)
    path = f"/auth/users/{anna.id}/"
    assert await staff.patch(path, {"is_active": False}) == (200, await read(staff, anna))
    assert (await read(staff, anna))["sessions"] == 0
    for person in (anna, other):
        assert await person.get(ME) == INACTIVE
    assert (await anna.client.get(ME, headers=token)).status == 401
    assert (await boris.get(ME))[0] == 200
    assert only_row(database, "select count(*) from sessions where user_id = %s", anna.id)["count"] == 0
    assert await staff.patch(path, {"is_active": True}) == (200, await read(staff, anna))
    assert (await anna.get(ME))[1]["code"] == "token_not_valid"
    assert (await anna.client.get(ME, headers=token)).status == 401
    assert await letters() == []


async def read(staff: Person, person: Person) -> Any:
    """The user object of `person`."""
    return (await staff.get(f"/auth/users/{person.id}/"))[1]


async def test_activating_an_active_account_keeps_its_sessions_and_its_api_token(anna: Person, staff: Person) -> None:
    token = await log_in(anna)
    assert (await staff.patch(f"/auth/users/{anna.id}/", {"is_active": True}))[0] == 200
    assert (await anna.get(ME))[0] == 200
    assert (await anna.client.get(ME, headers=token)).status == 200


async def test_staff_may_deactivate_their_own_account(staff: Person) -> None:
    status, user = await staff.patch(ME, {"is_active": False})
    assert (status, user["id"], user["is_active"]) == (200, staff.id, False)
    assert await staff.get(ME) == INACTIVE


async def test_a_refused_edit_by_staff_changes_nothing_at_all(
    anna: Person, boris: Person, staff: Person, letters: Letters
) -> None:
    path = f"/auth/users/{anna.id}/"
    await letters()
    for given, faults in (
        ({"is_active": False, "email": "boris@example.com"}, {"email": ["A user with that email already exists."]}),
        ({"is_active": False, "email": "x"}, {"email": ["Enter a valid email address."]}),
        (
            {"is_active": "maybe", "email": "x"},
            {"email": ["Enter a valid email address."], "is_active": ["Must be a valid boolean."]},
        ),
    ):
        assert await staff.patch(path, given) == (400, faults)
    assert (await anna.get(ME))[1]["email"] == "anna@example.com"
    assert await letters() == []


async def test_staff_change_the_address_and_deactivate_in_one_call(
    anna: Person, staff: Person, letters: Letters
) -> None:
    await letters()
    given = {"email": "new@example.com", "is_active": False}
    status, user = await staff.patch(f"/auth/users/{anna.id}/", given)
    assert (status, user) == (200, user | given)
    assert await anna.get(ME) == INACTIVE
    assert [letter.to for letter in await letters()] == ["anna@example.com"]


@pytest.mark.parametrize("given", [{"is_active": False}, {"email": "new@example.com"}])
async def test_an_account_deleted_during_an_edit_is_404_to_staff(
    anna: Person, staff: Person, race: Race, given: dict[str, Any]
) -> None:
    deleting = "delete from users where username = 'anna'"
    response = await race(deleting, staff.patch(f"/auth/users/{anna.id}/", given))
    assert response == (404, {"detail": "Not found."})
