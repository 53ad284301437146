"""The data folder: made completely or not at all, never overwritten, with the settings that the service needs."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from server.database.connecting import Connector
from server.database.migrate import connect_yoyo
from server.postgres import data_folder, server
from server.postgres.bundled import BundledPostgresError, attach
from server.postgres.file_locks import take
from server.settings.database_url import DatabaseUrl
from tests.postgres.servers import Process, attached, query
from tests.processes import eventually


def test_a_server_is_durable_has_checksums_and_utf8_and_does_not_listen_on_the_network(data: Path) -> None:
    with attached(data, durable=True) as share:
        wanted = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "data_checksums": "on"}
        wanted |= {"server_encoding": "UTF8", "listen_addresses": "", "max_connections": "200"}
        wanted |= {"shared_buffers": "128MB", "unix_socket_permissions": "0700", "TimeZone": "UTC"}
        assert {name: query(share.url(user="postgres"), f"show {name}") for name in wanted} == wanted
        assert query(share.url(), "select lower('ÄÉЖ') || upper('straße')") == "äéжSTRAßE"
        assert share.socket_dir.stat().st_mode & 0o777 == 0o700


async def test_every_way_to_connect_uses_the_socket(data: Path) -> None:
    asked = "select inet_server_addr() is null"
    with attached(data) as share:
        assert query(share.url(), asked) is True
        yoyo = connect_yoyo(DatabaseUrl.read(share.url()))
        try:
            assert yoyo.execute(asked).fetchone() == (True,)
        finally:
            yoyo.connection.close()
        connection = await Connector(DatabaseUrl.read(share.url()), command_timeout=15).opener({})()
        try:
            assert await connection.fetchval(asked) is True
        finally:
            await connection.close()


def test_the_role_can_copy_databases_for_tests_and_is_no_superuser(data: Path) -> None:
    with attached(data) as share:
        query(share.url("postgres"), 'create database "worker 1" template frontdesk')
        assert query(share.url("worker 1"), "select current_database()") == "worker 1"
        query(share.url("postgres"), 'drop database "worker 1"')
        assert query(share.url(), "select usesuper from pg_user where usename = current_user") is False


def test_a_role_or_database_that_was_dropped_is_made_again(data: Path) -> None:
    with attached(data) as share:
        query(share.url("postgres", user="postgres"), "drop database frontdesk")
        query(share.url("postgres", user="postgres"), "drop role frontdesk")
        with attached(data):
            assert query(share.url(), "select current_user") == "frontdesk"


def test_a_kill_during_initdb_leaves_nothing_incomplete(tmp_path: Path, users: Callable[..., Process]) -> None:
    killed = users(tmp_path)
    eventually((tmp_path / "postgres.new" / "global").exists)
    killed.kill()
    assert not (tmp_path / "postgres").exists()
    with attached(tmp_path) as share:
        assert query(share.url(), "select 1") == 1
    assert not (tmp_path / "postgres.new").exists()


def test_an_initdb_that_still_runs_after_its_user_is_not_disturbed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_folder, "INITDB_SECONDS", 0.1)
    (tmp_path / "postgres.new").mkdir()
    fd = os.open(tmp_path / "postgres.new", os.O_RDONLY)
    assert take(fd)
    with pytest.raises(BundledPostgresError, match="An initdb still writes"):
        attach(tmp_path)
    os.close(fd)
    assert (tmp_path / "postgres.new").exists()


def test_other_files_in_its_place_are_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "diary.txt").write_text("dear")
    with pytest.raises(BundledPostgresError, match="is not a data folder of PostgreSQL: move its files away"):
        attach(tmp_path, durable=False)
    assert (tmp_path / "postgres" / "diary.txt").read_text() == "dear"


def test_a_data_folder_of_another_version_names_both_versions(tmp_path: Path) -> None:
    old = tmp_path / "data" / "postgres"
    old.mkdir(parents=True)
    (old / "PG_VERSION").write_text("9\n")
    if os.geteuid() == 0:
        shutil.chown(old, "nobody")
    with pytest.raises(BundledPostgresError, match=r"made by PostgreSQL 9, and there is only 18\."):
        attach(old.parent)


def test_a_data_folder_that_is_a_file_is_named_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BundledPostgresError, match=r"file.*: choose a data folder that is not a file\.$"):
        attach(tmp_path / "file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root can write everywhere")
def test_a_data_folder_that_cannot_be_written_is_named_in_one_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(BundledPostgresError, match=r"Permission denied.*: run as its owner"):
        attach(tmp_path / "data")


def test_the_log_is_bounded_and_has_no_rows(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "LOG_MAX_BYTES", 1000)
    (data / "postgres.log").write_text("x" * 1001)
    with attached(data) as share:
        query(share.url(), "drop table if exists people; create table people (name text primary key)")
        query(share.url(), "insert into people values ('anna@example.com')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            query(share.url(), "insert into people values ('anna@example.com')")
    assert (data / "postgres.log.1").stat().st_size == 1001
    assert "anna" not in (data / "postgres.log").read_text()
    assert "database system is ready" in (data / "postgres.log").read_text()
