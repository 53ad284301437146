"""Standard input and output that a command cannot use: each ends it with one sentence."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from tests.conftest import PASSWORD
from tests.processes import ROOT, surroundings
from tests.rows import Connection

Shell: TypeAlias = Callable[..., tuple[int, str, str]]

FULL = "Standard output cannot be written: No space left on device.\n"
CLOSED = "Standard output is closed: nothing is done.\n"

pytestmark = pytest.mark.slow

needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")


@pytest.fixture
def shell(command_settings: dict[str, str]) -> Shell:
    """A function that runs a command with what a shell says about its standard files."""

    def run(command: str, redirected: str, **environment: str) -> tuple[int, str, str]:
        ran = subprocess.run(
            ["bash", "-c", f'"$0" -m server {command} {redirected}', sys.executable],
            cwd=ROOT,
            env=surroundings(**command_settings | environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        told = [line for line in ran.stderr.splitlines(keepends=True) if " INFO server.accounts.events " not in line]
        return ran.returncode, ran.stdout, "".join(told)

    return run


@pytest.fixture
def root(shell: Shell) -> None:
    """A staff account, root."""
    ran = shell("create-admin root --email root@example.org", f"<<< {PASSWORD!r}")
    assert ran[0] == 0, ran


@needs_full
def test_a_full_disk_behind_standard_output_ends_a_command_with_one_sentence(shell: Shell, root: None) -> None:
    for command in ("users", "user root", "letters", "settings", "export root", "check", "openapi", "--help"):
        for unbuffered in ("", "1") if command in ("settings", "openapi") else ("",):
            ran = shell(command, "> /dev/full", PYTHONUNBUFFERED=unbuffered)
            assert ran == (1, "", FULL), (command, unbuffered)


@needs_full
@pytest.mark.parametrize("option", ["", "--dry-run"])
def test_a_report_that_cannot_be_written_is_not_taken_for_a_lost_database(
    shell: Shell, tmp_path: Path, option: str
) -> None:
    # A dry run reports in the midst of its transaction.
    (tmp_path / "users.jsonl").write_text('{"username": "a a"}\n')
    assert shell(f"import-users {tmp_path}/users.jsonl {option}", "> /dev/full") == (1, "", FULL)


def test_a_closed_standard_output_ends_a_command_before_it_does_anything(
    shell: Shell, root: None, database: Connection
) -> None:
    before = count_events(database)
    for command in ("export root", "openapi", "users", "revoke-staff root --last"):
        assert shell(command, ">&-") == (1, "", CLOSED), command
    assert count_events(database) == before


def count_events(database: Connection) -> int:
    """How many events are stored."""
    row = database.execute("select count(*) as events from events").fetchone()
    assert row is not None
    return int(row["events"])


def test_a_closed_standard_input_ends_a_command_with_one_sentence(shell: Shell, root: None) -> None:
    no_password = "Standard input is closed, so no password can be read: give it there, or at a terminal.\n"
    no_answer = "Without a terminal to ask at, delete needs --yes.\n"
    for command, told in (("set-password root", no_password), ("delete root", no_answer)):
        assert shell(command, "<&-") == (1, "", told), command
