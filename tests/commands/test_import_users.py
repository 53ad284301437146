"""import-users and export-users: accounts from a file, and into one."""

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from server.auth import argon2_hashes
from server.transfer import files, importing, progress, taking
from tests.auth.test_foreign_hashes import ARGON2, MD5, PBKDF2
from tests.commands.conftest import Run
from tests.commands.test_account_commands import last_event
from tests.conftest import Client, Letters, post
from tests.rows import Connection, count, only_row
from tests.shell_blocks import block

pytestmark = pytest.mark.slow

SITE = """
[account]
[account.fields]
type = "object"
required = ["name"]
properties.name = { type = "string", maxLength = 20 }
properties.age = { type = "integer", minimum = 0 }
properties.tags = { type = "array", items = { type = "string" } }
[roles.teacher]
title = "Teacher"
[roles.teacher.fields]
type = "object"
required = ["school"]
properties.school = { type = "string" }
"""


def write(path: Path, *rows: dict[str, Any]) -> str:
    """Write rows as JSON lines, or as CSV with the columns of the first one."""
    if path.suffix == ".csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, [*rows[0]])
            writer.writeheader()
            writer.writerows(rows)
    else:
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(path)


def said(run: Run, *arguments: str, **settings: str) -> tuple[int, list[str]]:
    """The exit status and the lines of the report."""
    status, out, _ = run(*arguments, **settings)
    return status, out.splitlines()


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
async def test_an_account_of_a_file_signs_in_with_its_old_password(
    run_process: Run, database: Connection, client: Client, tmp_path: Path, suffix: str
) -> None:
    row = {"id": 7, "username": "anna", "email": "Anna@Example.COM", "password_hash": PBKDF2, "is_staff": "yes"}
    file = write(tmp_path / f"users.{suffix}", row)
    assert run_process("import-users", file)[:2] == (0, "Taken: 1. There already: 0. Not taken: 0.\n")
    assert last_event(database) | {"details": None} == {
        **{"kind": "imported", "user_id": 7, "actor_id": None, "command": "import-users", "details": None}
    }
    account = only_row(database, "select id, email, is_staff, is_active, adopts_tokens from users")
    assert account == {
        **{"id": 7, "email": "Anna@example.com", "is_staff": True, "is_active": True, "adopts_tokens": False}
    }
    assert (await post(client, "/auth/jwt/create/", username="anna", password="correct horse"))[0] == 200


def test_a_new_account_has_an_id_above_those_that_were_imported(run: Run, database: Connection, tmp_path: Path) -> None:
    highest = only_row(database, "select last_value from users_id_seq")["last_value"] + 1000
    rows: list[Any] = [{"id": highest, "username": "anna", "profile": {"id": highest + 5}}, {"username": "boris"}]
    assert said(run, "import-users", write(tmp_path / "users.jsonl", *rows))[0] == 0
    found = database.execute("select u.id, p.id as profile from users u join profiles p on p.user_id = u.id").fetchall()
    assert {"id": highest, "profile": highest + 5} in found
    assert all(row["id"] >= highest and row["profile"] > highest for row in found)
    made = only_row(database, "insert into users (username) values ('clara') returning id")["id"]
    assert made > highest + 1


def test_a_second_run_leaves_everything_as_it_is(run: Run, database: Connection, tmp_path: Path) -> None:
    rows: list[Any] = [
        {"id": 7, "username": "anna", "password_hash": PBKDF2},
        {"username": "boris", "email": "b@example.com"},
    ]
    file = write(tmp_path / "users.jsonl", *rows)
    assert said(run, "import-users", file) == (0, ["Taken: 2. There already: 0. Not taken: 0."])
    database.execute("update users set password = 'another', email = 'new@example.com' where id = 7")
    assert said(run, "import-users", file) == (0, ["Taken: 0. There already: 2. Not taken: 0."])
    assert only_row(database, "select password from users where id = 7")["password"] == "another"
    assert count(database, "users") == 2


