"""Accounts: who registers, who sees whom, who changes what (contract 2, 3, 11)."""

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from server.database import migrate
from server.settings.settings import Settings
from server.web.schemas.fields import NOT_EMAIL, NOT_USERNAME
from tests.conftest import PASSWORD, Client, Person, post

HIDDEN = (404, {"detail": "Not found."})
REQUIRED = ["This field is required."]
BLANK = ["This field may not be blank."]
NULL = ["This field may not be null."]
TOO_LONG = "Ensure this field has no more than 150 characters."
TOO_MUCH = ["Ensure this field has no more than 4096 bytes."]
TAKEN = {"username": ["A user with that username already exists."]}
TAKEN_EMAIL = {"email": ["A user with that email already exists."]}


async def register(client: Client, **given: Any) -> tuple[int, Any]:
    return await post(client, "/auth/users/", **{"username": "anna", "password": PASSWORD} | given)


@pytest.mark.parametrize(
    ("given", "faults"),
    [
        ({}, {"username": REQUIRED, "password": REQUIRED}),
        ({"username": "", "password": "", "email": ""}, {"username": BLANK, "password": BLANK}),
        ({"username": " ", "password": PASSWORD}, {"username": BLANK}),
        ({"username": None, "password": None, "email": None}, {"username": NULL, "password": NULL, "email": NULL}),
        (
            {"username": True, "password": [], "email": {}},
            {"username": ["Not a valid string."], "password": ["Not a valid string."], "email": [NOT_EMAIL]},
        ),
        ({"username": "a b", "password": PASSWORD}, {"username": [NOT_USERNAME]}),
        ({"username": "a" * 151, "password": PASSWORD}, {"username": [TOO_LONG]}),
        (
            {"username": "! \0" + "a" * 150, "password": PASSWORD},
            {"username": [NOT_USERNAME, TOO_LONG, "Null characters are not allowed."]},
        ),
        ({"username": "anna", "password": "x" * 4097}, {"password": TOO_MUCH}),
        ({"username": "anna", "password": "é" * 2049}, {"password": TOO_MUCH}),
        (
            {"username": "anna", "password": "\ud800" + PASSWORD},
            {"password": ["Surrogate characters are not allowed: U+D800."]},
        ),
        (
            {"username": "anna", "password": PASSWORD, "email": "a" * 9 + "@" + ("b" * 60 + ".") * 4 + "com"},
            {"email": ["Ensure this field has no more than 254 characters."]},
        ),
        (
            # Lowering a dotted capital doubles it: long enough only then.
            {"username": "anna", "password": PASSWORD, "email": "a@" + ("\u0130" * 30 + ".") * 5 + "com"},
            {"email": ["Ensure this field has no more than 254 characters."]},
        ),
        (
            {"username": "anna-kowalska", "password": "kowalskaX1"},
            {"password": ["The password is too similar to the username."]},
        ),
        (
            {"username": "anna", "password": "12345"},
            {
                "password": [
                    "This password is too short. It must contain at least 8 characters.",
                    "This password is too common.",
                    "This password is entirely numeric.",
                ]
            },
        ),
    ],
)
async def test_a_faulty_registration_names_every_fault_and_makes_nothing(
    client: Client, database: Any, given: dict[str, Any], faults: dict[str, Any]
) -> None:
    assert await post(client, "/auth/users/", **given) == (400, faults)
    assert database.execute("select * from users").fetchall() == []


async def test_a_taken_name_is_reported_together_with_other_faults(anna: Person, client: Client) -> None:
    status, faults = await register(client, username="ANNA", email="bad", password="")
    assert (status, faults) == (400, TAKEN | {"email": [NOT_EMAIL], "password": BLANK})


@pytest.mark.parametrize("name", ["anna", "ANNA", "Anna", "ａｎｎａ", " anna "])
async def test_a_name_is_one_account_in_all_its_spellings(anna: Person, client: Client, name: str) -> None:
    assert await register(client, username=name, email="other@example.com") == (400, TAKEN)
    status, tokens = await post(client, "/auth/jwt/create/", username=name, password=PASSWORD)
    assert (status, list(tokens)) == (200, ["refresh", "access"])


@pytest.mark.parametrize("name", ["mario", "MARIO", "Ｍario"])
async def test_a_name_that_psql_inserted_is_taken(client: Client, database: Any, name: str) -> None:
    database.execute("insert into users (username) values ('Mario')")
    assert await register(client, username=name) == (400, TAKEN)


async def test_the_name_is_kept_as_it_was_typed_in_nfkc(client: Client) -> None:
    assert (await register(client, username="ＷｉｄｅStraße"))[1]["username"] == "WideStraße"
    assert (await post(client, "/auth/jwt/create/", username="WIDESTRASSE", password=PASSWORD))[0] == 200


