"""The commands backup and restore: the bundled database, while the service serves."""

import os
import re
import signal
import stat
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import requests

from server.postgres.backup_digest import LENGTH
from server.postgres.bundled import attach
from server.postgres.client_programs import find_client_program, run_client_program
from server.postgres.errors import BundledPostgresError
from tests.commands.conftest import Ran, Run
from tests.conftest import PASSWORD
from tests.processes import COUNTED, ROOT, Started, eventually, header, register, surroundings

pytestmark = pytest.mark.slow

ADDRESS = "anna@münchen.example"  # its key is computed while rows are restored
EMPTY = {"DATABASE_URL": "", "SIGNING_KEY": ""}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder for all tests of this module: initdb takes the longest."""
    return tmp_path_factory.mktemp("backup") / "data"


@pytest.fixture
def service(data: Path) -> Iterator[Started]:
    """A service on its bundled database, without accounts."""
    started = Started(DATA_DIR=str(data), **EMPTY)
    with psycopg.connect(url(data), autocommit=True) as connection:
        connection.execute("delete from users")
    yield started
    assert started.stop() == 0


def url(data: Path, database: str = "frontdesk") -> str:
    """The URL of a database of the running server."""
    share = attach(data, say=lambda text: None)
    found = share.url(database)
    share.release()
    return found


@pytest.fixture
def command(data: Path) -> Callable[..., Ran]:
    """A function that runs a command on the bundled database, in a process of its own."""

    def run(*arguments: str) -> Ran:
        ran = subprocess.run(
            [sys.executable, "-m", "server", *arguments],
            cwd=ROOT,
            env=surroundings(DATA_DIR=str(data), **COUNTED),
            input="",
            capture_output=True,
            text=True,
            timeout=120,
        )
        return ran.returncode, ran.stdout, ran.stderr

    return run


def sign_in(service: Started, name: str) -> int:
    """The status of a sign-in."""
    given = {"username": name, "password": PASSWORD}
    return requests.post(f"{service.url}/auth/jwt/create/", data=given, timeout=10).status_code


def me(service: Started, tokens: dict[str, str]) -> int:
    """The status of a request with these tokens."""
    return requests.get(f"{service.url}/auth/users/me/", headers=header(tokens), timeout=10).status_code


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a backup.dump"


def test_a_backup_is_restored_while_the_service_serves(
    service: Started, command: Callable[..., Ran], data: Path, file: Path
) -> None:
    anna = register(service.url, "anna")
    path = f"{service.url}/auth/users/me/"
    assert requests.patch(path, json={"email": ADDRESS}, headers=header(anna), timeout=10).json()["email"] == ADDRESS
    status, said, told = command("backup", str(file))
    assert (status, told) == (0, "")
    told_key = f"The signing key is not in it: keep {data}/signing_key, too."
    assert re.fullmatch(rf"{file} has the database, [0-9,]+ bytes\. {told_key}\n", said)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    boris = register(service.url, "boris")
    with requests_all_along(service, anna) as statuses:
        status, said, told = command("restore", str(file), "--yes")
    assert (status, told) == (0, "")
    assert said.splitlines()[0].startswith(f"{file} is in force.")
    assert set(statuses) <= {200, 503}
    assert statuses[200] > 0
    assert (me(service, anna), me(service, boris), sign_in(service, "boris")) == (200, 401, 401)
    assert requests.get(path, headers=header(anna), timeout=10).json()["email"] == ADDRESS
    register(service.url, "clara")
    assert names(data) == ["anna", "clara"]
    assert names(data, "frontdesk_before_restore") == ["anna", "boris"]
    assert service.process.poll() is None

    assert command("restore", str(file), "--yes", "--end-sessions")[0] == 0
    assert (me(service, anna), sign_in(service, "anna")) == (401, 200)
    assert names(data, "frontdesk_before_restore") == ["anna", "clara"]


class requests_all_along:  # noqa: N801  used like a function
    """Send requests until the block ends: how many got which status."""

    def __init__(self, service: Started, tokens: dict[str, str]) -> None:
        self._service, self._tokens = service, tokens
        self._statuses: Counter[int] = Counter()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._send)

    def __enter__(self) -> Counter[int]:
        self._thread.start()
        return self._statuses

    def __exit__(self, *failure: object) -> None:
        self._end.set()
        self._thread.join()

    def _send(self) -> None:
        while not self._end.is_set():
            self._statuses[me(self._service, self._tokens)] += 1


def names(data: Path, database: str = "frontdesk") -> list[str]:
    """The usernames in a database."""
    with psycopg.connect(url(data, database)) as connection:
        return [name for (name,) in connection.execute("select username from users order by id").fetchall()]


def databases(data: Path) -> set[str]:
    """The databases of the service that there are."""
    with psycopg.connect(url(data)) as connection:
        rows = connection.execute("select datname from pg_database where datname like 'frontdesk%'").fetchall()
    return {name for (name,) in rows}


def test_what_cannot_be_restored_changes_nothing(
    service: Started, command: Callable[..., Ran], data: Path, file: Path, tmp_path: Path
) -> None:
    register(service.url, "anna")
    assert command("backup", str(file))[0] == 0
    before = databases(data)
    (tmp_path / "text").write_text("no backup")
    (tmp_path / "short").write_bytes(file.read_bytes()[:-1])
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    other, newer, part = (str(tmp_path / name) for name in ("other", "newer", "part"))
    pg_dump = find_client_program("pg_dump", 18)
    with psycopg.connect(url(data), autocommit=True) as connection:
        connection.execute("insert into _yoyo_migration (migration_hash, migration_id) values ('x', '9999.later')")
        subprocess.run([pg_dump, "-Fc", "-f", newer, url(data)], check=True)
        connection.execute("delete from _yoyo_migration where migration_hash = 'x'")
        subprocess.run([pg_dump, "-Fc", "-f", other, url(data, "postgres")], check=True)
        subprocess.run([pg_dump, "-Fc", "-f", part, "--exclude-table=deleted_accounts", url(data)], check=True)
    for given, reason in (
        ("missing", f"There is no file {tmp_path}/missing."),
        ("folder", f"{tmp_path}/folder is a folder."),
        ("pipe", f"{tmp_path}/pipe is no file."),
        ("text", f"{tmp_path}/text is no backup of this service."),
        ("short", f"{tmp_path}/short is damaged: its digest cannot be read."),
        ("a" * 300, f"{tmp_path}/{'a' * 300} cannot be read: File name too long."),
        ("part", "The backup is damaged, it lacks: column deleted_accounts."),
        ("other", "The file is not a backup of this service."),
        ("newer", "The backup is of a newer version, with the migrations 9999.later: install that one."),
    ):
        status, said, told = command("restore", str(tmp_path / given), "--yes")
        assert (status, said) == (1, ""), given
        assert told.splitlines()[-1].startswith(reason), told
        assert databases(data) == before
    assert command("restore", str(file)) == (1, "", "Without a terminal to ask at, restore needs --yes.\n")
    assert names(data) == ["anna"]


def test_a_backup_replaces_no_file_and_leaves_no_part_of_one(
    service: Started, command: Callable[..., Ran], file: Path, tmp_path: Path
) -> None:
    file.write_text("precious")
    assert command("backup", str(file)) == (1, "", f"{file} exists: a backup never replaces a file.\n")
    assert file.read_text() == "precious"
    status, _, told = command("backup", str(tmp_path / "none" / "x"))
    assert (status, told) == (1, f"The backup cannot be written to {tmp_path}/none/x: No such file or directory.\n")
    status, _, told = command("backup", str(tmp_path / ("x" * 300)))
    assert (status, told.rpartition(": ")[2]) == (1, "File name too long.\n")
    assert [each.name for each in tmp_path.iterdir()] == [file.name]


def test_a_backup_with_one_wrong_bit_is_not_restored(
    service: Started, command: Callable[..., Ran], data: Path, file: Path, tmp_path: Path
) -> None:
    register(service.url, "anna")
    assert command("backup", str(file))[0] == 0
    good, before = file.read_bytes(), databases(data)
    entry = good.index(b"\x08\0\0\0profiles\0\n\0\0\0TABLE DATA")
    damaged = tmp_path / "damaged"
    for place in (entry + 28, len(good) // 2, len(good) - 1, len(good) - LENGTH, len(good) - LENGTH // 2):
        content = bytearray(good)
        content[place] ^= 4
        damaged.write_bytes(content)
        status, said, told = command("restore", str(damaged), "--yes")
        assert (status, said, told.startswith(f"{damaged} is damaged: ")) == (1, "", True), (place, told)
        assert databases(data) == before
    run_client_program([find_client_program("pg_restore", 18), f"--file={tmp_path}/sql", file])  # by hand


def test_a_backup_without_a_digest_is_restored_with_a_warning(
    service: Started, command: Callable[..., Ran], data: Path, file: Path
) -> None:
    register(service.url, "anna")
    assert command("backup", str(file))[0] == 0
    file.write_bytes(file.read_bytes()[:-LENGTH])
    status, said, told = command("restore", str(file), "--yes")
    assert (status, said.splitlines()[0].startswith(f"{file} is in force.")) == (0, True)
    assert told.endswith(f"{file} has no digest: whether all rows are in it cannot be known\n")
    assert names(data) == ["anna"]


def test_a_second_restore_at_the_same_time_touches_nothing(
    service: Started, command: Callable[..., Ran], data: Path, file: Path
) -> None:
    register(service.url, "anna")
    assert command("backup", str(file))[0] == 0
    first = subprocess.Popen(
        [sys.executable, "-m", "server", "restore", str(file), "--yes"],
        cwd=ROOT,
        env=surroundings(DATA_DIR=str(data)),
        stdout=subprocess.PIPE,
        text=True,
    )
    with first:
        eventually(lambda: "frontdesk_restoring" in databases(data))
        first.send_signal(signal.SIGSTOP)
        try:
            assert command("restore", str(file), "--yes") == (1, "", "Another restore is under way.\n")
            assert command("backup", f"{file}.2")[0] == 0
        finally:
            first.send_signal(signal.SIGCONT)
        assert first.wait() == 0
    assert names(data) == ["anna"]
    assert command("restore", f"{file}.2", "--yes")[0] == 0


def test_a_database_that_lacked_an_index_is_restored_with_a_warning(
    service: Started, command: Callable[..., Ran], data: Path, file: Path
) -> None:
    register(service.url, "anna")
    with psycopg.connect(url(data), autocommit=True) as connection:
        connection.execute("create table notes (id int)")  # of the operator
        connection.execute("alter index users_awaiting rename to other_name")
        try:
            assert command("backup", str(file))[0] == 0
        finally:
            connection.execute("drop table notes")
            connection.execute("alter index other_name rename to users_awaiting")
    status, _, told = command("restore", str(file), "--yes")
    assert (status, told.partition(" WARNING ")[2]) == (
        0,
        "server.commands.restore the database that was saved lacked: index users_awaiting\n",
    )
    with psycopg.connect(url(data), autocommit=True) as connection:
        connection.execute("drop table notes")
        connection.execute("alter index other_name rename to users_awaiting")


def test_a_crash_of_a_program_is_reported_as_one() -> None:
    with pytest.raises(BundledPostgresError, match=r"^sh crashed \(SIGSEGV\)\.$"):
        run_client_program(["/bin/sh", "-c", "kill -SEGV $$"])


def test_with_database_url_the_operator_uses_the_programs_of_that_server(run: Run, file: Path) -> None:
    for arguments in (["backup", str(file)], ["restore", str(file), "--yes"]):
        status, said, told = run(*arguments)
        assert (status, said, told.partition(" ")[0]) == (1, "", "DATABASE_URL")


def test_a_program_of_an_older_postgresql_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.postgres.client_programs.wheel_folder", lambda: None)
    monkeypatch.setattr("server.postgres.client_programs.INSTALLED_FOLDERS", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    for name, version in (("pg_dump", 15), ("pg_restore", 18)):
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}.1'\n")
        (tmp_path / name).chmod(0o755)
    assert find_client_program("pg_restore", 18) == tmp_path / "pg_restore"
    with pytest.raises(
        BundledPostgresError, match=rf"^pg_dump of PostgreSQL 18 .* only 15 at {tmp_path}/pg_dump: .*PG_BIN"
    ):
        find_client_program("pg_dump", 18)
    monkeypatch.setenv("PG_BIN", str(tmp_path))
    assert find_client_program("pg_dump", 15) == tmp_path / "pg_dump"
