"""The commands that act on one account: set-password, grant-staff, revoke-staff, sign-out, delete, export."""

import io
import json
import logging

import pytest

from tests.commands.conftest import Ran, Run, Terminal
from tests.conftest import PASSWORD, Client, Letters, Person, post
from tests.rows import Connection, count, only_row

pytestmark = pytest.mark.slow

OTHER = "staple gun theory"
MISSING = (1, "", "There is no account named nobody.\n")


def last_event(database: Connection) -> dict[str, object]:
    """The last event: kind, account, actor and command."""
    query = "select kind, user_id, actor_id, command, details from events order by id desc limit 1"
    row = database.execute(query).fetchone()
    assert row is not None
    return row


@pytest.mark.parametrize(
    "arguments",
    [
        *(["user"], ["set-password"], ["grant-staff"], ["revoke-staff"], ["sign-out"], ["export"], ["delete", "--yes"]),
        *(["activate"], ["deactivate"], ["unlock"]),
    ],
)
def test_an_unknown_name_is_told(run: Run, database: Connection, arguments: list[str]) -> None:
    assert run(*arguments, "nobody", typed=OTHER + "\n") == MISSING
    assert count(database, "events") == 0


def test_a_name_of_bytes_that_are_no_text_is_told(run_process: Run, database: Connection) -> None:
    assert run_process("user", "\udcff") == (1, "", "There is no account named \\udcff.\n")


@pytest.mark.parametrize("name", ["ANNA", "ａｎｎａ", "Anna@EXAMPLE.com", "{id}", "00{id}"])
def test_an_account_is_named_by_username_address_or_id(run: Run, database: Connection, name: str) -> None:
    row = only_row(database, "insert into users (username, email) values ('anna', 'anna@example.com') returning id")
    assert run("sign-out", name.format(id=row["id"]))[0] == 0
    assert last_event(database)["user_id"] == row["id"]


def test_a_name_that_means_two_accounts_is_refused_and_an_id_can_be_said(run: Run, database: Connection) -> None:
    # A caller may choose the id of another account as a username.
    anna = only_row(database, "insert into users (username) values ('anna') returning id")["id"]
    other = only_row(database, "insert into users (username) values (%s) returning id", str(anna))["id"]
    assert run("sign-out", str(anna)) == (
        *(1, ""),
        f"{anna} is the id of account {anna}, the username of account {other}:"
        " write id= and the id of the one that is meant.\n",
    )
    assert run("sign-out", f"id={anna}")[0] == 0
    assert last_event(database)["user_id"] == anna
    assert run("sign-out", "id=anna") == (1, "", "There is no account named id=anna.\n")


async def test_set_password_ends_sessions_and_token_and_tells_the_account(
    run_process: Run, anna: Person, database: Connection, letters: Letters
) -> None:
    await letters()
    _, token = await post(anna.client, "/auth/token/login/", username="anna", password=PASSWORD)
    assert run_process("set-password", "anna", typed=OTHER + "\n") == (
        *(0, "Account anna has another password. Its sessions have ended.\n", ""),
    )
    assert (await anna.get("/auth/users/me/"))[0] == 401
    header = {"Authorization": f"Token {token['auth_token']}"}
    assert (await anna.client.get("/auth/users/me/", headers=header)).status == 401
    for password, status in ((PASSWORD, 401), (OTHER, 200)):
        assert (await post(anna.client, "/auth/jwt/create/", username="anna", password=password))[0] == status
    assert [letter.to for letter in await letters()] == ["anna@example.com"]
    changed = only_row(database, "select user_id, actor_id, command from events where kind = 'password_changed'")
    assert changed == {"user_id": anna.id, "actor_id": None, "command": "set-password"}


