"""Staff see the state of accounts; all other answers are those of the contract (contract 2.3)."""

import pytest

from tests.conftest import Client, Letters, Person, in_mode, post
from tests.links import register
from tests.rows import Connection, only_row

ME = "/auth/users/me/"
CONTRACT = {"email", "id", "username"}
STATE = {
    *("is_active", "is_staff", "awaits_activation", "pending_email"),
    *("date_joined", "last_login", "sessions"),
}


async def test_staff_see_the_state_of_an_account(anna: Person, staff: Person, database: Connection) -> None:
    await anna.sign_in()
    _, user = await staff.get(f"/auth/users/{anna.id}/")
    signed_in = only_row(
        database, "select max(happened_at) as at from events where kind = 'signed_in' and user_id = %s", anna.id
    )
    assert user["last_login"] == signed_in["at"].strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    assert user["date_joined"] == (await anna.profile())["date_joined"]
    assert {name: user[name] for name in user.keys() & STATE - {"date_joined", "last_login"}} == {
        "is_active": True,
        "is_staff": False,
        "awaits_activation": False,
        "pending_email": None,
        "sessions": 2,
    }


async def test_the_list_has_the_state_that_a_single_account_has(anna: Person, staff: Person) -> None:
    _, listed = await staff.get("/auth/users/")
    for user in listed:
        assert set(user) == CONTRACT | STATE
        assert await staff.get(f"/auth/users/{user['id']}/") == (200, user)


async def test_an_account_without_profile_sign_in_and_session_has_null_and_0(
    staff: Person, database: Connection
) -> None:
    row = only_row(database, "insert into users (username) values ('boris') returning id")
    database.execute("insert into sessions (user_id, expires_at) values (%s, now())", [row["id"]])
    database.execute("delete from profiles where user_id = %s", [row["id"]])
    _, user = await staff.get(f"/auth/users/{row['id']}/")
    assert (user["date_joined"], user["last_login"], user["sessions"]) == (None, None, 0)


async def test_no_more_than_1000_sessions_are_counted(anna: Person, staff: Person, database: Connection) -> None:
    database.execute(
        "insert into sessions (user_id, expires_at) select %s, now() + interval '1 day' from generate_series(1, 1001)",
        [anna.id],
    )
    assert (await staff.get(f"/auth/users/{anna.id}/"))[1]["sessions"] == 1000


async def test_people_see_what_the_contract_has_and_nothing_else(anna: Person, boris: Person) -> None:
    for method, path in (("GET", ME), ("PATCH", ME), ("PUT", ME), ("GET", f"/auth/users/{anna.id}/")):
        status, user = await anna.ask(method, path)
        assert (status, set(user)) == (200, CONTRACT)
    assert (await anna.patch(f"/auth/users/{anna.id}/", {"is_active": True}))[1].keys() == CONTRACT
    assert set((await anna.get("/auth/users/"))[1][0]) == CONTRACT


@in_mode("default", hide_users=False)
async def test_people_who_see_all_accounts_see_no_state(anna: Person, boris: Person) -> None:
    for query in ("", "?search=boris", "?ordering=-id", "?is_staff=false&is_active=false&awaits_activation=true"):
        status, listed = await anna.get(f"/auth/users/{query}")
        assert (status, [set(user) for user in listed]) == (200, [CONTRACT] * len(listed))
        assert "boris" in [user["username"] for user in listed]


async def test_the_own_account_of_staff_at_me_is_that_of_the_contract(staff: Person) -> None:
    for method, given in (("GET", None), ("PUT", {}), ("PATCH", {}), ("PATCH", {"email": "sofia@example.com"})):
        assert set((await staff.ask(method, ME, json=given))[1]) == CONTRACT
    assert set((await staff.get(f"/auth/users/{staff.id}/"))[1]) == CONTRACT | STATE


async def test_registration_answers_with_the_object_of_the_contract(client: Client) -> None:
    assert set((await post(client, "/auth/users/", username="anna", password="correct horse battery"))[1]) == CONTRACT


@pytest.mark.parametrize("path", [ME, "/auth/users/{id}/"])
async def test_a_patch_answers_the_flag_that_it_set(staff: Person, anna: Person, path: str) -> None:
    path = path.format(id=anna.id)
    for flag in (True, False):
        assert (await staff.patch(path, {"is_active": flag}))[1]["is_active"] is flag


@in_mode("activation")
async def test_a_patch_answers_the_address_that_waits(client: Client, database: Connection) -> None:
    await register(client)
    database.execute("update users set is_active = true")
    database.execute("insert into users (username, is_staff) values ('sofia', true)")
    anna = only_row(database, "select id from users where username = 'anna'")["id"]
    database.execute("update users set is_staff = true where id = %s", [anna])
    _, tokens = await post(client, "/auth/jwt/create/", username="anna", password="correct horse battery")
    staff = Person(client, "anna", anna, tokens)
    _, user = await staff.patch(f"/auth/users/{anna}/", {"email": "new@example.com"})
    assert (user["email"], user["pending_email"]) == ("anna@example.com", "new@example.com")


@in_mode("activation")
async def test_an_account_that_waits_for_its_letter_is_seen_to_wait(
    client: Client, letters: Letters, database: Connection
) -> None:
    await register(client)
    database.execute("insert into users (username, password, is_staff) select 'sofia', password, true from users")
    _, tokens = await post(client, "/auth/jwt/create/", username="sofia", password="correct horse battery")
    _, (anna, sofia) = await Person(client, "sofia", 0, tokens).get("/auth/users/")
    assert (anna["is_active"], anna["awaits_activation"], sofia["awaits_activation"]) == (False, True, False)
