"""The commands check and test-mail: what is wrong, and what to do."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from server.commands import check
from server.commands.check_database import _clock
from server.postgres.bundled import BundledPostgres
from server.process import interpreter
from tests.commands.conftest import Ran, Run
from tests.mail.reading import collect
from tests.mail.servers import Serve, authority, certified, serve, trusted
from tests.processes import ROOT, surroundings
from tests.rows import Connection

__all__ = ["authority", "certified", "serve", "trusted"]

pytestmark = pytest.mark.slow

PROPER = {
    **{"BCRYPT_ROUNDS": "12", "PUBLIC_URL": "https://id.example", "MAIL_FROM": "desk@id.example"},
    "SIGNING_KEY": "0123456789abcdef0123456789abcdef",
}


@pytest.fixture
def looked_at(run: Run, tmp_path: Path) -> Callable[..., dict[str, list[str]]]:
    """A function that runs check: the lines of each level, and under `status` its exit status."""

    def look(**environment: str) -> dict[str, list[str]]:
        status, said, _ = run("check", **PROPER | {"DATA_DIR": str(tmp_path)} | environment)
        found: dict[str, list[str]] = {"status": [str(status)], "ok": [], "warning": [], "FAULT": [], "": []}
        for line in said.splitlines():
            level, text = re.fullmatch(r"(ok|warning|FAULT|) +(.*)", line).groups()  # type: ignore[union-attr]
            found[level].append(text)
        return found

    return look


Look = Callable[..., dict[str, list[str]]]


def test_a_service_that_is_well_has_no_fault(looked_at: Look, database: Connection) -> None:
    database.execute("insert into users (username, is_staff) values ('sofia', true)")
    found = looked_at()
    assert (found["status"], found["FAULT"]) == (["0"], [])
    assert {line.partition(":")[0] for line in found["ok"]} == {
        *("settings", "key", "database", "clock", "migrations", "rights", "staff", "letters", "disk"),
    } | (set() if interpreter.is_optimised() is False else {"python"})
    assert len([*database.execute("select from users")]) == 1


def in_a_process(*arguments: str, **environment: str) -> Ran:
    """Run a command while the event loop of the test serves letters."""
    ran = subprocess.run(
        [sys.executable, "-m", "server", *arguments],
        cwd=ROOT,
        env=surroundings(**environment),
        capture_output=True,
        text=True,
        timeout=60,
    )
    return ran.returncode, ran.stdout, ran.stderr


async def test_a_mail_server_that_answers_gets_no_letter(serve: Serve, tmp_path: Path) -> None:
    clerk, port = await serve()
    environment = {"SMTP_URL": f"smtp://127.0.0.1:{port}", "DATA_DIR": str(tmp_path)}
    status, said, _ = await asyncio.to_thread(in_a_process, "check", **environment | PROPER | {"SIGNING_KEY": ""})
    assert (status, "ok      mail: the mail server answers" in said) == (0, True)
    assert (clerk.tries, clerk.letters) == (0, [])


@pytest.mark.parametrize(
    ("environment", "fault", "advice"),
    [
        ({"SMTP_URL": "smtp://127.0.0.1:1"}, "mail: Error connecting to 127.0.0.1", "test-mail"),
        ({"SMTP_URL": "smtp://127.0.0.1:1", "PUBLIC_URL": ""}, "settings: links in letters", "PUBLIC_URL"),
        ({"SMTP_URL": "smtp://127.0.0.1:1", "MAIL_FROM": "a@localhost"}, "settings: letters come from", "MAIL_FROM"),
        ({"DATABASE_URL": "postgresql://127.0.0.1:1/x"}, "database: it cannot be reached", "DATABASE_URL"),
    ],
)
def test_a_fault_is_said_with_what_to_do(
    looked_at: Look, database: Connection, environment: dict[str, str], fault: str, advice: str
) -> None:
    found = looked_at(**environment)
    assert found["status"] == ["1"]
    assert any(line.startswith(fault) for line in found["FAULT"])
    assert any(advice in line for line in found[""])


@pytest.mark.parametrize(
    ("environment", "warning"),
    [
        ({"BCRYPT_ROUNDS": "4"}, "settings: BCRYPT_ROUNDS=4 is for tests"),
        ({"PUBLIC_URL": "http://id.example"}, "settings: PUBLIC_URL http://id.example has no TLS"),
        ({"SIGNING_KEY": "a" * 40}, "key: SIGNING_KEY has few different characters"),
        ({"UNIQUE_EMAIL": "false"}, "indexes: UNIQUE_EMAIL was changed since the last migration"),
        ({}, "staff: there is no active staff account"),
    ],
)
def test_what_could_be_better_is_a_warning(
    looked_at: Look, database: Connection, environment: dict[str, str], warning: str
) -> None:
    found = looked_at(**environment)
    assert (found["status"], found["FAULT"]) == (["0"], [])
    assert warning in found["warning"]


def test_letters_that_are_given_up_or_late_are_said(looked_at: Look, database: Connection) -> None:
    database.execute("insert into letters (kind, given_up_at) values ('confirmation', now()), ('confirmation', now())")
    database.execute("insert into letters (kind, due_at) values ('confirmation', now() - interval '1 hour')")
    warnings = looked_at()["warning"]
    assert "letters: given up: 2" in warnings
    assert "letters: one is due for 60 minutes" in warnings


def test_an_index_that_is_not_valid_is_said(looked_at: Look, database: Connection, database_url: str) -> None:
    url = database_url.replace("//frontdesk@", "//postgres@")
    state = "update pg_index set indisvalid = %s where indexrelid = 'users_staff'::regclass"
    with psycopg.connect(url, autocommit=True) as superuser:
        superuser.execute(state, [False])
        try:
            assert "indexes: not valid: users_staff" in looked_at()["FAULT"]
        finally:
            superuser.execute(state, [True])


def test_a_database_that_cannot_store_every_text_is_one_fault(looked_at: Look, database_of_bytes: str) -> None:
    (said,) = looked_at(DATABASE_URL=database_of_bytes)["FAULT"]
    assert said.startswith("database: The database has the encoding SQL_ASCII, and UTF8 is needed.")


def test_a_data_folder_that_this_user_may_not_enter_is_said(
    looked_at: Look, database: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(settings: object) -> None:
        raise PermissionError(13, "Permission denied", str(tmp_path / "signing_key"))

    monkeypatch.setattr(check, "_key", refuse)
    found = looked_at()
    assert found["FAULT"] == [f"database: {tmp_path}/signing_key: Permission denied"]
    assert "see DATA_DIR" in found[""]


@pytest.fixture
def empty(make_database: Callable[[str], str]) -> str:
    """The URL of an empty database."""
    return make_database("check")


def test_a_schema_that_is_empty_old_or_newer_is_said(looked_at: Look, run: Run, empty: str) -> None:
    assert "migrations: the schema is empty" in looked_at(DATABASE_URL=empty)["FAULT"]
    assert "run: migrate" in looked_at(DATABASE_URL=empty, MIGRATE_ON_START="false")[""]
    assert run("migrate", DATABASE_URL=empty)[0] == 0
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute(
            "update _yoyo_migration set migration_id = '9999.later' where migration_id = '0016.staff_lists'"
        )
    faults = looked_at(DATABASE_URL=empty)["FAULT"]
    assert {"migrations: missing: 0016.staff_lists", "migrations: of a newer version: 9999.later"} <= set(faults)


def test_a_check_migrates_nothing(looked_at: Look, empty: str) -> None:
    looked_at(DATABASE_URL=empty)
    with psycopg.connect(empty) as connection:
        assert connection.execute("select from pg_class where relname = 'users'").fetchall() == []


def test_missing_rights_are_said_with_the_grant(
    looked_at: Look, run: Run, empty: str, postgres: BundledPostgres, worker_id: str
) -> None:
    run("migrate", DATABASE_URL=empty)
    role = f"reader_{worker_id}"
    with psycopg.connect(postgres.url("postgres", user="postgres"), autocommit=True) as superuser:
        superuser.execute(sql.SQL("create role {} login").format(sql.Identifier(role)))
    with psycopg.connect(empty, autocommit=True) as owner:
        for grant in ("select on all tables in schema public", "all on letters, events"):
            owner.execute(sql.SQL("grant {} to {}").format(sql.SQL(grant), sql.Identifier(role)))
    of_role = {"DATABASE_URL": empty.replace("//frontdesk@", f"//{role}@"), "MIGRATE_ON_START": "false"}
    try:
        found = looked_at(**of_role | {"MIGRATE_ON_START": "true"})
        with psycopg.connect(empty, autocommit=True) as owner:
            owner.execute(sql.SQL("create table _yoyo_other ()"))
            for advice in found[""]:
                if advice.startswith("GRANT "):
                    owner.execute(sql.SQL(advice))  # what the operator pastes
        after = looked_at(**of_role)
        users = run("users", **of_role)
    finally:
        with psycopg.connect(empty.replace("//frontdesk@", "//postgres@"), autocommit=True) as superuser:
            superuser.execute(sql.SQL("drop owned by {}").format(sql.Identifier(role)))
            superuser.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))
    assert f"rights: the role {role} lacks DELETE, INSERT, UPDATE on users" in found["FAULT"]
    assert f"GRANT DELETE, INSERT, UPDATE ON users TO {role}" in found[""]
    assert [line for line in found["FAULT"] if line.endswith((" letters", " events"))] == []
    assert f"rights: the role {role} may not migrate" in found["warning"]
    assert [line for line in after["FAULT"] if line.startswith("rights")] == []
    assert users[0] == 0


def test_a_database_that_only_reads_is_said(looked_at: Look, database_url: str, database: Connection) -> None:
    name = sql.Identifier(psycopg.conninfo.conninfo_to_dict(database_url)["dbname"])  # type: ignore[arg-type]
    database.execute(sql.SQL("alter database {} set default_transaction_read_only = on").format(name))
    try:
        assert "database: it only reads" in looked_at()["FAULT"]
    finally:
        database.execute("set default_transaction_read_only = off")
        database.execute(sql.SQL("alter database {} reset default_transaction_read_only").format(name))


@pytest.mark.parametrize(
    ("ahead", "level"),
    [(0.1, "ok"), (-1.9, "ok"), (2.5, "warning"), (-29.0, "warning"), (31.0, "FAULT"), (-3600.0, "FAULT")],
)
def test_a_clock_that_is_wrong_is_said(ahead: float, level: str) -> None:
    found = _clock(ahead)
    assert (found.level, ("ahead" if ahead > 0 else "behind") in found.text) == (level, True)


def test_the_bundled_database_is_not_made_by_a_check(looked_at: Look, tmp_path: Path) -> None:
    found = looked_at(DATABASE_URL="", SIGNING_KEY="")
    assert f"database: the first start makes it in {tmp_path}" in found["ok"]
    assert f"key: the first start makes {tmp_path}/signing_key" in found["ok"]
    assert not (tmp_path / "postgres").exists()


def test_a_key_that_others_can_read_is_said(looked_at: Look, tmp_path: Path) -> None:
    (tmp_path / "signing_key").write_text("0123456789abcdef" * 2)
    (tmp_path / "signing_key").chmod(0o644)
    assert f"key: others can read {tmp_path}/signing_key" in looked_at(DATABASE_URL="", SIGNING_KEY="")["FAULT"]
    (tmp_path / "signing_key").chmod(0o600)
    assert f"key: {tmp_path}/signing_key, keep a copy" in looked_at(DATABASE_URL="", SIGNING_KEY="")["ok"]


def test_templates_that_cannot_be_used_are_said(looked_at: Look, tmp_path: Path) -> None:
    (tmp_path / "t" / "en" / "pages").mkdir(parents=True)
    (tmp_path / "t" / "en" / "pages" / "activated.html").write_text("{% if")
    faults = looked_at(TEMPLATES_DIR=str(tmp_path / "t"), DATABASE_URL="", SIGNING_KEY="")["FAULT"]
    assert [line for line in faults if "activated.html, line 1" in line] != []


def test_a_folder_of_letters_that_cannot_be_written_is_said(looked_at: Look, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    faults = looked_at(MAIL_DIR=str(tmp_path / "file" / "x"), DATABASE_URL="", SIGNING_KEY="")["FAULT"]
    assert f"mail: MAIL_DIR {tmp_path}/file/x: Not a directory" in faults


def test_a_test_letter_is_a_file_without_a_mail_server(run: Run, tmp_path: Path) -> None:
    ran = run("test-mail", "anna@münchen.example", MAIL_DIR=str(tmp_path), SITE_NAME="Desk", DATABASE_URL="")
    assert ran == (0, f"SMTP_URL is not set: the letter for anna@münchen.example is a file in {tmp_path}.\n", "")
    (letter,) = collect(tmp_path)
    assert (letter.to, letter.subject) == ("anna@xn--mnchen-3ya.example", "Test letter of Desk")


async def test_a_test_letter_goes_to_the_mail_server(serve: Serve) -> None:
    clerk, port = await serve()
    url = f"smtp://127.0.0.1:{port}"
    ran = await asyncio.to_thread(in_a_process, "test-mail", "anna@example.com", SMTP_URL=url)
    assert ran == (0, "The mail server has accepted the letter for anna@example.com.\n", "")
    assert [letter.to for letter in clerk.letters] == ["anna@example.com"]
    clerk.rcpt = "550 no such mailbox"
    status, said, told = await asyncio.to_thread(in_a_process, "test-mail", "anna@example.com", SMTP_URL=url)
    assert (status, said, told) == (1, "", "The letter was not delivered: 550 no such mailbox\n")


@pytest.mark.parametrize("address", ["anna", "anna@", "a@b.example, c@d.example", "a@b.example\nBcc: e@x.example"])
def test_a_test_letter_goes_to_one_valid_address_only(run: Run, tmp_path: Path, address: str) -> None:
    status, said, _ = run("test-mail", address, MAIL_DIR=str(tmp_path))
    assert (status, said, list(tmp_path.iterdir())) == (1, "", [])
