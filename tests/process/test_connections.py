"""Services in processes of their own: behind a pooler, with few connections, with a database that does not respond."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.conftest import PASSWORD, StartService
from tests.database.poolers import pgbouncer
from tests.mail.reading import collect
from tests.processes import Started, eventually, header, register
from tests.rows import Connection

pytestmark = pytest.mark.slow

USED = (
    "select count(*) as used from pg_stat_activity"
    " where datname = current_database() and application_name = 'frontdesk'"
)


@pytest.mark.parametrize("pool_mode", ["transaction", "session"])
def test_services_work_behind_a_pooler(
    start: StartService, database: Connection, database_url: str, tmp_path: Path, pool_mode: str
) -> None:
    size = "3" if pool_mode == "transaction" else "40"
    with pgbouncer(tmp_path, database_url, pool_mode=pool_mode, default_pool_size=size) as url:
        letters = tmp_path / "letters"
        services = [start(DATABASE_URL=url, MAIL_DIR=str(letters)) for _ in range(2)]
        try:
            with ThreadPoolExecutor(10) as pool:
                people = [*pool.map(lambda n: register(services[n % 2].url, f"pooled{n}"), range(10))]

                def read(number: int) -> None:
                    person = number % 10
                    me = requests.get(
                        f"{services[number % 2].url}/auth/users/me/", headers=header(people[person]), timeout=20
                    )
                    assert (me.status_code, me.json()["username"]) == (200, f"pooled{person}")

                [*pool.map(read, range(300))]
            new = {"username": "lettered", "password": PASSWORD, "email": "lettered@example.com"}
            assert requests.post(f"{services[0].url}/auth/users/", json=new, timeout=20).status_code == 201
            asked = {"email": "lettered@example.com"}
            reset = requests.post(f"{services[0].url}/auth/users/reset_password/", json=asked, timeout=20)
            assert reset.status_code == 204
            eventually(lambda: letters.is_dir() and collect(letters))
            assert [requests.get(f"{each.url}/readyz", timeout=20).status_code for each in services] == [200, 200]
        finally:
            for each in services:
                assert each.stop() == 0


def test_all_workers_together_have_no_more_connections_than_the_setting(
    start: StartService, database: Connection
) -> None:
    service = start(WORKERS="2", DATABASE_CONNECTIONS="6")
    seen: list[int] = []
    with ThreadPoolExecutor(20) as pool:
        registered = pool.map(lambda number: register(service.url, f"divided{number}"), range(60))
        for _ in range(60):
            next(registered)
            row = database.execute(USED).fetchone()
            assert row is not None
            seen.append(row["used"])
    assert 2 < max(seen) <= 6


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_database_that_does_not_react_holds_up_no_stop(tmp_path: Path, workers: str) -> None:
    own = {"DATABASE_URL": "", "SIGNING_KEY": "", "DATA_DIR": str(tmp_path), "WORKERS": workers}
    service = Started(**own)
    tokens = register(service.url, "frozen")
    postmaster = int((tmp_path / "postgres" / "postmaster.pid").read_text().split()[0])
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children")
    for process in (postmaster, *map(int, children.read_text().split() if children.exists() else [])):
        os.kill(process, signal.SIGSTOP)
    assert requests.get(f"{service.url}/auth/users/me/", headers=header(tokens), timeout=30).status_code == 503
    assert service.stop() == 0  # in less than START_SECONDS
    again = Started(**own)
    try:
        assert requests.get(f"{again.url}/auth/users/me/", headers=header(tokens), timeout=30).status_code == 200
    finally:
        again.stop()
