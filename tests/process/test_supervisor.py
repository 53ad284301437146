"""Several workers serve one port: a killed worker is replaced, a stopped one finishes its requests first."""

import asyncio
import collections
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeAlias, TypeVar

import aiohttp
import pytest
import requests

from server.postgres.file_locks import take
from tests.conftest import KEY, StartService
from tests.processes import COUNTED, START_SECONDS, Started, eventually, header, register

pytestmark = pytest.mark.slow
T = TypeVar("T")


def children(service: Started) -> set[int]:
    """The pids of the workers of a service."""
    pid = service.process.pid
    workers: set[int] = set()
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended in the meantime
            if b"--worker" in Path(f"/proc/{child}/cmdline").read_bytes():
                workers.add(int(child))
    return workers


def process_that_answers(url: str, headers: dict[str, str] | None = None) -> str:
    """The first part of the request id, which is different in each process. Each call opens a connection."""
    response = requests.get(f"{url}/auth/users/me/" if headers else f"{url}/healthz", headers=headers, timeout=20)
    assert response.status_code == 200, response.text
    return response.headers["X-Request-ID"].partition("-")[0]


def processes_that_answer(url: str, headers: dict[str, str] | None = None) -> set[str]:
    """The processes that answer 31 connections: the chance to miss one of two is one in a billion."""
    return {process_that_answers(url, headers) for _ in range(31)}


def numbers(service: Started) -> dict[str, float]:
    """The metrics by name."""
    text = requests.get(service.metrics_url(), timeout=10).text
    return {
        name.removeprefix("frontdesk_"): float(value)
        for name, value in (line.rsplit(" ", 1) for line in lines_of(text))
    }


StartInTerminal: TypeAlias = Callable[..., tuple[Started, int]]
"""Starts the service with a controlling terminal: the service, and the other side of the terminal."""


@pytest.fixture
def start_in_terminal(start: Callable[..., Started]) -> Iterator[StartInTerminal]:
    """Starts the service with a terminal of its own."""
    opened: list[int] = []

    def started(**environment: str) -> tuple[Started, int]:
        outside, inside = os.openpty()
        opened.extend((outside, inside))
        return start(terminal=str(inside), **environment), outside

    yield started
    for each in opened:
        with contextlib.suppress(OSError):
            os.close(each)


def lines_of(text: str) -> list[str]:
    """The lines that are not comments."""
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_two_workers_answer_on_one_port_and_accept_each_others_tokens(start: Callable[..., Started]) -> None:
    service = start(WORKERS="2")
    headers = header(register(service.url, "anna"))
    assert len(processes_that_answer(service.url, headers)) == 2
    assert len(children(service)) == 2


def test_a_killed_worker_is_replaced_and_tokens_stay_valid(start: Callable[..., Started]) -> None:
    service = start(WORKERS="2", METRICS="127.0.0.1:0", **COUNTED)
    headers = header(register(service.url, "anna"))
    before, counted = children(service), numbers(service)
    os.kill(min(before), signal.SIGKILL)
    eventually(lambda: len(children(service) - before) == 1)
    # A connection to the socket of the dead worker waits for the next one: none is refused.
    assert len(processes_that_answer(service.url, headers)) == 2
    assert numbers(service)["processes"] == 2
    assert numbers(service)["hash_wait_seconds_count"] == counted["hash_wait_seconds_count"] == 2
    assert numbers(service)["workers_replaced_total"] == 1


def test_workers_read_secrets_from_files_and_have_none_in_their_environment(
    start: StartService, database_url: str, tmp_path: Path
) -> None:
    for name, secret in {"url": database_url, "key": KEY}.items():
        (tmp_path / name).write_text(f"{secret}\n")
    files = {"DATABASE_URL_FILE": f"{tmp_path}/url", "SIGNING_KEY_FILE": f"{tmp_path}/key"}
    service = start(WORKERS="2", DATABASE_URL="", SIGNING_KEY="", **files)
    headers = header(register(service.url, "anna"))
    assert requests.get(f"{service.url}/auth/users/me/", headers=headers, timeout=20).status_code == 200
    for pid in (service.process.pid, *children(service)):
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        assert KEY.encode() not in environment
        assert database_url.encode() not in environment


def test_workers_and_the_bundled_postgresql_stop_when_the_supervisor_is_killed(
    start: Callable[..., Started], tmp_path: Path
) -> None:
    service = start(WORKERS="2", DATABASE_URL="", SIGNING_KEY="", DATA_DIR=str(tmp_path / "data"))
    left = children(service)
    service.process.kill()
    eventually(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in left))
    assert is_stopped(tmp_path / "data")


