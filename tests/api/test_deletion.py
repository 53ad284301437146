"""Deletion: an account is deleted by itself or by staff, with the password of the caller (contract 2)."""

from typing import Any

import pytest

from tests.conftest import PASSWORD, Client, Connection, Person, post

REQUIRED = ["This field is required."]
BLANK = ["This field may not be blank."]
NULL = ["This field may not be null."]


async def register(client: Client, **given: Any) -> tuple[int, Any]:
    return await post(client, "/auth/users/", **{"username": "anna", "password": PASSWORD} | given)


@pytest.mark.parametrize(
    ("given", "faults"),
    [
        ({}, REQUIRED),
        ({"current_password": ""}, BLANK),
        ({"current_password": None}, NULL),
        ({"current_password": []}, ["Not a valid string."]),
        ({"current_password": "wrong one"}, ["Invalid password."]),
        ({"current_password": f"{PASSWORD} "}, ["Invalid password."]),
    ],
)
async def test_deletion_needs_the_password_of_the_caller(
    anna: Person, given: dict[str, Any], faults: list[str]
) -> None:
    for path in ("/auth/users/me/", f"/auth/users/{anna.id}/"):
        assert await anna.delete(path, given) == (400, {"current_password": faults})
    assert (await anna.get("/auth/users/me/"))[0] == 200


async def test_deletion_removes_the_account_its_profile_and_its_sessions(
    anna: Person, boris: Person, database: Connection
) -> None:
    assert await anna.delete("/auth/users/me/", {"current_password": PASSWORD}) == (204, None)
    assert await anna.get("/auth/users/me/") == (401, {"detail": "User not found", "code": "user_not_found"})
    for table in ("users", "profiles", "sessions"):
        assert len(database.execute(f"select * from {table}").fetchall()) == 1, table


async def test_staff_delete_another_account_with_their_own_password(client: Client, staff: Person) -> None:
    _, user = await register(client, password="the password of anna")
    path = f"/auth/users/{user['id']}/"
    wrong = 400, {"current_password": ["Invalid password."]}
    assert await staff.delete(path, {"current_password": "the password of anna"}) == wrong
    assert await staff.delete(path, data={"current_password": PASSWORD}) == (204, None)