def test_every_row_that_is_not_taken_is_reported_with_its_reasons(
    run: Run, database: Connection, tmp_path: Path
) -> None:
    database.execute("insert into users (id, username, email) values (1, 'Anna', 'anna@example.com')")
    rows: list[Any] = [
        {"id": 2, "username": "ＡＮＮＡ", "email": "other@example.com"},
        {"id": 3, "username": "boris", "email": "ANNA@example.com"},
        {"id": 4, "username": "clara"},
        {"id": 5, "username": "CLARA"},
        {"id": 1, "username": "dora"},
        {"id": 4, "username": "dora"},
        {"id": 8, "username": "e e", "email": "nowhere", "password_hash": "x$y$z", "is_active": "perhaps"},
        {"id": 0, "username": "zero", "date_joined": "yesterday", "language": "x y"},
        {"id": 2**53, "username": "big", "role": "teacher"},
        {"username": ""},
        {"username": "nul\0"},
        {"username": "fine", "profile": {"location": "x" * 31, "id": "y"}},
        {"username": "more", "profile": {"description": "U+0000: \0"}},
        {"username": "argon", "password_hash": ARGON2.replace("m=102400", "m=4194304")},
    ]
    file = write(tmp_path / "users.jsonl", *rows)
    with Path(file).open("a") as more:
        more.write('["no object"]\n{broken\n\n{"username": "x", "is_superuser": true}\n')
    status, lines = said(run, "import-users", file)
    assert status == 1
    assert lines == [
        "Line 1 (id 2, name ＡＮＮＡ): username: is that of account 1",
        "Line 2 (id 3, name boris): email: is that of account 1",
        "Line 4 (id 5, name CLARA): username: is that of account 4",
        "Line 5 (id 1, name dora): id: is that of account 1",
        "Line 6 (id 4, name dora): id: is that of account 4",
        "Line 7 (id 8, name e e): username: Enter a valid username. This value may contain only letters, numbers, and"
        " @/./+/-/_ characters.; email: Enter a valid email address.; password_hash: of no format that can be checked,"
        " or too costly; is_active: Must be a valid boolean.",
        "Line 8 (id 0, name zero): id: is not a whole number from 1 to 9007199254740991; language: is not the code of"
        " a language; date_joined: is not a time such as 2026-11-23T15:12:37Z",
        "Line 9 (id 9007199254740992, name big): id: is not a whole number from 1 to 9007199254740991; role: the site"
        " has no such role",
        "Line 10: username: This field is required.",
        "Line 11 (name nul\\x00): username: Enter a valid username. This value may contain only letters, numbers, and"
        " @/./+/-/_ characters.; username: Null characters are not allowed.",
        "Line 12 (name fine): profile.id: is not a whole number from 1 to 9007199254740991; profile.location: Ensure"
        " this field has no more than 30 characters.",
        "Line 13 (name more): profile.description: Null characters are not allowed.",
        "Line 14 (name argon): password_hash: of no format that can be checked, or too costly",
        "Line 15: is not an object with the objects fields and profile",
        "Line 16: is not JSON",
        "Line 18: has members that an account does not have: is_superuser",
        "Taken: 1. There already: 0. Not taken: 16.",
    ]
    assert [row["username"] for row in database.execute("select username from users order by id").fetchall()] == [
        *("Anna", "clara")
    ]


def test_an_account_that_was_never_activated_and_has_expired_makes_way(
    run: Run, database: Connection, tmp_path: Path
) -> None:
    database.execute("insert into users (username, is_active, awaits_activation) values ('anna', false, true)")
    database.execute("insert into one_time_tokens select id, 'activation', 'x', now() from users")
    assert said(run, "import-users", write(tmp_path / "users.jsonl", {"id": 7, "username": "ANNA"}))[0] == 0
    assert only_row(database, "select username from users")["username"] == "ANNA"


def test_what_signs_in_one_account_cannot_be_anothers(run: Run, database: Connection, tmp_path: Path) -> None:
    rows = [
        {"username": "boss@corp.example", "email": "first@corp.example"},
        {"username": "second", "email": "Boss@corp.example"},
        {"username": "third", "email": "third@corp.example"},
    ]
    file = write(tmp_path / "users.jsonl", *rows)
    try:
        status, lines = said(run, "import-users", file, LOGIN_FIELD="either")
    finally:
        run("migrate")  # the next test has no keys
    first = only_row(database, "select id from users where username = 'boss@corp.example'")["id"]
    assert (status, lines) == (
        1,
        [
            f"Line 2 (name second): email: is that of account {first}",
            "Taken: 2. There already: 0. Not taken: 1.",
        ],
    )