@pytest.mark.parametrize(
    ("typed", "fault"),
    [
        ("", "This field may not be blank."),
        ("1234567", "This password is too short. It must contain at least 8 characters."),
        ("anna.kowalska", "The password is too similar to the username."),
        ("kowalska@example.com", "The password is too similar to the email address."),
        ("x" * 4097, "Ensure this field has no more than 4096 bytes."),
        ("a\0bcdefghij", "Null characters are not allowed."),
    ],
)
def test_set_password_refuses_what_registration_refuses(run: Run, database: Connection, typed: str, fault: str) -> None:
    database.execute("insert into users (username, email) values ('anna.kowalska', 'a.kowalska@example.com')")
    status, said, faults = run("set-password", "anna.kowalska", typed=typed + "\n")
    assert (status, said, faults.splitlines()[0]) == (1, "", f"password: {fault}")
    assert only_row(database, "select password from users") == {"password": "!"}


async def test_staff_rights_are_granted_and_revoked_at_once(
    run_process: Run, anna: Person, boris: Person, staff: Person, database: Connection
) -> None:
    path = f"/auth/users/{boris.id}/"
    assert (await anna.get(path))[0] == 404
    assert run_process("grant-staff", "anna") == (0, "Account anna is staff.\n", "")
    assert last_event(database) == {
        **{"kind": "staff_granted", "user_id": anna.id, "actor_id": None},
        **{"command": "grant-staff", "details": None},
    }
    assert (await anna.get(path))[0] == 200
    assert run_process("revoke-staff", "anna") == (0, "Account anna is no longer staff.\n", "")
    assert last_event(database)["kind"] == "staff_revoked"
    assert (await anna.get(path))[0] == 404
    assert (await anna.get("/auth/users/me/"))[0] == 200


def test_a_right_that_is_there_already_is_no_event(run: Run, database: Connection) -> None:
    database.execute("insert into users (username, is_staff) values ('anna', true), ('boris', false)")
    assert run("grant-staff", "anna") == (0, "Account anna is already staff.\n", "")
    assert run("revoke-staff", "boris") == (0, "Account boris is not staff.\n", "")
    assert count(database, "events") == 0


LAST = ["deactivate"], ["revoke-staff"], ["delete", "--yes"]


@pytest.mark.parametrize("command", LAST)
def test_the_last_staff_account_is_not_lost_without_a_word(run: Run, database: Connection, command: list[str]) -> None:
    database.execute(
        "insert into users (username, is_staff, is_active)"
        " values ('sofia', true, true), ('old', true, false), ('anna', false, true)"
    )
    status, said, told = run(*command, "sofia")
    assert (status, said) == (1, "")
    assert told.startswith("sofia is the last active staff account")
    assert count(database, "events") == 0
    assert only_row(database, "select is_staff, is_active from users where username = 'sofia'") == {
        "is_staff": True,
        "is_active": True,
    }
    assert run(*command, "anna")[0] == 0  # others are not the last
    assert run(*command, "old")[0] == 0
    assert run(*command, "sofia", "--last")[0] == 0


@pytest.mark.parametrize("command", LAST)
def test_one_of_two_staff_accounts_may_go(run: Run, database: Connection, command: list[str]) -> None:
    database.execute("insert into users (username, is_staff) values ('sofia', true), ('tess', true)")
    assert run(*command, "sofia")[0] == 0
    assert run(*command, "tess")[0] == 1


