"""import-users: CSV files as spreadsheets write them."""

from pathlib import Path

import pytest

from tests.commands.conftest import Run
from tests.commands.test_import_users import said
from tests.rows import Connection, count, only_row

pytestmark = pytest.mark.slow

NOT_UTF8 = "is not UTF-8: save the file as UTF-8 (in Excel: CSV UTF-8)"


@pytest.mark.parametrize(
    "head",
    [
        *("username,email\r\n", "username, email\n", "username ,email\n", "username;email\r\n", "username\temail\n"),
        *("sep=;\r\nusername;email\r\n", "SEP=,\nusername,email\n", "sep=\t\r\nusername\temail\r\n"),
    ],
)
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_values_are_separated_as_the_head_is(
    run: Run, database: Connection, tmp_path: Path, head: str, mark: str
) -> None:
    separator = next(each for each in ";\t," if each in head.removeprefix("sep=;").removeprefix("SEP=,"))
    file = tmp_path / "USERS.CSV"
    file.write_text(f"{mark}{head}anna{separator}anna@example.com\n", encoding="utf-8", newline="")
    assert said(run, "import-users", str(file)) == (0, ["Taken: 1. There already: 0. Not taken: 0."])
    account = only_row(database, "select username, email from users")
    assert account == {"username": "anna", "email": "anna@example.com"}


def test_a_comma_in_the_head_decides_before_other_separators(run: Run, database: Connection, tmp_path: Path) -> None:
    file = tmp_path / "users.csv"
    file.write_text("username,email;id\n")
    assert "has columns that an account does not have: email;id. Columns: " in run("import-users", str(file))[2]


def test_the_line_that_names_the_separator_counts(run: Run, database: Connection, tmp_path: Path) -> None:
    file = tmp_path / "users.csv"
    file.write_text("sep=;\r\nusername;email\r\nanna;\r\na b;\r\n", newline="")
    status, lines = said(run, "import-users", str(file))
    assert (status, lines[0].partition(":")[0]) == (1, "Line 4 (name a b)")


@pytest.mark.parametrize("suffix", ["csv", "CSV", "jsonl", "JSONL"])
@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_a_file_in_utf_16_says_so(run: Run, database: Connection, tmp_path: Path, suffix: str, encoding: str) -> None:
    file = tmp_path / f"users.{suffix}"
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    file.write_bytes(f"{mark}username\nanna\n".encode(encoding))
    told = f"{file} is UTF-16: save it as UTF-8 (in Excel: CSV UTF-8).\n"
    assert run("import-users", str(file)) == (2, "", told)


def test_a_row_or_a_head_in_the_encoding_of_windows_says_what_to_do(
    run: Run, database: Connection, tmp_path: Path
) -> None:
    file = tmp_path / "users.csv"
    file.write_text("username,profile.location\nanna,Köln\nboris,Rom\n", encoding="cp1252")
    status, lines = said(run, "import-users", str(file))
    assert (status, lines[0]) == (1, f"Line 2 (name anna): {NOT_UTF8}")
    assert count(database, "users") == 1
    file.write_text("sep=;\nusername;größe\n", encoding="cp1252")
    assert run("import-users", str(file))[2] == f"{file}, line 2: {NOT_UTF8}.\n"


def test_the_head_writes_nothing_to_the_terminal_but_text(run: Run, database: Connection, tmp_path: Path) -> None:
    file = tmp_path / "users.csv"
    file.write_text('username,"\x1b[2J\u202e\nforged",\n', newline="")
    status, out, told = run("import-users", str(file))
    assert (status, out) == (2, "")
    assert "have: \\x1b[2J\\u202e\\nforged, one without a name. Columns: " in told
    assert told.removesuffix("\n").isprintable()
    file.write_text("x" * 1_000_000)
    assert len(run("import-users", str(file))[2]) < 2000


def test_an_export_takes_a_name_in_capitals(run: Run, database: Connection, tmp_path: Path) -> None:
    database.execute("insert into users (username) values ('anna')")
    out = tmp_path / "OUT.CSV"
    assert run("export-users", str(out))[0] == 0
    assert out.read_text().startswith("id,username,")
