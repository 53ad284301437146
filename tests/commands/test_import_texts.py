"""Imports: texts are what they were, "" and null too, and an export of what was imported is the same file."""

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from server.transfer.checks import TO_RESET
from tests.auth.test_foreign_hashes import PBKDF2
from tests.commands.conftest import Run
from tests.commands.test_import_django import SourceOf, source_of
from tests.commands.test_import_users import said, write
from tests.conftest import Client, post
from tests.rows import Connection, count, only_row

__all__ = ["source_of"]

pytestmark = pytest.mark.slow

SITE = """
[account]
[account.fields]
type = "object"
properties.motto = { type = "string", maxLength = 20 }
properties.plan = { type = "string", default = "free" }
properties.size = { type = "string", enum = ["s", "m"] }
properties.age = { type = "integer" }
"""


@pytest.fixture
def site(tmp_path: Path) -> dict[str, str]:
    """The setting that names the file of a site with texts that may be empty."""
    (tmp_path / "site.toml").write_text(SITE)
    return {"SITE_FILE": str(tmp_path / "site.toml")}


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_an_export_is_the_same_file_after_it_was_imported(
    run: Run, database: Connection, tmp_path: Path, site: dict[str, str], suffix: str
) -> None:
    profiles: list[tuple[str | None, str | None, str]] = [
        (None, None, ""),
        ("", "", "Lisbon"),
        # In CSV an empty cell gets the default.
        ("text", '{"motto": ""}' if suffix == "csv" else '{"motto": "", "plan": ""}', ""),
        ("", '{"motto": "x", "plan": "gold", "size": "s", "age": 0}', ""),
    ]
    for number, (description, fields, location) in enumerate(profiles, 1):
        database.execute(
            "insert into users (id, username, email, account_fields) values (%s, %s, %s, %s)",
            [
                number,
                f"user{number}",
                f"{number}@example.com" if number < 4 else "",
                fields or None,
            ],
        )
        database.execute(
            "update profiles set description = %s, location = %s where user_id = %s", [description, location, number]
        )
    first, second = tmp_path / f"first.{suffix}", tmp_path / f"second.{suffix}"
    assert run("export-users", str(first), "--with-hashes", **site)[0] == 0
    query = "select p.description from profiles p order by p.user_id"
    before = [row["description"] for row in database.execute(query).fetchall()]
    database.execute("delete from users")
    assert said(run, "import-users", str(first), **site) == (0, ["Taken: 4. There already: 0. Not taken: 0."])
    after = [row["description"] for row in database.execute(query).fetchall()]
    # A cell of CSV that is empty may be either: it is null.
    assert after == [text or None for text in before] if suffix == "csv" else before
    assert run("export-users", str(second), "--with-hashes", **site)[0] == 0
    assert second.read_bytes() == first.read_bytes()


def test_an_empty_text_of_a_field_is_kept_where_it_is_a_value(
    run: Run, database: Connection, tmp_path: Path, site: dict[str, str]
) -> None:
    rows: list[Any] = [
        {"id": 1, "username": "anna", "fields": {"motto": "", "plan": "", "size": "", "age": ""}},
        {"id": 2, "username": "boris", "fields": {"motto": None, "plan": None, "size": None, "age": None}},
        {"id": 3, "username": "clara", "fields": {"motto": " "}},
    ]
    assert said(run, "import-users", write(tmp_path / "users.jsonl", *rows), **site)[0] == 0
    found = database.execute("select account_fields from users order by id").fetchall()
    assert [row["account_fields"] for row in found] == [
        {"motto": "", "plan": ""},
        {"plan": "free"},
        {"motto": "", "plan": "free"},
    ]


def test_an_account_without_a_username_stays_without(run: Run, database: Connection, tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text('[account]\nusername = "optional"\nshown_as = "email"\n')
    site = {"SITE_FILE": str(tmp_path / "site.toml"), "LOGIN_FIELD": "email"}
    names: list[Any] = [None, "", " "]
    rows: list[Any] = [{"username": name, "email": f"{number}@example.com"} for number, name in enumerate(names)]
    assert said(run, "import-users", write(tmp_path / "users.jsonl", *rows), **site)[1][-1].startswith("Taken: 3.")
    assert {row["username"] for row in database.execute("select username from users").fetchall()} == {None}
    for suffix in ("csv", "jsonl"):
        first, second = tmp_path / f"first.{suffix}", tmp_path / f"second.{suffix}"
        assert run("export-users", str(first), **site)[0] == 0
        database.execute("delete from users")
        assert run("import-users", str(first), **site)[0] == 0
        assert run("export-users", str(second), **site)[0] == 0
        assert second.read_bytes() == first.read_bytes()


def test_descriptions_of_a_django_site_are_kept_empty_or_null(
    run: Run, database: Connection, source_of: SourceOf
) -> None:
    source = source_of("stock")
    wanted = {1: "", 2: None, 3: "text"}
    if source.startswith("postgresql://"):
        with psycopg.connect(source, autocommit=True) as connection:
            for key, text in wanted.items():
                connection.execute("update profiles_userprofile set description = %s where user_id = %s", [text, key])
    else:
        change_dump(Path(source), wanted)
    run("import-django", "--from", source)
    query = "select user_id, description from profiles where user_id <= 3"
    assert {row["user_id"]: row["description"] for row in database.execute(query).fetchall()} == wanted
    assert count(database, "users") == 11


def change_dump(path: Path, descriptions: dict[int, str | None]) -> None:
    """Write the descriptions of users to a dump."""
    text = path.read_text()
    is_list = text.startswith("[")
    objects = json.loads(text) if is_list else [json.loads(line) for line in text.splitlines()]
    for each in objects:
        if "description" in each["fields"] and each["fields"]["user"] in descriptions:
            each["fields"]["description"] = descriptions[each["fields"]["user"]]
    path.write_text(json.dumps(objects) if is_list else "".join(f"{json.dumps(each)}\n" for each in objects))


def test_an_account_without_a_usable_password_is_taken_from_an_export(
    run: Run, database: Connection, tmp_path: Path
) -> None:
    database.execute("insert into users (username, password) values ('anna', %s)", [TO_RESET])
    out = tmp_path / "out.jsonl"
    assert run("export-users", str(out), "--with-hashes")[0] == 0
    database.execute("delete from users")
    assert said(run, "import-users", str(out)) == (0, ["Taken: 1. There already: 0. Not taken: 0."])
    assert only_row(database, "select password from users") == {"password": TO_RESET}


@pytest.mark.parametrize(
    ("old", "new"), [("１２３", "123"), ("Rene\u0301e", "Ren\xe9e"), (" anna ", "anna"), ("Ａnna", "Anna")]
)
async def test_an_account_signs_in_with_the_spelling_of_its_old_site(
    run_process: Run, database: Connection, client: Client, tmp_path: Path, old: str, new: str
) -> None:
    file = write(tmp_path / "users.jsonl", {"username": old, "password_hash": PBKDF2})
    assert run_process("import-users", file)[0] == 0
    assert only_row(database, "select username from users") == {"username": new}
    for name in (old, new):
        assert (await post(client, "/auth/jwt/create/", username=name, password="correct horse"))[0] == 200
