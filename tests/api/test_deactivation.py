"""Deactivation and activation by staff (contract 12)."""

from tests.conftest import Connection, Person, only_row

NULL = ["This field may not be null."]


async def test_staff_deactivate_and_activate_an_account_by_patch(
    anna: Person, staff: Person, database: Connection
) -> None:
    path = f"/auth/users/{anna.id}/"
    for value, stored in ((False, False), ("yes", True)):
        status, user = await staff.patch(path, {"is_active": value})
        assert (status, set(user)) == (200, {"email", "id", "username"})
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
