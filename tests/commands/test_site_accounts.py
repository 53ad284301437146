"""The commands on accounts of a site with a site file: addresses in place of usernames, and declared fields."""

from pathlib import Path

import pytest

from tests.commands.conftest import Run
from tests.conftest import PASSWORD
from tests.processes import ROOT
from tests.rows import Connection, count, only_row

pytestmark = pytest.mark.slow

TYPED = PASSWORD + "\n"
NAMES = {"SITE_FILE": str(ROOT / "examples" / "site" / "email-and-names.toml"), "LOGIN_FIELD": "email"}
FIELDS = ("--field", "first_name=Sofia", "--field", "last_name=Costa")


def test_without_usernames_create_admin_takes_the_address(run: Run, database: Connection) -> None:
    made = run("create-admin", "sofia@EXAMPLE.com", *FIELDS, typed=TYPED, **NAMES)
    assert made == (0, "Staff account sofia@example.com made.\n", "")
    assert only_row(database, "select username, email, is_staff, account_fields from users") == {
        "username": None,
        "email": "sofia@example.com",
        "is_staff": True,
        "account_fields": {"first_name": "Sofia", "last_name": "Costa"},
    }
    taken = run("create-admin", "SOFIA@example.com", *FIELDS, typed=TYPED, **NAMES)
    assert taken == (1, "", "An account with that e-mail address exists already.\n")


def test_create_admin_names_every_fault_of_declared_fields(run: Run, database: Connection) -> None:
    required = [f"{name}: This field is required." for name in ("first_name", "last_name")]
    status, out, err = run("create-admin", "sofia", typed=TYPED, **NAMES)
    assert (status, out, sorted(err.splitlines())) == (1, "", ["email: Enter a valid email address.", *required])
    assert count(database, "users") == 0


def test_without_usernames_a_second_address_is_refused(run: Run, database: Connection) -> None:
    status, _, err = run("create-admin", "a@example.com", "--email", "b@example.com", typed=TYPED, **NAMES)
    assert (status, err) == (1, "--email: accounts have no username here, so that NAME is the address already\n")


@pytest.mark.parametrize("text", ["shoe=7", "first_name"])
def test_a_field_that_is_not_declared_is_refused(run: Run, text: str) -> None:
    status, _, err = run("create-admin", "sofia@example.com", "--field", text, typed=TYPED, **NAMES)
    assert (status, err) == (1, f"--field {text}: write NAME=VALUE, with a field that SITE_FILE declares\n")


def test_a_list_is_given_as_json(run: Run, database: Connection, tmp_path: Path) -> None:
    path = str(tmp_path / "site.toml")
    declared = 'type = "object"\nproperties.tags = { type = "array", items = { type = "string" } }'
    Path(path).write_text(f"[account.fields]\n{declared}\n")
    run("create-admin", "Sofia", "--field", 'tags=["a"]', typed=TYPED, SITE_FILE=path)
    assert only_row(database, "select account_fields from users") == {"account_fields": {"tags": ["a"]}}
    refused = run("create-admin", "Boris", "--field", "tags=a", typed=TYPED, SITE_FILE=path)
    assert refused == (1, "", 'tags: Expected a list of items but got type "str".\n')


def test_activate_and_deactivate_take_an_address(run: Run, database: Connection) -> None:
    database.execute("insert into users (username, email) values (null, 'Anna@example.com')")
    assert run("deactivate", "anna@EXAMPLE.com") == (0, "Account anna@EXAMPLE.com is deactivated.\n", "")
    assert only_row(database, "select is_active from users") == {"is_active": False}
    assert run("activate", "anna@example.com")[0] == 0
    assert only_row(database, "select is_active from users") == {"is_active": True}


@pytest.mark.parametrize("login_field", ["username", "email"])
def test_a_username_that_is_the_address_of_another_account_stands_for_neither(
    run: Run, database: Connection, login_field: str
) -> None:
    database.execute("insert into users (username, email) values ('a@example.com', ''), ('anna', 'a@example.com')")
    first, second = (row["id"] for row in database.execute("select id from users order by id").fetchall())
    assert run("deactivate", "a@example.com", LOGIN_FIELD=login_field) == (
        *(1, ""),
        f"a@example.com is the username of account {first}, the address of account {second}:"
        " write id= and the id of the one that is meant.\n",
    )
    assert run("deactivate", f"id={second}")[0] == 0
    rows = database.execute("select username, is_active from users order by id").fetchall()
    assert [tuple(row.values()) for row in rows] == [("a@example.com", True), ("anna", False)]


def test_a_shared_address_names_no_account(run: Run, database: Connection, shared_addresses: None) -> None:
    database.execute("insert into users (username, email) values ('a', 'x@example.com'), ('b', 'x@example.com')")
    status, _, err = run("deactivate", "x@example.com", UNIQUE_EMAIL="false")
    assert status == 1
    assert err.startswith("x@example.com is the address of account ")


def test_the_list_of_letters_names_an_account_without_a_username_by_its_id(run: Run, database: Connection) -> None:
    row = only_row(database, "insert into users (username, email) values (null, 'a@example.com') returning id")
    database.execute("insert into letters (kind, user_id) values ('confirmation', %s)", [row["id"]])
    assert f"confirmation for account {row['id']} at example.com" in run("letters")[1]
