"""The life of a server: starts, kills, stops, and pid files that cannot be believed."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from server.postgres import server
from server.postgres.binaries import find_binaries
from server.postgres.bundled import BundledPostgresError, attach
from server.postgres.system_user import system_user_for
from server.postgres.unix_socket import PORT, ask
from tests.postgres.servers import Process, answers, attached, postmaster, query, runs
from tests.processes import eventually


def children_on(runtime: str) -> list[int]:
    """The children of this process that have `runtime` in their command line."""
    found = Path("/proc/self/task").glob("*/children")
    pids = [pid for each in found for pid in each.read_text().split()]
    return [int(pid) for pid in pids if runtime.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()]


def test_a_server_that_is_killed_while_it_starts_is_started_again(data: Path) -> None:
    killed: list[int] = []

    def kill_the_first(text: str) -> None:
        runtime = text.rpartition("runtime folder ")[2].rstrip(".")
        if "starts on" in text and not killed:
            killed.extend(children_on(runtime))
            os.kill(killed[0], signal.SIGKILL)

    with attached(data, say=kill_the_first) as share:
        assert len(killed) == 1
        assert query(share.url(), "select 1") == 1


def test_a_server_that_is_killed_before_its_role_is_checked_is_started_again(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed: list[int] = []

    def kill_the_first(socket_dir: Path, statement: str, *limit: int) -> list[str]:
        if "pg_roles" in statement and not killed:
            killed.append(postmaster(data))
            os.kill(killed[0], signal.SIGKILL)
            eventually(lambda: not runs(data))
        return ask(socket_dir, statement, *limit)

    monkeypatch.setattr(server, "ask", kill_the_first)
    with attached(data) as share:
        assert killed
        assert query(share.url(), "select 1") == 1


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
        assert query(share.url(), "select 1") == 1


def test_a_running_server_that_refuses_its_superuser_is_reported_without_waiting(copy: Path) -> None:
    access = copy / "postgres" / "pg_hba.conf"
    before = access.read_text()
    with attached(copy) as share, psycopg.connect(share.url(user="postgres"), autocommit=True) as superuser:
        access.write_text("local all all reject\n")
        superuser.execute("select pg_reload_conf()")
        eventually(lambda: not answers(share.url()))
        began = time.monotonic()
        with pytest.raises(BundledPostgresError, match=r"cannot be used from here .*pg_hba\.conf rejects connection"):
            attach(copy)
        assert time.monotonic() - began < server.START_SECONDS / 4
        access.write_text(before)


def test_a_stop_that_was_cut_off_by_a_kill_is_completed_before_the_next_start(
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
        assert query(share.url(), "select 1") == 1


def test_a_server_that_reacts_and_does_not_stop_is_stopped_by_force(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "FAST_STOP_SECONDS", 0.2)
    monkeypatch.setattr(server, "FORCED_STOP_SECONDS", 0.2)
    monkeypatch.setattr(server, "REACTION_SECONDS", 0.2)
    monkeypatch.setattr(server, "reacts", lambda *arguments: True)
    said: list[str] = []
    share = attach(data, durable=False, say=said.append)
    os.kill(postmaster(data), signal.SIGSTOP)
    share.release()
    assert not runs(data)
    assert [each.rpartition(" ")[2] for each in said[-2:]] == ["SIGINT.", "SIGQUIT."]
    attach(data, durable=False).release()  # removes the shared memory of the killed server


def test_a_server_whose_processes_are_all_frozen_is_stopped_at_once(data: Path) -> None:
    said: list[str] = []
    share = attach(data, durable=False, say=said.append)
    parent = postmaster(data)
    children = Path(f"/proc/{parent}/task/{parent}/children")
    for process in (parent, *map(int, children.read_text().split() if children.exists() else [])):
        os.kill(process, signal.SIGSTOP)
    with pytest.raises(BundledPostgresError, match="does not react"):
        share.revive()
    share.release()
    assert not runs(data)
    assert said[-1].endswith("does not react, and is killed.")
    attach(data, durable=False).release()  # removes the shared memory of the killed server


def test_ctrl_c_in_the_terminal_does_not_reach_the_server(data: Path) -> None:
    with attached(data):
        assert os.getsid(postmaster(data)) != os.getsid(0)


def test_a_pid_file_with_the_pid_of_another_program_stops_neither_the_start_nor_that_program(data: Path) -> None:
    user = system_user_for(data / "postgres", data)
    with subprocess.Popen(["sleep", "60"], **user.options) as other:
        (data / "postgres" / "postmaster.pid").write_text(f"{other.pid}\n{data}\n1\n{PORT}\n/tmp\n\n1 1\nready\n")
        with attached(data) as share:
            assert query(share.url(), "select 1") == 1
        assert other.poll() is None
        other.kill()


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux reports which process listens")
def test_a_server_that_was_started_by_hand_is_not_disturbed(data: Path, temp: Path) -> None:
    user = system_user_for(data / "postgres", data)
    place = user.make_folder(temp / "by-hand")
    fd = os.open(data / "postgres", os.O_RDONLY)
    found = find_binaries(None)
    usable = found if found.run_for(user) else found.copied_to(temp / "programs")
    command = [
        str(usable.folder / "postgres"),
        "-D",
        f"/proc/self/fd/{fd}",
        "-k",
        str(place),
        "-c",
        "listen_addresses=",
    ]
    options = user.options | {"stderr": subprocess.DEVNULL, "pass_fds": (fd,)}
    with subprocess.Popen(command, **options) as by_hand:
        os.close(fd)
        url = f"postgresql://postgres@/postgres?host={place}"
        eventually(lambda: answers(url))
        with pytest.raises(BundledPostgresError, match="started by hand"):
            attach(data)
        assert query(url, "select 1") == 1
        by_hand.send_signal(signal.SIGINT)
    shutil.rmtree(place)
    shutil.rmtree(temp / "programs", ignore_errors=True)
