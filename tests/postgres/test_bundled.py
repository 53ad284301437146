"""Shares of the bundled PostgreSQL: all processes use one server, and the last one stops it, even after kills."""

import asyncio
import contextlib
import fcntl
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest
import yoyo

from server.postgres import server
from server.postgres.bundled import BundledPostgresError, attach
from server.postgres.unix_socket import RefusedError, ask
from tests.postgres.servers import FORKS, Process, attached, postmaster, query, runs


def test_asyncpg_psycopg_and_yoyo_reach_a_new_server_at_one_url(tmp_path: Path) -> None:
    async def read(url: str) -> Any:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval("select current_user || ' ' || current_database()")
        finally:
            await connection.close()

    with attached(tmp_path / "new" / "data", durable=True) as share:
        assert asyncio.run(read(share.url())) == "frontdesk frontdesk"
        assert query(share.url(), "select current_database()") == "frontdesk"
        backend = yoyo.get_backend(share.url().replace("postgresql://", "postgresql+psycopg://"))
        assert backend.execute("select 1").fetchone() == (1,)
        backend.connection.close()


def test_pgport_does_not_change_the_url(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with attached(data) as share:
        monkeypatch.setenv("PGPORT", "1")
        assert query(share.url(), "select 1") == 1


@pytest.mark.parametrize("service", ["elsewhere", "missing"])
def test_variables_of_libpq_and_a_service_file_change_nothing(
    service: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = (
        "host=127.0.0.1\nport=1\nuser=nobody\ndbname=nothing\noptions=-csearch_path=nowhere\nsslmode=verify-full\n"
    )
    (tmp_path / "services").write_text(f"[elsewhere]\n{elsewhere}")
    (tmp_path / "passwords").write_text("*:*:*:*:wrong\n")
    variables = {"PGHOST": "127.0.0.1", "PGHOSTADDR": "127.0.0.1", "PGPORT": "1", "PGUSER": "nobody"}
    variables |= {"PGDATABASE": "nothing", "PGPASSFILE": str(tmp_path / "passwords"), "PGTZ": "nowhere"}
    variables |= {"PGOPTIONS": "-c search_path=nowhere", "PGSSLMODE": "verify-full", "PGREQUIREPEER": "someone"}
    variables |= {"PGSERVICE": service, "PGSERVICEFILE": str(tmp_path / "services"), "PGCLIENTENCODING": "LATIN1"}
    variables |= {"PGREQUIREAUTH": "scram-sha-256", "PGTARGETSESSIONATTRS": "standby", "PGDATESTYLE": "nonsense"}
    variables |= {"PGDATA": str(tmp_path), "PGMAXPROTOCOLVERSION": "1.0", "PGCONNECT_TIMEOUT": "soon"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with attached(data) as share:
        assert query(share.url(), "show search_path") == '"$user", public'
        os.kill(postmaster(data), signal.SIGKILL)
        assert share.revive()
        assert query(share.url(), "select current_user") == "frontdesk"


def test_four_simultaneous_starts_make_one_server_and_the_last_user_stops_it(
    tmp_path: Path, temp: Path, users: Callable[..., Process]
) -> None:
    four = [users(tmp_path) for _ in range(4)]
    urls = [user.url() for user in four]
    only = postmaster(tmp_path)
    assert len(set(urls)) == 1
    for user in four:
        assert postmaster(tmp_path) == only
        assert query(urls[0], "select 1") == 1
        assert user.leave() == 0
    assert not runs(tmp_path)
    assert list(temp.iterdir()) == []


def test_the_last_user_stops_it_even_if_the_kernel_still_closes_the_files_of_a_killed_one(
    data: Path, users: Callable[..., Process]
) -> None:
    last = users(data)
    last.url()
    killed = os.open(data / "postgres.users", os.O_RDWR)
    fcntl.flock(killed, fcntl.LOCK_SH)
    closing = threading.Timer(0.05, os.close, [killed])
    closing.start()
    assert last.leave() == 0
    closing.join()
    assert not runs(data)


def test_a_user_that_is_killed_gives_its_share_back(data: Path, users: Callable[..., Process]) -> None:
    killed, other = users(data), users(data)
    killed.url()
    url = other.url()
    killed.kill()
    assert query(url, "select 1") == 1
    assert other.leave() == 0
    assert not runs(data)


def test_the_next_user_joins_and_stops_a_server_whose_users_were_all_killed(
    data: Path, users: Callable[..., Process]
) -> None:
    killed = users(data)
    url = killed.url()
    before = postmaster(data)
    killed.kill()
    assert query(url, "select 1") == 1
    with attached(data) as share:
        assert postmaster(data) == before
        assert share.url() == url
    assert not runs(data)


def test_the_next_start_removes_everything_that_was_left_when_all_were_killed(
    data: Path, temp: Path, users: Callable[..., Process]
) -> None:
    killed = users(data)
    killed.url()
    os.kill(postmaster(data), signal.SIGKILL)
    killed.kill()
    assert list(temp.iterdir()) != []
    with attached(data) as share:
        assert query(share.url(), "select 1") == 1
    assert list(temp.iterdir()) == []


def test_revive_starts_a_killed_server_and_does_not_touch_a_living_one(data: Path) -> None:
    with attached(data) as share:
        assert share.revive() is False
        os.kill(postmaster(data), signal.SIGKILL)
        assert share.revive() is True
        assert query(share.url(), "select 1") == 1
    with pytest.raises(BundledPostgresError, match="given back"):
        share.revive()


def test_a_killed_server_comes_back_at_the_same_url_with_everything_that_was_committed(data: Path) -> None:
    with attached(data, durable=True) as first:
        query(first.url(), "drop table if exists letters; create table letters (body text)")
        with psycopg.connect(first.url()) as open_transaction:
            open_transaction.execute("insert into letters values ('committed')")
            open_transaction.commit()
            open_transaction.execute("insert into letters values ('not committed')")
            os.kill(postmaster(data), signal.SIGKILL)
            with attached(data) as second:
                assert second.url() == first.url()
                assert query(first.url(), "select string_agg(body, ',') from letters") == "committed"
            with contextlib.suppress(psycopg.OperationalError):
                open_transaction.commit()
        assert query(first.url(), "select count(*) from letters") == 1


def test_release_can_be_called_again_and_from_many_threads(data: Path) -> None:
    with attached(data) as other:
        share = attach(data)
        threads = [threading.Thread(target=share.release) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        share.release()
        assert query(other.url(), "select 1") == 1


def test_a_signal_handler_can_release_during_a_release(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_user_that_joins_while_another_leaves_never_gets_a_stopping_server(data: Path) -> None:
    def join_and_leave(_: int) -> None:
        for _round in range(6):
            with attached(data) as share:
                assert query(share.url(), "select 1") == 1

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(join_and_leave, range(4))) == [None] * 4
    assert not runs(data)


def test_a_release_in_a_forked_child_leaves_the_parents_share(data: Path, users: Callable[..., Process]) -> None:
    parent = users(data, FORKS)
    assert query(parent.url(), "select 1") == 1
    assert parent.leave() == 0


def test_an_attach_that_fails_stops_the_server_that_it_started(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse_roles(socket_dir: Path, statement: str, *limit: int) -> list[str]:
        if "pg_roles" in statement:
            raise RefusedError("no")
        return ask(socket_dir, statement, *limit)

    monkeypatch.setattr(server, "ask", refuse_roles)
    with pytest.raises(BundledPostgresError, match="has no database frontdesk: no"):
        attach(data, durable=False)
    assert not runs(data)