async def test_many_registrations_of_one_name_at_once_make_one_account(client: Client, database: Any) -> None:
    names = ["élodie", "ÉLODIE", "e\u0301lodie", "Élodie", "ｅ\u0301lodie"] * 10
    answers = await asyncio.gather(*(register(client, username=name) for name in names))
    assert Counter(status for status, _ in answers) == {201: 1, 400: 49}
    assert all(body == TAKEN for status, body in answers if status == 400)
    assert len(database.execute("select * from profiles").fetchall()) == 1


@pytest.mark.parametrize("email", ["anna@example.com", "ANNA@EXAMPLE.COM", "Anna@Example.com"])
async def test_an_address_belongs_to_one_account_whatever_its_case(anna: Person, client: Client, email: str) -> None:
    assert await register(client, username="boris", email=email) == (400, TAKEN_EMAIL)


async def test_many_registrations_of_one_address_at_once_make_one_account(client: Client) -> None:
    names = [f"person{number}" for number in range(20)]
    answers = await asyncio.gather(*(register(client, username=name, email="a@example.com") for name in names))
    assert Counter(status for status, _ in answers) == {201: 1, 400: 19}


async def test_accounts_without_an_address_are_many(client: Client) -> None:
    assert [(await register(client, username=name, email=""))[0] for name in ("anna", "boris")] == [201, 201]


async def test_registration_lowers_the_domain_and_nothing_else(client: Client) -> None:
    assert (await register(client, email="Anna.Lee@EXAMPLE.Com"))[1]["email"] == "Anna.Lee@example.com"


async def test_fields_that_are_not_the_callers_to_set_change_nothing(client: Client, database: Any) -> None:
    given = {"is_staff": True, "is_superuser": True, "is_active": False, "id": 7777, "date_joined": "2001-01-01"}
    status, user = await register(client, **given)
    assert (status, user["id"] == 7777) == (201, False)
    row = database.execute("select is_staff, is_active from users").fetchone()
    assert row == {"is_staff": False, "is_active": True}


async def test_everybody_lists_themselves_and_staff_lists_all(anna: Person, boris: Person, staff: Person) -> None:
    own = {"email": "anna@example.com", "id": anna.id, "username": "anna"}
    assert await anna.get("/auth/users/") == (200, [own])
    status, everybody = await staff.get("/auth/users/")
    assert (status, [user["username"] for user in everybody]) == (200, ["anna", "boris", "sofia"])
    assert everybody[0] == own


async def test_a_deactivated_account_is_in_the_list_of_staff(anna: Person, staff: Person, database: Any) -> None:
    database.execute("update users set is_active = false where id = %s", [anna.id])
    assert anna.id in [user["id"] for user in (await staff.get("/auth/users/"))[1]]


@pytest.mark.parametrize("path", ["/auth/users/me/", "/auth/users/me", "/auth/users/{id}/", "/auth/users/{id}"])
async def test_an_account_is_read_by_its_owner(anna: Person, path: str) -> None:
    own = {"email": "anna@example.com", "id": anna.id, "username": "anna"}
    assert await anna.get(path.format(id=anna.id)) == (200, own)


async def test_staff_read_and_edit_any_account(anna: Person, staff: Person) -> None:
    path = f"/auth/users/{anna.id}/"
    assert await staff.get(path) == (200, {"email": "anna@example.com", "id": anna.id, "username": "anna"})
    edited = {"email": "Anna@NEW.example", "id": anna.id, "username": "anna"}
    assert await staff.patch(path, {"email": "Anna@NEW.example", "username": "other", "id": 1}) == (200, edited)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
async def test_another_account_and_one_that_is_not_there_look_the_same(
    anna: Person, boris: Person, method: str
) -> None:
    for user_id in (boris.id, 999_999_999, 2**63 - 1, 2**63, 10**30, "0" * 5000 + "1"):
        assert await anna.ask(method, f"/auth/users/{user_id}/", data=b"{broken") == HIDDEN, user_id


@pytest.mark.parametrize("name", ["abc", "1a", "-1", "%D9%A3", "me2", "1.json"])
async def test_a_path_that_is_no_id_is_404(anna: Person, name: str) -> None:
    assert await anna.get(f"/auth/users/{name}/") == HIDDEN


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_an_edit_changes_what_is_given(anna: Person, method: str) -> None:
    same = {"email": "anna@example.com", "id": anna.id, "username": "anna"}
    assert await anna.ask(method, "/auth/users/me/", json={"username": "other", "id": 1}) == (200, same)
    assert await anna.ask(method, "/auth/users/me/") == (200, same)
    assert await anna.ask(method, "/auth/users/me/", json={"email": ""}) == (200, same | {"email": ""})
    assert await anna.ask(method, "/auth/users/me/", json={"email": None}) == (400, {"email": NULL})
    assert await anna.ask(method, "/auth/users/me/", json={"email": "x"}) == (400, {"email": [NOT_EMAIL]})


async def test_an_address_of_somebody_else_is_refused_and_ones_own_is_not(anna: Person, boris: Person) -> None:
    assert await anna.patch("/auth/users/me/", {"email": "BORIS@example.com"}) == (400, TAKEN_EMAIL)
    assert (await anna.patch("/auth/users/me/", {"email": "ANNA@example.com"}))[0] == 200


