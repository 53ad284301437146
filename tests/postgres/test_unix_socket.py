"""Statements over the server's socket: temporary failures differ from others, and time is bounded."""

import os
import signal
import socket
import time
from pathlib import Path

import psycopg
import pytest

from server.postgres import server
from server.postgres.unix_socket import RefusedError, ask, peer, socket_path
from tests.postgres.servers import attached, postmaster
from tests.processes import eventually


def test_it_returns_the_first_row_as_text(data: Path) -> None:
    with attached(data) as share:
        assert ask(share.socket_dir, "select 1, false, current_user") == ["1", "f", "postgres"]
        assert ask(share.socket_dir, "select 1 where false") == []
        assert ask(share.socket_dir, "set work_mem = '4MB'") == []


def test_the_listening_process_is_the_postmaster(data: Path) -> None:
    with attached(data) as share:
        assert peer(share.socket_dir) == postmaster(data)
    assert peer(share.socket_dir) is None


def test_a_statement_with_a_fault_is_refused(data: Path) -> None:
    with attached(data) as share, pytest.raises(RefusedError, match="syntax error"):
        ask(share.socket_dir, "selct 1")


def test_a_missing_socket_is_temporary(tmp_path: Path) -> None:
    with pytest.raises(ConnectionRefusedError, match="there is no socket"):
        ask(tmp_path, "select 1")


def test_a_socket_on_which_no_process_listens_is_temporary(temp: Path) -> None:
    with socket.socket(socket.AF_UNIX) as closed:
        closed.bind(str(socket_path(temp)))
    with pytest.raises(ConnectionRefusedError, match="refused"):
        ask(temp, "select 1")
    socket_path(temp).unlink()


def test_a_server_that_shuts_down_is_temporarily_unreachable(data: Path) -> None:
    with attached(data) as share:
        with psycopg.connect(share.url()):  # a smart shutdown waits for this session and accepts no other
            os.kill(postmaster(data), signal.SIGTERM)
            with pytest.raises(ConnectionRefusedError, match="the database system is shutting down"):
                eventually(lambda: ask(share.socket_dir, "select 1") == [])
        assert share.revive() is True


def test_a_server_whose_connections_are_all_in_use_is_temporarily_unreachable(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 3)
    with (copy / "postgres" / "postgresql.conf").open("a") as conf:
        conf.write("\nsuperuser_reserved_connections = 0\n")
        conf.write("max_wal_senders = 0\nautovacuum_worker_slots = 1\n")
    with attached(copy) as share:
        url = share.url(user="postgres")
        in_use = [psycopg.connect(url, autocommit=True) for _ in range(3)]
        with pytest.raises(ConnectionRefusedError, match="too many clients already"):
            ask(share.socket_dir, "select 1")
        for connection in in_use:
            connection.close()


def test_a_connection_that_ends_during_a_statement_is_temporary(data: Path) -> None:
    with attached(data) as share, pytest.raises(ConnectionRefusedError, match="terminating connection"):
        ask(share.socket_dir, "select pg_terminate_backend(pg_backend_pid())")


def test_a_statement_takes_no_longer_than_its_limit(data: Path) -> None:
    with attached(data) as share:
        began = time.monotonic()
        with pytest.raises(TimeoutError, match="no response within 0 s"):
            ask(share.socket_dir, "select pg_sleep(30)", limit=0)
        assert time.monotonic() - began < 10


@pytest.mark.slow
def test_a_connection_takes_no_longer_than_its_limit(temp: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(socket_path(temp)))
        silent.listen()
        with pytest.raises(TimeoutError, match="no connection within 2 s"):
            ask(temp, "select 1", limit=2)
    socket_path(temp).unlink()
