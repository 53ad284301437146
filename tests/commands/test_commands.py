"""The commands: each does one thing, says so, and ends with 0, 1 or 2."""

import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from server import __main__ as commands
from server import __version__
from tests.conftest import KEY, PASSWORD, Client, Connection, Person, only_row, post
from tests.processes import surroundings

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent


Ran: TypeAlias = tuple[int, str, str]
"""Exit status, standard output, standard error."""


@pytest.fixture
def given(database_url: str, database: Connection) -> dict[str, str]:
    """The settings of a command on this worker's database."""
    return {"DATABASE_URL": database_url, "SIGNING_KEY": KEY, "BCRYPT_ROUNDS": "4"}


@pytest.fixture
def run(given: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Callable[..., Ran]:
    """Runs a command here."""
    monkeypatch.setattr(commands, "start_logging", lambda kind: None)  # this process logs for the tests

    def command(*arguments: str, typed: str = "", **environment: str) -> Ran:
        monkeypatch.setattr(os, "environ", surroundings(**given | environment))
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        status = commands.main(arguments)
        return status, *capsys.readouterr()

    return command


@pytest.fixture
def outside(given: dict[str, str]) -> Callable[..., Ran]:
    """Runs a command as people do, in a process of its own."""

    def command(*arguments: str, typed: str = "") -> Ran:
        ran = subprocess.run(
            [sys.executable, "-m", "server", *arguments],
            cwd=ROOT,
            env=surroundings(**given),
            input=typed,
            capture_output=True,
            text=True,
            timeout=60,
        )
        return ran.returncode, ran.stdout, ran.stderr

    return command


async def test_an_admin_signs_in(outside: Any, client: Client, database: Connection) -> None:
    made = outside("create-admin", "Sofia", "--email", "sofia@EXAMPLE.com", typed=PASSWORD + "\n")
    assert made == (0, "Staff account Sofia made.\n", "")
    assert (await post(client, "/auth/jwt/create/", username="sofia", password=PASSWORD))[0] == 200
    row = only_row(database, "select is_staff, email from users")
    assert row == {"is_staff": True, "email": "sofia@example.com"}


def test_an_admin_has_a_name_and_an_address_of_its_own(run: Any) -> None:
    assert run("create-admin", "Sofia", "--email", "sofia@example.com", typed=PASSWORD + "\n")[0] == 0
    again = run("create-admin", "SOFIA", typed=PASSWORD + "\n")
    assert again == (1, "", "An account with that name exists already.\n")
    other = run("create-admin", "other", "--email", "Sofia@example.com", typed=PASSWORD + "\n")
    assert other == (1, "", "An account with that e-mail address exists already.\n")


def test_an_admin_is_held_to_the_rules_of_registration(run: Any) -> None:
    status, said, faults = run("create-admin", "so fia", "--email", "x", typed="12345\n")
    assert (status, said) == (1, "")
    assert [line.partition(":")[0] for line in faults.splitlines()] == ["username", "email"]
    status, _, faults = run("create-admin", "sofia", typed="12345\n")
    assert "password: This password is too common." in faults


def test_an_admin_who_signs_in_by_address_has_one(run: Any, database: Connection) -> None:
    status, _, faults = run("create-admin", "sofia", typed=PASSWORD + "\n", LOGIN_FIELD="email")
    assert (status, faults.partition(" ")[0], len(faults.splitlines())) == (1, "--email", 1)
    assert database.execute("select from users").fetchall() == []
    for given in (["--email", "sofia@example.com"], []):
        login = "email" if given else "either"
        assert run("create-admin", f"sofia{len(given)}", *given, typed=PASSWORD + "\n", LOGIN_FIELD=login)[0] == 0


@pytest.mark.parametrize("command", ["serve", "work"])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_templates_that_cannot_be_used_stop_the_start(run: Any, tmp_path: Path, command: str, workers: str) -> None:
    for name, text in {"en/pages/activated.html": "\n{% if", "nl/letters/confirmation.txt": "{{ }}"}.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    status, said, faults = run(command, TEMPLATES_DIR=str(tmp_path), WORKERS=workers)
    assert (status, said) == (2, "")
    assert [line.partition(": ")[2].partition(":")[0] for line in faults.splitlines()] == [
        "en/pages/activated.html, line 2",
        "nl/letters/confirmation.txt, line 1",
    ]


async def test_an_account_is_deactivated_and_activated_by_any_spelling(outside: Any, anna: Person) -> None:
    assert outside("deactivate", "ANNA") == (0, "Account ANNA is deactivated.\n", "")
    assert (await anna.get("/auth/users/me/"))[1]["code"] == "user_inactive"
    assert outside("activate", "anna") == (0, "Account anna is active.\n", "")
    assert (await anna.get("/auth/users/me/"))[1]["code"] == "token_not_valid"


def test_an_account_that_is_not_there_is_not_activated(outside: Any, run: Any) -> None:
    assert outside("activate", "\udcff") == (1, "", "There is no account named \\udcff.\n")
    assert run("deactivate", "nobody") == (1, "", "There is no account named nobody.\n")


def test_settings_are_printed_without_secrets(run: Any) -> None:
    status, said, _ = run("settings", PORT="1234")
    assert status == 0
    assert "PORT=1234\n" in said
    assert "SIGNING_KEY=••••••\n" in said
    assert KEY not in said


def test_the_document_is_printed_without_a_database(run: Any) -> None:
    status, said, _ = run("openapi", DATABASE_URL="", SIGNING_KEY="")
    assert (status, json.loads(said)["info"]["version"]) == (0, __version__)


def test_the_schema_is_brought_up_to_date(run: Any) -> None:
    assert run("migrate") == (0, "The schema is up to date.\n", "")


def test_a_database_that_is_not_there_ends_with_one_sentence(run: Any) -> None:
    for command, migrate in ((["serve"], "true"), (["serve"], "false"), (["deactivate", "anna"], "false")):
        status, _, faults = run(*command, DATABASE_URL="postgresql://127.0.0.1:1/x", MIGRATE_ON_START=migrate)
        assert status == 1
        assert "Traceback" not in faults
        assert faults.startswith("The database ")


def test_a_start_that_cannot_be_says_why_in_one_line(run: Any, database_url: str, tmp_path: Path) -> None:
    nowhere = database_url.replace("/test", "/nowhere")
    status, _, faults = run("serve", DATABASE_URL=nowhere, MIGRATE_ON_START="false")
    assert status == 1
    assert re.fullmatch('The database cannot be used: database "nowhere.*" does not exist.\n', faults)
    (tmp_path / "signing_key").write_text("short\n")
    status, _, faults = run("serve", DATABASE_URL="", SIGNING_KEY="", DATA_DIR=str(tmp_path))
    assert (status, faults.splitlines()[-1:]) == (
        1,
        [f"{tmp_path}/signing_key holds fewer than 32 bytes: remove it to have a new one made."],
    )
    assert "Traceback" not in faults


def test_readme_names_every_command() -> None:
    readme = (ROOT / "README.md").read_text()
    assert [name for name in commands.COMMANDS if f"`{name}" not in readme] == []


def test_letters_are_listed_and_queued_anew(run: Any, database: Connection) -> None:
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
    assert "password_reset for whoever has the address at example.com" in waits
    assert "anna@" not in said
    assert run("letters", "--again")[1].splitlines()[0] == "Queued anew: 1."
    rows = database.execute("select given_up_at, tries, fault from letters").fetchall()
    assert rows == [{"given_up_at": None, "tries": 0, "fault": None}] * 2