async def test_an_address_that_two_want_at_once_goes_to_one(anna: Person, boris: Person) -> None:
    wanted = {"email": "wanted@example.com"}
    answers = await asyncio.gather(*(person.patch("/auth/users/me/", wanted) for person in (anna, boris)))
    assert sorted(status for status, _ in answers) == [200, 400]
    assert [body for status, body in answers if status == 400] == [TAKEN_EMAIL]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_no_edit_makes_anybody_staff(anna: Person, staff: Person, database: Any, method: str) -> None:
    given = {"is_staff": True, "is_superuser": True, "password": "another one", "username_key": "x", "email_key": "x"}
    for person, path in ((anna, "/auth/users/me/"), (staff, f"/auth/users/{anna.id}/")):
        before = database.execute("select * from users where id = %s", [anna.id]).fetchone()
        assert (await person.ask(method, path, json=given))[0] == 200
        assert database.execute("select * from users where id = %s", [anna.id]).fetchone() == before


async def test_who_is_staff_no_more_is_nobody_at_once(anna: Person, staff: Person, database: Any) -> None:
    database.execute("update users set is_staff = false")
    assert await staff.get(f"/auth/users/{anna.id}/") == HIDDEN
    assert [user["id"] for user in (await staff.get("/auth/users/"))[1]] == [staff.id]


async def test_staff_deactivate_and_activate_by_patch(anna: Person, staff: Person, database: Any) -> None:
    path = f"/auth/users/{anna.id}/"
    for value, stored in ((False, False), ("yes", True)):
        status, user = await staff.patch(path, {"is_active": value})
        assert (status, set(user)) == (200, {"email", "id", "username"})
        assert (
            database.execute("select is_active from users where id = %s", [anna.id]).fetchone()["is_active"] is stored
        )
    assert await staff.patch(path, {"is_active": "maybe"}) == (400, {"is_active": ["Must be a valid boolean."]})
    assert await staff.patch(path, {"is_active": None}) == (400, {"is_active": NULL})


async def test_a_form_of_staff_without_the_flag_deactivates_nobody(anna: Person, staff: Person) -> None:
    for method in ("PUT", "PATCH"):
        assert (await staff.ask(method, f"/auth/users/{anna.id}/", data={"email": "new@example.com"}))[0] == 200
        assert (await anna.get("/auth/users/me/"))[0] == 200
    assert (await staff.ask("PATCH", f"/auth/users/{anna.id}/", data={"is_active": "off"}))[0] == 200
    assert (await anna.get("/auth/users/me/"))[1]["code"] == "user_inactive"


async def test_is_active_from_anybody_else_changes_nothing(anna: Person, staff: Person) -> None:
    for value in (False, "maybe", None):
        assert (await anna.patch("/auth/users/me/", {"is_active": value}))[0] == 200
    assert (await staff.put(f"/auth/users/{anna.id}/", {"is_active": False}))[0] == 200
    assert (await anna.get("/auth/users/me/"))[0] == 200


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
async def test_deleting_asks_for_the_password(anna: Person, given: dict[str, Any], faults: list[str]) -> None:
    for path in ("/auth/users/me/", f"/auth/users/{anna.id}/"):
        assert await anna.delete(path, given) == (400, {"current_password": faults})
    assert (await anna.get("/auth/users/me/"))[0] == 200


async def test_a_deleted_account_leaves_nothing(anna: Person, boris: Person, database: Any) -> None:
    assert await anna.delete("/auth/users/me/", {"current_password": PASSWORD}) == (204, None)
    assert await anna.get("/auth/users/me/") == (401, {"detail": "User not found", "code": "user_not_found"})
    for table in ("users", "profiles", "sessions"):
        assert len(database.execute(f"select * from {table}").fetchall()) == 1, table


async def test_staff_delete_another_account_with_their_own_password(client: Client, staff: Person) -> None:
    _, user = await register(client, password="a phrase of annas own")
    path = f"/auth/users/{user['id']}/"
    wrong = 400, {"current_password": ["Invalid password."]}
    assert await staff.delete(path, {"current_password": "a phrase of annas own"}) == wrong
    assert await staff.delete(path, data={"current_password": PASSWORD}) == (204, None)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
async def test_an_account_that_is_not_there_is_404_to_staff_before_the_body_is_read(staff: Person, method: str) -> None:
    answer = (404, None) if method == "HEAD" else HIDDEN
    assert await staff.ask(method, "/auth/users/999999999/", data=None if method == "HEAD" else b"{broken") == answer


class TestWithSharedAddresses:
    """UNIQUE_EMAIL=false."""

    @pytest.fixture
    def settings(self, settings: Settings, database_url: str) -> Any:
        migrate.migrate(database_url, unique_email=False)
        yield replace(settings, unique_email=False)
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("delete from users")
        migrate.migrate(database_url)

    async def test_accounts_may_share_an_address(self, anna: Person, client: Client) -> None:
        assert (await register(client, username="boris", email="anna@example.com"))[0] == 201
