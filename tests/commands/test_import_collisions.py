"""import-users: ids, names and addresses that accounts here have already."""

from pathlib import Path
from typing import Any

import asyncpg
import pytest

from server.database.database import Database
from server.transfer import taking
from server.transfer.rows import Row
from tests.commands.conftest import Run
from tests.commands.test_import_users import said, write
from tests.rows import Connection, count, only_row

pytestmark = pytest.mark.slow


def expired(database: Connection, user_id: int, username: str, email: str = "") -> None:
    """Make an account that was never activated, and whose link has expired."""
    database.execute(
        "insert into users (id, username, email, is_active, awaits_activation) values (%s, %s, %s, false, true)",
        [user_id, username, email],
    )
    database.execute("insert into one_time_tokens values (%s, 'activation', 'x', now())", [user_id])


def test_the_first_account_after_an_import_of_id_1_has_another_id(
    run: Run, database: Connection, tmp_path: Path
) -> None:
    for sequence in ("users_id_seq", "profiles_id_seq"):
        database.execute(f"alter sequence {sequence} restart with 1")
    file = write(tmp_path / "users.jsonl", {"id": 1, "username": "anna", "profile": {"id": 1}})
    assert said(run, "import-users", file)[0] == 0
    assert only_row(database, "insert into users (username) values ('boris') returning id") == {"id": 2}
    assert only_row(database, "select id from profiles where user_id = 2")["id"] > 1


def test_a_sequence_that_has_given_the_highest_id_stays_as_it_is(
    run: Run, database: Connection, tmp_path: Path
) -> None:
    made = only_row(database, "insert into users (username) values ('boris') returning id")["id"]
    assert said(run, "import-users", write(tmp_path / "users.jsonl", {"id": made, "username": "boris"}))[0] == 0
    assert only_row(database, "insert into users (username) values ('clara') returning id")["id"] == made + 1


def test_an_imported_account_whose_link_has_expired_is_there_already(
    run: Run, database: Connection, tmp_path: Path
) -> None:
    expired(database, 7, "anna", "anna@example.com")
    row: dict[str, Any] = {"id": 7, "username": "anna", "email": "other@example.com"}
    assert said(run, "import-users", write(tmp_path / "users.jsonl", row)) == (
        *(0, ["Taken: 0. There already: 1. Not taken: 0."]),
    )
    assert only_row(database, "select email from users where id = 7") == {"email": "anna@example.com"}


def test_another_account_that_has_expired_gives_way_with_its_name_and_not_with_its_id(
    run: Run, database: Connection, tmp_path: Path
) -> None:
    expired(database, 7, "stranger")
    expired(database, 8, "anna")
    expired(database, 9, "else", "boris@example.com")
    rows: list[dict[str, Any]] = [
        {"id": 5, "username": "ANNA"},
        {"id": 6, "username": "boris", "email": "boris@example.com"},
        {"id": 7, "username": "clara"},
    ]
    status, lines = said(run, "import-users", write(tmp_path / "users.jsonl", *rows))
    assert status == 1
    assert lines[0].endswith(" (id 7, name clara): id: is that of account 7")
    assert lines[1:] == ["Taken: 2. There already: 0. Not taken: 1."]
    found = database.execute("select id, username from users order by id").fetchall()
    assert [tuple(row.values()) for row in found] == [(5, "ANNA"), (6, "boris"), (7, "stranger")]


@pytest.mark.parametrize("names", [["anna", "boris"], ["anna", "nul\0"]])
async def test_a_page_leaves_no_savepoint(database: Connection, database_url: str, names: list[str]) -> None:
    # PostgreSQL keeps memory for each one until the end of the transaction, and a dry run is one transaction.
    accounts: list[dict[str, Any]] = [
        {
            **{"place": place, "id": None, "username": name, "email": "", "password": "!", "language": "en"},
            **{"is_active": True, "is_staff": False, "awaits_activation": False, "adopts_tokens": False},
        }
        for place, name in enumerate(names, 1)
    ]
    rows = {account["place"]: Row(account["place"]) for account in accounts}
    db = await Database.connect(database_url)
    try:
        async with db.transaction() as transaction:
            outcome = await taking.take(transaction, taking.Page(rows, accounts), command="test")
            assert outcome.taken == len([name for name in names if name.isprintable()])
            with pytest.raises(asyncpg.InvalidSavepointSpecificationError):
                await transaction.row("imports/undo_row")
    finally:
        await db.close()
    assert count(database, "users") == 0


def test_a_row_with_a_fault_is_told_also_whose_name_it_has(run: Run, database: Connection, tmp_path: Path) -> None:
    database.execute("insert into users (id, username, email) values (1, 'anna', 'anna@example.com')")
    rows: list[dict[str, Any]] = [
        {"id": 1, "username": "ANNA", "is_staff": 7},
        {"id": 2, "username": "boris", "email": "anna@example.com", "language": "x y"},
        {"username": "b b", "email": "anna@example.com"},
        {"id": 3, "username": "clara", "is_staff": 7},
        {"id": 4, "username": "clara"},
        {"id": 4, "username": "dora", "role": "none"},
    ]
    assert said(run, "import-users", write(tmp_path / "users.jsonl", *rows)) == (
        1,
        [
            "Line 1 (id 1, name ANNA): is_staff: Must be a valid boolean.",
            "Line 2 (id 2, name boris): language: is not the code of a language; email: is that of account 1",
            "Line 3 (name b b): username: Enter a valid username. This value may contain only letters, numbers, and"
            " @/./+/-/_ characters.; email: is that of account 1",
            "Line 4 (id 3, name clara): is_staff: Must be a valid boolean.; username: is that of account 4",
            "Line 6 (id 4, name dora): role: the site has no such role; id: is that of account 4",
            "Taken: 1. There already: 0. Not taken: 5.",
        ],
    )


def test_a_refused_name_is_not_taken_for_none_where_addresses_are_shared(
    run: Run, shared_addresses: None, database: Connection, tmp_path: Path
) -> None:
    database.execute("insert into users (id, username, email) values (1, 'anna', 'x@example.com')")
    file = write(tmp_path / "users.jsonl", {"username": "b b", "email": "x@example.com"})
    status, lines = said(run, "import-users", file, UNIQUE_EMAIL="false")
    assert (status, "is that of account" in lines[0]) == (1, False)
