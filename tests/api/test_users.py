"""Accounts: which caller reads and edits which (contract 2, 3, 11.9)."""

import asyncio

import pytest

from server.web.schemas.fields import NOT_EMAIL
from tests.conftest import Person
from tests.rows import Connection, only_row

HIDDEN = (404, {"detail": "Not found."})
NULL = ["This field may not be null."]
TAKEN_EMAIL = {"email": ["A user with that email already exists."]}


async def test_an_account_lists_only_itself_and_staff_list_all(anna: Person, boris: Person, staff: Person) -> None:
    own = {"email": "anna@example.com", "id": anna.id, "username": "anna"}
    assert await anna.get("/auth/users/") == (200, [own])
    status, listed = await staff.get("/auth/users/")
    assert (status, [user["username"] for user in listed]) == (200, ["anna", "boris", "sofia"])
    assert own.items() <= listed[0].items()


async def test_staff_list_deactivated_accounts_too(anna: Person, staff: Person, database: Connection) -> None:
    database.execute("update users set is_active = false where id = %s", [anna.id])
    assert anna.id in [user["id"] for user in (await staff.get("/auth/users/"))[1]]


@pytest.mark.parametrize("path", ["/auth/users/me/", "/auth/users/me", "/auth/users/{id}/", "/auth/users/{id}"])
async def test_an_account_reads_itself(anna: Person, path: str) -> None:
    own = {"email": "anna@example.com", "id": anna.id, "username": "anna"}
    assert await anna.get(path.format(id=anna.id)) == (200, own)


async def test_staff_read_and_edit_any_account(anna: Person, staff: Person) -> None:
    path = f"/auth/users/{anna.id}/"
    own = {"email": "anna@example.com", "id": anna.id, "username": "anna"}
    status, user = await staff.get(path)
    assert (status, user) == (200, user | own)
    edited = user | {"email": "Anna@NEW.example"}
    assert await staff.patch(path, {"email": "Anna@NEW.example", "username": "other", "id": 1}) == (200, edited)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
async def test_another_account_and_a_missing_one_are_the_same_404(anna: Person, boris: Person, method: str) -> None:
    for user_id in (boris.id, 999_999_999, 2**63 - 1, 2**63, 10**30, "0" * 5000 + str(boris.id)):
        assert await anna.ask(method, f"/auth/users/{user_id}/", data=b"{broken") == HIDDEN, user_id


@pytest.mark.parametrize("name", ["abc", "1a", "-1", "%D9%A3", "me2", "1.json"])
async def test_a_path_without_a_valid_id_is_404(anna: Person, name: str) -> None:
    assert await anna.get(f"/auth/users/{name}/") == HIDDEN


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_an_edit_changes_only_the_given_fields(anna: Person, method: str) -> None:
    same = {"email": "anna@example.com", "id": anna.id, "username": "anna"}
    assert await anna.ask(method, "/auth/users/me/", json={"username": "other", "id": 1}) == (200, same)
    assert await anna.ask(method, "/auth/users/me/") == (200, same)
    assert await anna.ask(method, "/auth/users/me/", json={"email": ""}) == (200, same | {"email": ""})
    assert await anna.ask(method, "/auth/users/me/", json={"email": None}) == (400, {"email": NULL})
    assert await anna.ask(method, "/auth/users/me/", json={"email": "x"}) == (400, {"email": [NOT_EMAIL]})


async def test_the_address_of_another_account_is_refused_and_the_own_is_not(anna: Person, boris: Person) -> None:
    assert await anna.patch("/auth/users/me/", {"email": "BORIS@example.com"}) == (400, TAKEN_EMAIL)
    assert (await anna.patch("/auth/users/me/", {"email": "ANNA@example.com"}))[0] == 200


async def test_of_two_changes_to_one_address_at_once_one_succeeds(anna: Person, boris: Person) -> None:
    wanted = {"email": "wanted@example.com"}
    responses = await asyncio.gather(*(person.patch("/auth/users/me/", wanted) for person in (anna, boris)))
    assert sorted(status for status, _ in responses) == [200, 400]
    assert [body for status, body in responses if status == 400] == [TAKEN_EMAIL]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_no_edit_makes_an_account_staff(anna: Person, staff: Person, database: Connection, method: str) -> None:
    given = {"is_staff": True, "is_superuser": True, "password": "another one", "username_key": "x", "email_key": "x"}
    for person, path in ((anna, "/auth/users/me/"), (staff, f"/auth/users/{anna.id}/")):
        before = only_row(database, "select * from users where id = %s", anna.id)
        assert (await person.ask(method, path, json=given))[0] == 200
        assert only_row(database, "select * from users where id = %s", anna.id) == before


async def test_a_staff_account_that_loses_the_flag_loses_its_rights_at_once(
    anna: Person, staff: Person, database: Connection
) -> None:
    database.execute("update users set is_staff = false")
    assert await staff.get(f"/auth/users/{anna.id}/") == HIDDEN
    assert [user["id"] for user in (await staff.get("/auth/users/"))[1]] == [staff.id]


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
async def test_a_missing_account_is_404_to_staff_before_the_body_is_read(staff: Person, method: str) -> None:
    response = (404, None) if method == "HEAD" else HIDDEN
    assert await staff.ask(method, "/auth/users/999999999/", data=None if method == "HEAD" else b"{broken") == response