def test_a_dry_run_reports_the_same_and_changes_nothing(run: Run, database: Connection, tmp_path: Path) -> None:
    file = write(tmp_path / "users.jsonl", {"username": "anna"}, {"username": "ANNA", "email": "x@example.com"})
    before = only_row(database, "select last_value from users_id_seq")
    status, (reason, totals) = said(run, "import-users", file, "--dry-run")
    assert (status, totals) == (1, "Would be taken: 1. There already: 0. Not taken: 1.")
    assert reason.startswith("Line 2 (name ANNA): username: is that of account ")
    assert (count(database, "users"), count(database, "events")) == (0, 0)
    assert before["last_value"] <= only_row(database, "select last_value from users_id_seq")["last_value"]


def test_what_was_taken_before_a_crash_is_there_and_the_next_run_goes_on(
    run: Run, database: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "users.jsonl", *({"username": f"user{number}"} for number in range(5)))
    monkeypatch.setattr(files, "PAGE_ROWS", 2)
    take, pages = taking.take, iter([True, True, False])

    async def crash(*arguments: Any, **named: Any) -> Any:
        taken = await take(*arguments, **named)
        if not next(pages):
            raise KeyboardInterrupt
        return taken

    with monkeypatch.context() as patch:
        patch.setattr(importing, "take", crash)
        with pytest.raises(KeyboardInterrupt):
            run("import-users", file)
    assert count(database, "users") == 4
    assert said(run, "import-users", file) == (0, ["Taken: 1. There already: 4. Not taken: 0."])