def test_a_killed_database_is_revived_by_several_workers(start: Callable[..., Started], tmp_path: Path) -> None:
    service = start(WORKERS="2", DATABASE_URL="", SIGNING_KEY="", DATA_DIR=str(tmp_path / "data"), **COUNTED)
    headers = header(register(service.url, "anna"))
    os.kill(int((tmp_path / "data" / "postgres" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)

    def status() -> int:
        return requests.get(f"{service.url}/auth/users/me/", headers=headers, timeout=20).status_code

    eventually(lambda: status() == 503)
    eventually(lambda: status() == 200)
    assert service.stop() == 0
    assert is_stopped(tmp_path / "data")


def test_a_revoked_session_stays_revoked_when_everything_is_killed_and_started_again(
    start: Callable[..., Started], tmp_path: Path
) -> None:
    data = tmp_path / "data"
    settings = {"WORKERS": "2", "DATABASE_URL": "", "SIGNING_KEY": "", "DATA_DIR": str(data)}
    service = start(**settings)
    revoked, other = register(service.url, "anna"), register(service.url, "boris")
    answer = requests.post(f"{service.url}/auth/jwt/blacklist/", json={"refresh": revoked["refresh"]}, timeout=10)
    assert answer.status_code == 200
    postmaster = int((data / "postgres" / "postmaster.pid").read_text().split()[0])
    for pid in (postmaster, *children(service), service.process.pid):
        os.kill(pid, signal.SIGKILL)
    service.process.wait()
    eventually(lambda: is_stopped(data))
    again = start(**settings)

    def status(tokens: dict[str, str]) -> int:
        return requests.get(f"{again.url}/auth/users/me/", headers=header(tokens), timeout=20).status_code

    assert (status(revoked), status(other)) == (401, 200)
    refreshed = requests.post(f"{again.url}/auth/jwt/refresh/", json={"refresh": revoked["refresh"]}, timeout=10)
    assert refreshed.status_code == 401


def is_stopped(data: Path) -> bool:
    """Whether no process of the bundled PostgreSQL lives."""
    fd = os.open(data / "postgres", os.O_RDONLY)
    try:
        return take(fd)
    finally:
        os.close(fd)


@pytest.mark.parametrize("first", ["1", "2"])
def test_a_port_that_another_service_uses_is_not_shared_with_it(start: Callable[..., Started], first: str) -> None:
    port = start(WORKERS=first).url.rpartition(":")[2]
    with pytest.raises(AssertionError, match=f"PORT {port}: Address already in use"):
        start(WORKERS="2", PORT=port)


class Load:
    """20 clients that send requests without a pause, by POST, which aiohttp does not retry.

    `fresh`: each request opens a connection. `reconnects`: a client goes on when its connection was closed.
    """

    def __init__(self, service: Started, *, fresh: bool, reconnects: bool = True) -> None:
        self.reconnects = reconnects
        self.url = service.url
        self.answers: collections.Counter[tuple[int, str]] = collections.Counter()
        self.connector = aiohttp.TCPConnector(limit=0, force_close=fresh)
        self.is_over = False

    async def ask(self, session: aiohttp.ClientSession) -> None:
        """Be one of the clients."""
        while not self.is_over:
            try:
                async with session.post("/auth/jwt/verify/", json={"token": "none"}) as response:
                    await response.read()
                    self.answers[response.status, response.headers["X-Request-ID"].partition("-")[0]] += 1
                    if response.headers.get("Connection") == "close" and not self.reconnects:
                        return
            except aiohttp.ClientConnectorError:  # refused because the service has stopped: not cut
                return

    async def during(self, work: Callable[[], Awaitable[T]]) -> T:
        """Send requests while `work` runs, and check that each was answered."""
        async with aiohttp.ClientSession(self.url, connector=self.connector) as session:
            asking = [asyncio.create_task(self.ask(session)) for _ in range(20)]
            while self.answers.total() < 200:
                await asyncio.sleep(0.01)
            result = await work()
            self.is_over = True
            await asyncio.gather(*asking)
        assert {status for status, _ in self.answers} == {401}
        return result


async def test_a_renewal_of_the_workers_cuts_no_request(start: Callable[..., Started]) -> None:
    service = start(WORKERS="2", **COUNTED)
    before = children(service)
    kept, fresh = Load(service, fresh=False), Load(service, fresh=True)

    def renew() -> None:
        service.process.send_signal(signal.SIGHUP)
        eventually(lambda: len(now := children(service)) == 2 and not now & before)

    renewed = asyncio.Event()

    async def renew_once() -> None:
        await asyncio.to_thread(renew)
        renewed.set()

    await asyncio.gather(kept.during(renew_once), fresh.during(renewed.wait))
    old_and_new = await asyncio.to_thread(processes_that_answer, service.url)
    assert len(old_and_new) == 2
    assert min(len(kept.answers), len(fresh.answers)) >= 3


async def test_one_process_hands_over_to_a_worker_and_cuts_no_request(start: Callable[..., Started]) -> None:
    service = start(METRICS="127.0.0.1:0", **COUNTED)
    headers = header(await asyncio.to_thread(register, service.url, "anna"))
    before = await asyncio.to_thread(process_that_answers, service.url)
    kept, fresh = Load(service, fresh=False), Load(service, fresh=True)

    def renew(old: set[int]) -> set[int]:
        service.process.send_signal(signal.SIGHUP)
        eventually(lambda: len(now := children(service)) == 1 and not now & old)
        return children(service)

    renewed = asyncio.Event()

    async def renew_twice() -> None:
        first = await asyncio.to_thread(renew, set())
        await asyncio.to_thread(renew, first)
        renewed.set()

    await asyncio.gather(kept.during(renew_twice), fresh.during(renewed.wait))
    assert await asyncio.to_thread(process_that_answers, service.url, headers) != before
    assert len(kept.answers) == len(fresh.answers) == 3
    await asyncio.to_thread(eventually, lambda: numbers(service)["processes"] == 1)
    assert (await asyncio.to_thread(numbers, service))["hash_wait_seconds_count"] == 2
    assert await asyncio.to_thread(service.stop) == 0


def test_one_process_serves_on_when_the_new_worker_is_not_ready(start: Callable[..., Started], tmp_path: Path) -> None:
    templates = tmp_path / "templates"
    templates.mkdir()
    service = start(TEMPLATES_DIR=str(templates))
    before = process_that_answers(service.url)
    (templates / "letters").mkdir()
    (templates / "letters" / "activation.txt").write_text("{{ unclosed")
    service.process.send_signal(signal.SIGHUP)
    assert "serves on as before" in service.wait_for("(.*serves on.*)")
    assert process_that_answers(service.url) == before
    (templates / "letters" / "activation.txt").unlink()
    service.process.send_signal(signal.SIGHUP)
    eventually(lambda: process_that_answers(service.url) != before)


@pytest.mark.parametrize("workers", ["1", "2"])
async def test_the_supervisor_replaces_its_program_and_cuts_no_request(
    start: Callable[..., Started], workers: str
) -> None:
    service = start(WORKERS=workers, METRICS="127.0.0.1:0", **COUNTED)
    url = await asyncio.to_thread(service.metrics_url)
    await asyncio.to_thread(register, service.url, "anna")
    before = children(service)
    kept, fresh = Load(service, fresh=False), Load(service, fresh=True)

    def replace() -> None:
        service.process.send_signal(signal.SIGUSR2)
        eventually(lambda: b"--handed" in Path(f"/proc/{service.process.pid}/cmdline").read_bytes())
        adopted = children(service)
        assert workers == "1" or adopted == before
        eventually(lambda: len(now := children(service)) == int(workers) and not now & adopted)

    replaced = asyncio.Event()

    async def replace_once() -> None:
        await asyncio.to_thread(replace)
        replaced.set()

    await asyncio.gather(kept.during(replace_once), fresh.during(replaced.wait))

    def shown() -> str:
        return requests.get(url, timeout=10).text

    # The supervisor notices the end of a worker a moment after it.
    await asyncio.to_thread(eventually, lambda: f"frontdesk_processes {workers}.0" in shown())
    assert "frontdesk_hash_wait_seconds_count 2.0" in await asyncio.to_thread(shown)
    killed = children(service)
    os.kill(min(killed), signal.SIGKILL)
    await asyncio.to_thread(eventually, lambda: len(children(service) - killed) == 1)
    assert await asyncio.to_thread(service.stop) == 0


def test_a_supervisor_whose_new_code_cannot_start_stays(start: Callable[..., Started], tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    service = start(WORKERS="2", TEMPLATES_DIR=str(tmp_path))
    before = children(service)
    (tmp_path / "letters" / "activation.txt").write_text("{{ unclosed")
    service.process.send_signal(signal.SIGUSR2)
    assert service.wait_for("(the new code cannot start)")
    assert children(service) == before
    assert len(processes_that_answer(service.url)) == 2


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_terminal_that_closes_stops_the_service(start_in_terminal: StartInTerminal, workers: str) -> None:
    service, terminal = start_in_terminal(WORKERS=workers)
    os.close(terminal)
    service.process.wait(START_SECONDS)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_renewal_in_a_terminal_stops_nothing(start_in_terminal: StartInTerminal, workers: str) -> None:
    service, _ = start_in_terminal(WORKERS=workers)
    before = processes_that_answer(service.url)
    service.process.send_signal(signal.SIGHUP)
    eventually(lambda: not processes_that_answer(service.url) & before)
    assert service.process.poll() is None


async def test_a_stop_of_the_workers_cuts_no_request(start: Callable[..., Started]) -> None:
    # Over kept connections only: the kernel resets a new connection if its socket closes before it is accepted. So a
    # client that is told that its connection closes opens no other: the second worker may still listen.
    service = start(WORKERS="2")
    assert await Load(service, fresh=False, reconnects=False).during(lambda: asyncio.to_thread(service.stop)) == 0


def test_an_unreachable_database_is_reported_in_one_sentence() -> None:
    with pytest.raises(AssertionError) as raised:
        Started(WORKERS="2", DATABASE_URL="postgresql://127.0.0.1:1/x", SIGNING_KEY="k" * 32, MIGRATE_ON_START="false")
    assert str(raised.value).startswith("The database cannot be reached")
    assert "Traceback" not in str(raised.value)
