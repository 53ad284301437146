"""Each command does one thing, reports it, and exits with 0, 1 or 2."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from server import __version__
from server.commands import main as commands
from tests.commands.conftest import Run
from tests.conftest import KEY
from tests.processes import ROOT, surroundings
from tests.rows import Connection

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("command", ["serve", "work"])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_invalid_templates_stop_the_start(run: Run, tmp_path: Path, command: str, workers: str) -> None:
    for name, text in {"en/pages/activated.html": "\n{% if", "nl/letters/confirmation.txt": "{{ }}"}.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    status, said, faults = run(command, TEMPLATES_DIR=str(tmp_path), WORKERS=workers)
    assert (status, said) == (2, "")
    assert [line.partition(": ")[2].partition(":")[0] for line in faults.splitlines()] == [
        "en/pages/activated.html, line 2",
        "nl/letters/confirmation.txt, line 1",
    ]


def test_a_letter_that_uses_a_name_that_does_not_exist_stops_the_start(run: Run, tmp_path: Path) -> None:
    (tmp_path / "en" / "letters").mkdir(parents=True)
    asked = "{% if user.phone is defined %}{{ user.phone }}{% endif %}"
    used = f"{{{{ user.first_nam }}}} {{{{ site }}}} {asked} {{{{ user.shown_name }}}}"
    (tmp_path / "en" / "letters" / "activation.txt").write_text(f"Subject: x\n\n{used} {{{{ url }}}}")
    status, said, faults = run("serve", TEMPLATES_DIR=str(tmp_path))
    assert (status, said) == (2, "")
    named = [
        f"TEMPLATES_DIR {tmp_path}: en/letters/activation.txt: there is no {name}"
        for name in ("site", "user.first_nam")
    ]
    assert faults.splitlines() == named


def test_settings_are_printed_without_secrets(run: Run) -> None:
    status, said, _ = run("settings", PORT="1234")
    assert status == 0
    assert "PORT=1234\n" in said
    assert "SIGNING_KEY=••••••\n" in said
    assert KEY not in said


def test_the_file_of_a_secret_is_printed_and_not_what_is_in_it(run: Run, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    files = {"SIGNING_KEY": "", "FRONTDESK_SIGNING_KEY_FILE": f"{tmp_path}/key", "SIGNING_KEY_FILE": "/nowhere"}
    status, said, _ = run("settings", **files)
    assert (status, said.splitlines()[-1]) == (0, f"SIGNING_KEY_FILE={tmp_path}/key")
    assert "SIGNING_KEY=••••••\n" in said
    assert KEY not in said
    assert run("settings", SIGNING_KEY="", SIGNING_KEY_FILE=f"{tmp_path}/none")[0] == 2


def test_the_document_is_printed_without_a_database(run: Run) -> None:
    status, said, _ = run("openapi", DATABASE_URL="", SIGNING_KEY="")
    assert (status, json.loads(said)["info"]["version"]) == (0, __version__)


def test_a_command_whose_reader_ends_early_ends_without_a_message() -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-m", "server", "openapi"], cwd=ROOT, env=surroundings(), stdout=pipe, stderr=pipe, text=True
    ) as command:
        assert command.stdout is not None
        assert command.stderr is not None
        command.stdout.close()
        assert command.stderr.read() == ""
        assert command.wait() == 128 + signal.SIGPIPE


def test_migrate_brings_the_schema_up_to_date(run: Run) -> None:
    assert run("migrate") == (0, "The schema is up to date.\n", "")


def test_an_unreachable_database_ends_a_command_with_one_sentence(run: Run) -> None:
    for command, migrate in ((["serve"], "true"), (["serve"], "false"), (["deactivate", "anna"], "false")):
        status, _, faults = run(*command, DATABASE_URL="postgresql://127.0.0.1:1/x", MIGRATE_ON_START=migrate)
        assert status == 1
        assert "Traceback" not in faults
        assert faults.startswith("The database ")


def test_a_failed_start_reports_the_reason_in_one_line(run: Run, database_url: str, tmp_path: Path) -> None:
    missing = database_url.replace("/test", "/nowhere")
    status, _, faults = run("serve", DATABASE_URL=missing, MIGRATE_ON_START="false")
    assert status == 1
    assert re.fullmatch('The database cannot be used: database "nowhere.*" does not exist.\n', faults)
    (tmp_path / "signing_key").write_text("short\n")
    status, _, faults = run("serve", DATABASE_URL="", SIGNING_KEY="", DATA_DIR=str(tmp_path))
    assert (status, faults.splitlines()[-1:]) == (
        1,
        [f"{tmp_path}/signing_key has fewer than 32 bytes: remove it, and the next start makes a new one."],
    )
    assert "Traceback" not in faults


def test_readme_names_every_command() -> None:
    readme = (ROOT / "README.md").read_text()
    assert [name for name in commands.COMMANDS if f"`{name}" not in readme] == []


def test_letters_are_listed_and_queued_again(run: Run, database: Connection) -> None:
    database.execute("insert into users (username, email) values ('anna', 'anna@example.com')")
    database.execute("insert into letters (kind, address) values ('password_reset', 'anna@example.com')")
    database.execute(
        "insert into letters (kind, user_id, tries, fault, given_up_at)"
        " select 'confirmation', id, 3, '550 no', now() from users"
    )
    status, said, _ = run("letters")
    given_up, waits, summary = said.splitlines()
    assert (status, summary) == (0, "Given up: 1. Waiting: 1.")
    assert "confirmation for anna at example.com" in given_up
    assert given_up.endswith("after 3 tries: 550 no")
    assert "password_reset for any account with the address at example.com" in waits
    assert "anna@" not in said
    assert run("letters", "--again")[1].splitlines()[0] == "Queued again: 1."
    rows = database.execute("select given_up_at, tries, fault from letters").fetchall()
    assert rows == [{"given_up_at": None, "tries": 0, "fault": None}] * 2


def test_a_name_that_is_nearly_a_setting_is_in_the_log(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    assert run("settings", CORS_ORIGIN="https://app.example")[0] == 0
    assert [record.getMessage() for record in caplog.records] == [
        "CORS_ORIGIN is set and is no setting: CORS_ORIGINS is one"
    ]
