"""Deletion: an account is deleted by itself or by staff, with the password of the caller (contract 2)."""

from collections import Counter
from typing import Any

import pytest

from tests.conftest import PASSWORD, Client, Letters, Person, post
from tests.links import ASKED_AT, DONE, INVALID_UID, PASSWORD_RESET, USERNAME_RESET, asked_by, confirm
from tests.locks import Race
from tests.rows import Connection, count

ME = "/auth/users/me/"
GONE = (401, {"detail": "User not found", "code": "user_not_found"})
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


async def test_no_proof_of_a_deleted_account_is_accepted(anna: Person, boris: Person, letters: Letters) -> None:
    await letters()
    other = await anna.sign_in()
    _, response = await post(anna.client, "/auth/token/login/", username="anna", password=PASSWORD)
    reset = await asked_by(anna, letters, PASSWORD_RESET)
    assert await post(anna.client, ASKED_AT[USERNAME_RESET], email="anna@example.com") == DONE
    assert await anna.delete(ME, {"current_password": PASSWORD}) == DONE
    for person in (anna, other):
        assert await person.get(ME) == GONE
        assert (await post(anna.client, "/auth/jwt/refresh/", refresh=person.tokens["refresh"]))[0] == 401
    headers = {"Authorization": f"Token {response['auth_token']}"}
    assert (await anna.client.get(ME, headers=headers)).status == 401
    assert await confirm(anna.client, PASSWORD_RESET, reset) == INVALID_UID
    assert (await post(anna.client, "/auth/jwt/create/", username="anna", password=PASSWORD))[0] == 401
    assert await letters() == []
    assert (await boris.get(ME))[0] == 200


async def test_deletion_leaves_no_row_of_the_account(anna: Person, database: Connection) -> None:
    await post(anna.client, "/auth/token/login/", username="anna", password=PASSWORD)
    assert (await anna.patch(ME, {"email": "new@example.com"}))[0] == 200
    assert count(database, "letters") > 0
    assert await anna.delete(ME, {"current_password": PASSWORD}) == DONE
    tables = ("users", "profiles", "role_fields", "sessions", "api_tokens", "one_time_tokens", "letters")
    assert {table: count(database, table) for table in tables} == dict.fromkeys(tables, 0)


async def test_a_refused_deletion_keeps_the_account_and_its_sessions(anna: Person) -> None:
    other = await anna.sign_in()
    assert (await anna.delete(ME, {"current_password": "wrong one"}))[0] == 400
    for person in (anna, other):
        assert (await person.get(ME))[0] == 200


async def test_the_username_and_the_address_of_a_deleted_account_are_free(anna: Person, client: Client) -> None:
    assert await anna.delete(ME, {"current_password": PASSWORD}) == DONE
    status, user = await register(client, email="anna@example.com")
    assert (status, user["id"] != anna.id) == (201, True)
    assert await anna.get(ME) == GONE


async def test_deletion_runs_one_hash(anna: Person, hashes: Counter[str]) -> None:
    hashes.clear()
    assert await anna.delete(ME, {"current_password": PASSWORD}) == DONE
    assert hashes["run"] == 1


async def test_an_account_is_deleted_with_its_api_token(anna: Person) -> None:
    _, body = await post(anna.client, "/auth/token/login/", username="anna", password=PASSWORD)
    headers = {"Authorization": f"Token {body['auth_token']}"}
    response = await anna.client.delete(ME, json={"current_password": PASSWORD}, headers=headers)
    assert response.status == 204
    assert await anna.get(ME) == GONE


async def test_another_account_is_404_before_the_password_is_looked_at(anna: Person, boris: Person) -> None:
    for given in ({}, {"current_password": "wrong one"}, {"current_password": PASSWORD}):
        assert await anna.delete(f"/auth/users/{boris.id}/", given) == (404, {"detail": "Not found."})
    assert (await boris.get(ME))[0] == 200


async def test_staff_keep_their_session_and_the_deleted_account_has_none(anna: Person, staff: Person) -> None:
    assert await staff.delete(f"/auth/users/{anna.id}/", {"current_password": PASSWORD}) == DONE
    assert await anna.get(ME) == GONE
    assert (await staff.get(ME))[0] == 200


async def test_an_account_deleted_by_another_request_at_the_same_moment_is_refused(anna: Person, race: Race) -> None:
    deleting = anna.delete(ME, {"current_password": PASSWORD})
    assert await race("delete from users", deleting) == (400, {"current_password": ["Invalid password."]})


async def test_an_account_deleted_by_another_request_at_the_same_moment_is_404_to_staff(
    anna: Person, staff: Person, race: Race
) -> None:
    deleting = staff.delete(f"/auth/users/{anna.id}/", {"current_password": PASSWORD})
    assert await race("delete from users where username = 'anna'", deleting) == (404, {"detail": "Not found."})