async def test_the_service_warns_when_no_staff_account_is_left(
    staff: Person, anna: Person, database: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    database.execute("update users set is_staff = true where id = %s", [anna.id])
    warning = "no active staff account is left: make one with the command create-admin or grant-staff"
    assert (await anna.patch("/auth/users/me/", {"is_active": False}))[0] == 200
    assert warning not in caplog.messages
    assert (await staff.delete("/auth/users/me/", {"current_password": PASSWORD}))[0] == 204
    assert [each.levelno for each in caplog.records if each.getMessage() == warning] == [logging.WARNING]


async def test_sign_out_ends_every_session_and_the_api_token(
    run_process: Run, anna: Person, boris: Person, database: Connection
) -> None:
    other = await anna.sign_in()
    _, token = await post(anna.client, "/auth/token/login/", username="anna", password=PASSWORD)
    assert run_process("sign-out", "anna") == (0, "Account anna is signed out. Sessions ended: 2.\n", "")
    for person in (anna, other):
        assert (await person.get("/auth/users/me/"))[1]["code"] == "token_not_valid"
    header = {"Authorization": f"Token {token['auth_token']}"}
    assert (await anna.client.get("/auth/users/me/", headers=header)).status == 401
    assert (await boris.get("/auth/users/me/"))[0] == 200
    assert last_event(database) == {
        **{"kind": "session_ended", "user_id": anna.id, "actor_id": None, "command": "sign-out"},
        "details": {"sessions": 2},
    }
    assert (await anna.sign_in()).tokens


async def test_delete_removes_an_account_and_what_belongs_to_it(
    run_process: Run, anna: Person, database: Connection
) -> None:
    assert run_process("delete", "anna", "--yes") == (0, "Account anna is deleted.\n", "")
    assert [count(database, table) for table in ("users", "profiles", "sessions")] == [0, 0, 0]
    assert (await anna.get("/auth/users/me/"))[1]["code"] == "user_not_found"
    assert last_event(database)["command"] == "delete"


@pytest.mark.parametrize(
    ("stdin", "status", "left"),
    [(io.StringIO("anna\n"), 1, 1), (Terminal("boris\n"), 1, 1), (Terminal(""), 1, 1), (Terminal("anna\n"), 0, 0)],
    ids=["no terminal", "another name", "nothing", "the name"],
)
def test_delete_asks_for_the_name_again(
    run: Run, database: Connection, stdin: io.StringIO, status: int, left: int
) -> None:
    database.execute("insert into users (username) values ('anna')")
    ran: Ran = run("delete", "anna", stdin=stdin)
    assert (ran[0], count(database, "users")) == (status, left)


async def test_export_has_all_that_is_stored_and_no_secret(
    run_process: Run, anna: Person, staff: Person, database: Connection, client: Client
) -> None:
    database.execute("update users set account_fields = '{\"phone\": \"1\"}', pending_email = 'n@x.example'")
    await anna.patch(f"/api/accounts/profile/{(await anna.profile())['id']}", {"location": "Lisbon"})
    await staff.patch(f"/auth/users/{anna.id}/", {"is_active": True})
    status, said, told = run_process("export", "anna")
    assert (status, told) == (0, "")
    found = json.loads(said)
    assert found["username"] == "anna"
    assert found["pending_email"] == "n@x.example"
    assert found["account_fields"] == {"phone": "1"}
    assert found["profile"]["location"] == "Lisbon"
    assert len(found["sessions"]) == 1
    assert {event["kind"] for event in found["events"]} == {"registered", "signed_in", "activated", "exported"}
    (of_staff,) = (event for event in found["events"] if event["actor_id"] == staff.id)
    assert (of_staff["address"], of_staff["device"]) == (None, "")
    assert "bcrypt" not in said
    assert last_event(database)["kind"] == "exported"
    # What a migration adds about an account must be exported, too, or named here with the reason.
    columns = {
        row["name"]
        for row in database.execute(
            "select column_name as name from information_schema.columns"
            " where table_name = 'users' and table_schema = 'public'"
        ).fetchall()
    }
    assert columns - set(found) == {"password", "username_key", "email_key"}  # a secret, and keys of what is there


def test_export_has_every_event(run: Run, database: Connection) -> None:
    row = only_row(database, "insert into users (username) values ('anna') returning id")
    database.execute(
        "insert into events (kind, user_id) select 'signed_in', %s from generate_series(1, 2001)", [row["id"]]
    )
    assert len(json.loads(run("export", "anna")[1])["events"]) == 2002  # the export itself is one
