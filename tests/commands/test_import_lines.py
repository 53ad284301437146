"""import-users: what a file has that is no account, and the line where it is."""

from pathlib import Path

import pytest

from server.settings.settings import Settings
from server.transfer import files
from server.transfer.rows import UnusableSource
from tests.commands.conftest import Run
from tests.commands.test_import_users import said, write
from tests.rows import Connection, count, only_row

pytestmark = pytest.mark.slow


def refused(run: Run, path: Path, content: bytes) -> list[str]:
    """What is said of the lines of a file from which one account, anna, is taken."""
    path.write_bytes(content)
    status, lines = said(run, "import-users", str(path))
    assert (status, lines.pop()) == (1, f"Taken: 1. There already: 0. Not taken: {len(lines)}.")
    return lines


def test_a_row_is_named_by_the_line_in_which_it_begins(run: Run, database: Connection, tmp_path: Path) -> None:
    content = (
        b'\xef\xbb\xbfusername,profile.description\r\n"a a","one\r\ntwo\r\n"\r\n\r\nb b,"x\ny"\r\nanna,\r\nc c\r\n'
    )
    lines = refused(run, tmp_path / "users.csv", content)
    assert [line.partition(":")[0] for line in lines] == ["Line 2 (name a a)", "Line 6 (name b b)", "Line 9"]
    database.execute("delete from users")
    content = b'\xef\xbb\xbf{"username": "a a"}\n\n{"username": "anna"}\n  \n{"username": "b b"}'
    lines = refused(run, tmp_path / "users.jsonl", content)
    assert [line.partition(":")[0] for line in lines] == ["Line 1 (name a a)", "Line 5 (name b b)"]


def test_a_member_that_is_twice_in_an_object_leaves_out_its_row(run: Run, database: Connection, tmp_path: Path) -> None:
    content = (
        b'{"username": "one", "username": "two"}\n{"username": "anna"}\n'
        b'{"username": "x", "profile": {"location": "a", "\\u006cocation": "b"}}\n'
    )
    assert refused(run, tmp_path / "users.jsonl", content) == [
        "Line 1: has the member username twice",
        "Line 3: has the member location twice",
    ]


@pytest.mark.parametrize("content", [b'{"username": "\xff"}', "{}".encode("utf-16")])
def test_a_line_that_is_not_utf_8_says_so(run: Run, database: Connection, tmp_path: Path, content: bytes) -> None:
    lines = refused(run, tmp_path / "users.jsonl", b'{"username": "anna"}\n' + content)
    assert lines == ["Line 2: is not UTF-8: save the file as UTF-8 (in Excel: CSV UTF-8)"]


@pytest.mark.parametrize("text", ["{" * 5000, '{"id": ' + "9" * 5000 + "}", "[" * 1000 + "]" * 1000, '{"a": NaN}'])
def test_hostile_json_is_refused(run: Run, database: Connection, tmp_path: Path, text: str) -> None:
    content = b'{"username": "anna"}\n' + text.encode()
    assert refused(run, tmp_path / "users.jsonl", content)[0].startswith("Line 2: is not ")


def test_a_row_that_is_too_long_is_left_out(run: Run, database: Connection, tmp_path: Path) -> None:
    long = b"x" * (1024 * 1024 + 1)
    content = b'{"username": "' + long + b'"}\n{"username": "anna"}\n' + b" " * len(long) + b"x"
    assert refused(run, tmp_path / "users.jsonl", content) == [
        *("Line 1: has more than 1048576 bytes", "Line 3: has more than 1048576 bytes"),
    ]
    database.execute("delete from users")
    content = b'\xef\xbb\xbf{"username": "' + long + b'"}\n{"username": "anna"}\n'
    assert refused(run, tmp_path / "users.jsonl", content) == ["Line 1: has more than 1048576 bytes"]
    database.execute("delete from users")
    # More than the limit of Python's module, which would end the import.
    content = b"username,email\nb," + long[:200_000] + b"\nc" + long[:900_000] + b"," + long[:200_000] + b"\nanna,\n"
    lines = refused(run, tmp_path / "users.csv", content)
    assert lines[0].startswith("Line 2 (name b): email: ")
    assert lines[1] == "Line 3: has more than 1048576 characters"


def test_a_quotation_mark_without_its_second_one_is_found(
    run: Run, database: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "users.csv"
    file.write_text('username\nanna\n"boris\n' + "x\n" * 5000)
    assert run("import-users", str(file))[::2] == (2, f"{file}, line 3: is not CSV: unexpected end of data.\n")
    monkeypatch.setattr(files, "ROW_MAX_LENGTH", 5000)
    text = "has a value of more than 5000 characters, or a quotation mark too few"
    assert run("import-users", str(file))[::2] == (2, f"{file}, line 3: {text}.\n")
    assert count(database, "users") == 0


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
@pytest.mark.parametrize("number", ["030", "+3", " 3", "3 ", "٣", "1_0", "1e1"])
def test_an_id_is_written_as_its_number(
    run: Run, database: Connection, tmp_path: Path, suffix: str, number: str
) -> None:
    rows = [{"username": "anna", "id": "30"}, {"username": "boris", "id": number}]
    status, lines = said(run, "import-users", write(tmp_path / f"users.{suffix}", *rows))
    assert (status, lines[-1]) == (1, "Taken: 1. There already: 0. Not taken: 1.")
    assert lines[0].endswith("id: is not a whole number from 1 to 9007199254740991")
    assert only_row(database, "select id from users") == {"id": 30}


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
async def test_a_file_that_is_removed_after_it_was_counted_is_told(tmp_path: Path, suffix: str) -> None:
    path = Path(write(tmp_path / f"users.{suffix}", {"username": "anna"}))
    source = files.FileSource(path, Settings().account)
    assert source.total == 1
    path.unlink()
    with pytest.raises(UnusableSource, match=r"cannot be read: No such file or directory\.$"):
        await anext(source.pages())
