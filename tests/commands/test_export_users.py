"""export-users: what is in the file, and what is left when it cannot be written."""

import csv
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from server.transfer.target import FileTarget
from tests.commands.conftest import Run
from tests.commands.test_account_commands import last_event
from tests.commands.test_import_users import said
from tests.processes import ROOT, surroundings
from tests.rows import Connection, only_row

pytestmark = pytest.mark.slow


def test_every_end_of_a_line_in_a_value_is_kept(run: Run, database: Connection, tmp_path: Path) -> None:
    text = "one\rtwo\nthree\r\nfour"
    database.execute("insert into users (username) values ('anna')")
    database.execute("update profiles set description = %s", [text])
    out = tmp_path / "out.csv"
    assert said(run, "export-users", str(out))[0] == 0
    content = out.read_bytes()
    assert content.endswith(b"\r\n")
    assert content.count(b"\r\n") == 3
    with out.open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["profile.description"] == text
    database.execute("delete from users")
    assert said(run, "import-users", str(out))[0] == 0
    assert only_row(database, "select description from profiles") == {"description": text}


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
@pytest.mark.parametrize("accounts", [10, 200])
def test_a_full_disk_ends_with_one_sentence_and_leaves_no_file(
    command_settings: dict[str, str], database: Connection, tmp_path: Path, suffix: str, accounts: int
) -> None:
    # A limit for files of 1,024 bytes: the first is more when it is closed, the second one before.
    database.execute("insert into users (username) select 'user' || n from generate_series(1, %s) n", [accounts])
    out = tmp_path / f"out.{suffix}"
    ran = subprocess.run(
        ["bash", "-c", 'ulimit -f 1; exec "$0" -m server export-users "$1"', sys.executable, str(out)],
        cwd=ROOT,
        env=surroundings(**command_settings) | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.splitlines()[-1].endswith(f"{out} cannot be written: File too large. It was removed.")
    assert "Traceback" not in ran.stderr
    assert not out.exists()


def test_an_unfinished_file_that_cannot_be_removed_is_named(
    run: Run, database: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(30, "Read-only file system")

    database.execute("insert into users (username) values ('anna')")
    monkeypatch.setattr(Path, "unlink", fail)
    monkeypatch.setattr("server.transfer.target.orjson", SimpleNamespace(dumps=fail))
    out = tmp_path / "out.jsonl"
    told = f"{out} cannot be written: Read-only file system. It is not whole: remove it.\n"
    assert run("export-users", str(out))[::2] == (2, told)


def test_an_export_that_is_interrupted_is_an_event(
    run: Run, database: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    database.execute("insert into users (username) values ('anna')")
    monkeypatch.setattr(FileTarget, "begin", interrupt)
    out = tmp_path / "out.csv"
    with pytest.raises(KeyboardInterrupt):
        run("export-users", str(out), "--with-hashes")
    event = last_event(database)
    assert (event["kind"], event["details"]) == ("exported", {"accounts": 1, "with_hashes": True})
    assert not out.exists()