def test_account_fields_and_roles_are_those_of_the_site_file(run: Run, database: Connection, tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text(SITE)
    rows = [
        {
            "username": "anna",
            "name": "Anna",
            "fields.age": "41",
            "fields.tags": '["a", "b"]',
            "role": "",
            "role_fields": "",
        },
        {"username": "boris", "name": "", "fields.age": "-1", "fields.tags": "no", "role": "", "role_fields": ""},
        {
            **{"username": "tess", "name": "Tess", "fields.age": "", "fields.tags": "", "role": "teacher"},
            "role_fields": '{"school": "Lyceum"}',
        },
        {"username": "tom", "name": "T", "fields.age": "", "fields.tags": "", "role": "teacher", "role_fields": "{}"},
    ]
    status, lines = said(
        run, "import-users", write(tmp_path / "users.csv", *rows), SITE_FILE=str(tmp_path / "site.toml")
    )
    assert (status, lines[:2]) == (
        1,
        [
            "Line 3 (name boris): name: This field is required.; age: Ensure this value is greater than or equal"
            ' to 0.; tags: Expected a list of items but got type "str".',
            "Line 5 (name tom): role_fields.school: This field is required.",
        ],
    )
    anna = only_row(database, "select account_fields from users where username = 'anna'")
    assert anna == {"account_fields": {"name": "Anna", "age": 41, "tags": ["a", "b"]}}
    tess = only_row(database, "select role, fields from role_fields")
    assert tess == {"role": "teacher", "fields": {"school": "Lyceum"}}


def test_a_text_that_the_database_does_not_store_leaves_out_its_row_alone(
    run: Run, database: Connection, tmp_path: Path
) -> None:
    (tmp_path / "site.toml").write_text(SITE)
    rows: list[Any] = [
        {"username": "anna", "fields": {"name": "A"}},
        {"username": "tess", "fields": {"name": "T"}, "role": "teacher", "role_fields": {"school": "\0"}},
        {"username": "tom", "fields": {"name": "T"}, "role": "teacher", "role_fields": {"school": "x" * 17000}},
        {"username": "zoe", "fields": {"name": "Z"}, "role": "none", "is_staff": 7},
        {"username": "zac", "fields": {"name": "Z" * 21, "tags": ["x" * 100] * 200}, "role_fields": {"a": 1}},
    ]
    file = write(tmp_path / "users.jsonl", *rows)
    assert said(run, "import-users", file, SITE_FILE=str(tmp_path / "site.toml")) == (
        1,
        [
            "Line 2 (name tess): has something that PostgreSQL does not store, such as U+0000",
            "Line 3 (name tom): role_fields: Ensure this field has no more than 16384 bytes.",
            "Line 4 (name zoe): is_staff: Must be a valid boolean.; role: the site has no such role",
            "Line 5 (name zac): role_fields: are an object, of an account that has a role; name: Ensure this field has"
            " no more than 20 characters.; tags: Ensure this field has no more than 16384 bytes.",
            "Taken: 1. There already: 0. Not taken: 4.",
        ],
    )


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_what_is_exported_imports_again(run: Run, database: Connection, tmp_path: Path, suffix: str) -> None:
    (tmp_path / "site.toml").write_text(SITE)
    site = {"SITE_FILE": str(tmp_path / "site.toml")}
    rows = [
        {
            **{"id": 7, "username": "anna", "email": "anna@example.com", "password_hash": MD5, "is_staff": True},
            **{"is_active": True, "awaits_activation": False, "language": "de", "role": "teacher"},
            "role_fields": {"school": 'Lyceum, "old"'},
            **{"date_joined": "2019-05-04T03:02:01.000005+00:00", "last_login": "2020-05-04T03:02:01+00:00"},
            "fields": {"name": "Ännä\n2", "age": 41, "tags": ["a"]},
            "profile": {
                **{"id": 9, "description": "=1+1", "location": "Lisbon", "is_creator": True},
                **{"date_joined": "2019-05-05T03:02:01+00:00", "updated_on": "2019-05-06T03:02:01+00:00"},
            },
        },
        {"id": 8, "username": "boris", "is_active": False, "awaits_activation": True, "fields": {"name": "B"}},
    ]
    assert run("import-users", write(tmp_path / "users.jsonl", *rows), **site)[0] == 0
    out = tmp_path / f"out.{suffix}"
    assert said(run, "export-users", str(out), "--with-hashes", **site) == (0, [f"{out} has 2 accounts."])
    assert out.stat().st_mode & 0o777 == 0o600
    details = last_event(database)
    assert (details["kind"], details["details"]) == ("exported", {"accounts": 2, "with_hashes": True})
    query = (
        "select u.id, username, email, password, is_staff, is_active, awaits_activation, language, u.role,"
        " account_fields, p.id as profile, description, location, is_creator, updated_on, u.date_joined, u.last_login,"
        " p.date_joined as profile_joined, fields"
        " from users u join profiles p on p.user_id = u.id left join role_fields f on f.user_id = u.id order by u.id"
    )
    before = database.execute(query).fetchall()
    database.execute("delete from users")
    assert said(run, "import-users", str(out), **site) == (0, ["Taken: 2. There already: 0. Not taken: 0."])
    after = database.execute(query).fetchall()
    assert after[0] == before[0]
    # The date of an account that was made here is that of its profile; the import keeps it as the account's own.
    assert after[1] | {"date_joined": None} == before[1]
    if suffix == "jsonl":
        assert json.loads(out.read_text().splitlines()[0]) == rows[0]


def test_an_export_has_hashes_only_when_asked_and_replaces_no_file(
    run: Run, database: Connection, tmp_path: Path
) -> None:
    database.execute("insert into users (username, password) values ('anna', %s)", [PBKDF2])
    out = tmp_path / "out.csv"
    assert run("export-users", str(out))[0] == 0
    assert "pbkdf2" not in out.read_text()
    assert "password_hash" not in out.read_text()
    assert run("export-users", str(out))[::2] == (2, f"{out} cannot be made: File exists.\n")
    assert run("export-users", str(tmp_path / "out.txt"))[0] == 2


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("users.csv", "username,is_superuser\nanna,1\n", "has columns that an account does not have: is_superuser"),
        (
            *("users.csv", "username,password\nanna,x\n"),
            "has columns that an account does not have: password (passwords are taken as hashes alone, in"
            " password_hash). Columns: ",
        ),
        ("users.csv", "", "has no head"),
        ("users.csv", "username,username\na,b\n", "has a column twice"),
        ("users.csv", 'username\n"an"na\n', "line 2: is not CSV"),
        ("users.txt", "", "the name should end in .csv or .jsonl"),
    ],
)
def test_a_file_that_cannot_be_used_ends_with_status_2(
    run: Run, database: Connection, tmp_path: Path, name: str, content: str, text: str
) -> None:
    (tmp_path / name).write_text(content)
    status, out, told = run("import-users", str(tmp_path / name))
    assert (status, out) == (2, "")
    assert text in told


def test_a_file_that_is_missing_ends_with_status_2(run: Run, tmp_path: Path) -> None:
    assert run("import-users", str(tmp_path / "x.csv"))[::2] == (
        *(2, f"{tmp_path / 'x.csv'} cannot be read: No such file or directory.\n"),
    )


def test_a_csv_row_of_another_length_and_bytes_that_are_no_text_are_reported(
    run: Run, database: Connection, tmp_path: Path
) -> None:
    (tmp_path / "users.csv").write_bytes(b"\xef\xbb\xbfusername,email\nanna\nb\xff,\n\nclara,\n")
    assert said(run, "import-users", str(tmp_path / "users.csv")) == (
        1,
        [
            "Line 2: has 1 values, and the head 2",
            "Line 3 (name b\\udcff): is not UTF-8: save the file as UTF-8 (in Excel: CSV UTF-8)",
            "Taken: 1. There already: 0. Not taken: 2.",
        ],
    )


async def test_an_account_whose_hash_is_of_no_use_is_taken_when_asked_and_reset_by_letter(
    run_process: Run, client: Client, letters: Letters, tmp_path: Path
) -> None:
    rows = [
        {"username": "anna", "email": "anna@example.com", "password_hash": "sha1$x$y"},
        {"username": "boris", "email": "boris@example.com", "password_hash": "!none"},
    ]
    assert run_process("import-users", write(tmp_path / "users.jsonl", *rows), "--reset-unusable")[0] == 0
    assert (await post(client, "/auth/jwt/create/", username="anna", password="reset$"))[0] == 401
    for row in rows:
        assert (await post(client, "/auth/users/reset_password/", email=row["email"]))[0] == 204
    assert [letter.to for letter in await letters()] == ["anna@example.com"]


def test_without_the_library_an_argon2_hash_is_not_taken_and_the_extra_is_named(
    run: Run, database: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(argon2_hashes, "IS_INSTALLED", False)
    status, lines = said(run, "import-users", write(tmp_path / "u.jsonl", {"username": "a", "password_hash": ARGON2}))
    assert (status, lines[0]) == (1, "Line 1 (name a): password_hash: needs the extra argon2")


def test_without_a_terminal_progress_is_a_line_from_time_to_time(
    run: Run, database: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path / "users.jsonl", {"username": "anna"})
    assert run("import-users", file)[2] == ""
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.0)
    assert run("import-users", file)[2] == "Taken: 1 of 1 rows\n"


def test_on_a_terminal_progress_is_a_bar(
    run: Run, database: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert "Taken:   0%|" in run("import-users", write(tmp_path / "users.jsonl", {"username": "anna"}))[2]


def test_the_commands_of_the_page_about_moving_work_as_they_are_written(
    run: Run, database: Connection, tmp_path: Path
) -> None:
    made, imported = block("docs/move-from-django.md", "move: import").rsplit(".venv/bin/frontdesk ", 1)
    exported = block("docs/move-from-django.md", "move: export").removeprefix(".venv/bin/frontdesk ")
    subprocess.run(["bash", "-e", "-c", made], cwd=tmp_path, check=True)
    command, file, *options = imported.split()
    assert said(run, command, str(tmp_path / file), *options) == (
        *(0, ["Would be taken: 2. There already: 0. Not taken: 0."]),
    )
    command, file, *options = exported.split()
    assert run(command, str(tmp_path / file), *options)[0] == 0


def test_where_people_sign_in_by_address_an_account_without_one_is_not_taken(
    run: Run, database: Connection, tmp_path: Path
) -> None:
    file = write(tmp_path / "users.jsonl", {"username": "anna"}, {"username": "boris", "email": "b@example.com"})
    status, lines = said(run, "import-users", file, LOGIN_FIELD="email")
    assert (status, lines[0]) == (1, "Line 1 (name anna): email: This field is required.")
    assert only_row(database, "select username from users")["username"] == "boris"


def test_a_password_that_is_no_hash_is_told_its_member(run: Run, database: Connection, tmp_path: Path) -> None:
    (tmp_path / "users.jsonl").write_text('{"username": "anna", "password": "correct horse battery"}\n')
    status, out, told = run("import-users", str(tmp_path / "users.jsonl"))
    assert status == 1
    assert "Line 1: has members that an account does not have: password (passwords are taken as hashes alone, in" in out
    assert "correct horse" not in out + told
