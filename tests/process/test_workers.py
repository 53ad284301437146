"""Several workers serve one port: whoever is killed is replaced, whoever is told to stop finishes first."""

import asyncio
import collections
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import requests

from server.postgres.file_locks import take
from server.process import workers
from server.process.workers import NotReadyError, Worker, Workers
from tests.processes import COUNTED, Started, header, register

pytestmark = pytest.mark.slow

SECONDS = 30


def eventually(true: Callable[[], Any]) -> Any:
    """What `true` says once it says something true."""
    ends = time.monotonic() + SECONDS
    while not (said := true()):
        assert time.monotonic() < ends
        time.sleep(0.01)
    return said


def children(service: Started) -> set[int]:
    """The workers of a service."""
    pid = service.process.pid
    workers = set()
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it ended since
            if b"--worker" in Path(f"/proc/{child}/cmdline").read_bytes():
                workers.add(int(child))
    return workers


def who_answers(url: str, headers: dict[str, str] | None = None) -> str:
    """The first part of the request id, which is the process's; each call is a connection of its own."""
    answer = requests.get(f"{url}/auth/users/me/" if headers else f"{url}/healthz", headers=headers, timeout=20)
    assert answer.status_code == 200, answer.text
    return answer.headers["X-Request-ID"].partition("-")[0]


def all_who_answer(url: str, headers: dict[str, str] | None = None) -> set[str]:
    """Whoever answers thirty connections: with two that share them evenly, that one is missed is one in a billion."""
    return {who_answers(url, headers) for _ in range(31)}


def numbers(service: Started) -> dict[str, float]:
    """What METRICS shows."""
    text = requests.get(metrics_url(service), timeout=10).text
    return {line.split()[0].removeprefix("frontdesk_"): float(line.split()[1]) for line in lines_of(text)}


def metrics_url(service: Started) -> str:
    assert service.process.stdout is not None
    while not service.said[-1].startswith("  Metrics"):
        service.said.append(service.process.stdout.readline())
    return service.said[-1].split()[1]


def lines_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_two_workers_answer_one_port_and_take_each_others_tokens(start: Callable[..., Started]) -> None:
    service = start(WORKERS="2")
    headers = header(register(service.url, "anna"))
    assert len(all_who_answer(service.url, headers)) == 2
    assert len(children(service)) == 2


def test_a_killed_worker_is_replaced_and_tokens_stay_good(start: Callable[..., Started]) -> None:
    service = start(WORKERS="2", METRICS="127.0.0.1:0", **COUNTED)
    headers = header(register(service.url, "anna"))
    before, counted = children(service), numbers(service)
    os.kill(min(before), signal.SIGKILL)
    eventually(lambda: len(children(service) - before) == 1)
    # Whoever connects to the place of the dead waits for its successor: nobody is refused.
    assert len(all_who_answer(service.url, headers)) == 2
    assert numbers(service)["processes"] == 2
    assert numbers(service)["hash_waits_total"] == counted["hash_waits_total"] == 2


def test_a_killed_master_takes_its_workers_and_the_database_along(
    start: Callable[..., Started], tmp_path: Path
) -> None:
    service = start(WORKERS="2", DATABASE_URL="", SIGNING_KEY="", DATA_DIR=str(tmp_path / "data"))
    left = children(service)
    service.process.kill()
    eventually(lambda: not any(Path(f"/proc/{pid}/cmdline").exists() for pid in left))
    assert is_stopped(tmp_path / "data")


def test_a_killed_database_comes_back_by_itself_under_several_workers(
    start: Callable[..., Started], tmp_path: Path
) -> None:
    service = start(WORKERS="2", DATABASE_URL="", SIGNING_KEY="", DATA_DIR=str(tmp_path / "data"), **COUNTED)
    headers = header(register(service.url, "anna"))
    os.kill(int((tmp_path / "data" / "postgres" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)

    def status() -> int:
        return requests.get(f"{service.url}/auth/users/me/", headers=headers, timeout=20).status_code

    eventually(lambda: status() == 503)
    eventually(lambda: status() == 200)
    assert service.stop() == 0
    assert is_stopped(tmp_path / "data")


def is_stopped(data: Path) -> bool:
    fd = os.open(data / "postgres", os.O_RDONLY)
    try:
        return take(fd)
    finally:
        os.close(fd)


@pytest.mark.parametrize("first", ["1", "2"])
def test_a_port_that_another_service_has_is_not_shared_with_it(start: Callable[..., Started], first: str) -> None:
    port = start(WORKERS=first).url.rpartition(":")[2]
    with pytest.raises(AssertionError, match=f"PORT {port}: Address already in use"):
        start(WORKERS="2", PORT=port)


class Load:
    """People who ask without a pause, by a method that no client repeats by itself; `fresh`: over new connections."""

    def __init__(self, service: Started, *, fresh: bool) -> None:
        self.url = service.url
        self.answers: collections.Counter[tuple[int, str]] = collections.Counter()
        self.connector = aiohttp.TCPConnector(limit=0, force_close=fresh)
        self.is_over = False

    async def ask(self, session: aiohttp.ClientSession) -> None:
        while not self.is_over:
            try:
                async with session.post("/auth/jwt/verify/", json={"token": "none"}) as response:
                    await response.read()
                    self.answers[response.status, response.headers["X-Request-ID"].partition("-")[0]] += 1
            except aiohttp.ClientConnectorError:  # the door is shut: that is no cut
                return

    async def during(self, work: Callable[[], Awaitable[Any]]) -> Any:
        async with aiohttp.ClientSession(self.url, connector=self.connector) as session:
            asking = [asyncio.create_task(self.ask(session)) for _ in range(20)]
            while self.answers.total() < 200:
                await asyncio.sleep(0.01)
            result = await work()
            self.is_over = True
            await asyncio.gather(*asking)
        assert {status for status, _ in self.answers} == {401}
        return result


async def test_no_request_is_cut_when_workers_are_renewed(start: Callable[..., Started]) -> None:
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
    old_and_new = await asyncio.to_thread(all_who_answer, service.url)
    assert len(old_and_new) == 2
    assert min(len(kept.answers), len(fresh.answers)) >= 3


async def test_no_request_is_cut_when_workers_are_told_to_stop(start: Callable[..., Started]) -> None:
    # Over kept connections: the kernel resets a new one that it has taken for a socket which closes before it was
    # accepted, and nobody on this side can tell that from a refusal.
    service = start(WORKERS="2")
    assert await Load(service, fresh=False).during(lambda: asyncio.to_thread(service.stop)) == 0


def test_workers_that_cannot_reach_the_database_end_with_one_sentence() -> None:
    with pytest.raises(AssertionError) as raised:
        Started(WORKERS="2", DATABASE_URL="postgresql://127.0.0.1:1/x", SIGNING_KEY="k" * 32, MIGRATE_ON_START="false")
    assert str(raised.value).startswith("The database cannot be reached")
    assert "Traceback" not in str(raised.value)


# From here on without a service: any program that says that it is ready.
READY = "import os, sys, time; os.write(int(sys.argv[-1]), b'!')"


class Program:
    """Starts a program for each place, and remembers all that it started."""

    def __init__(self) -> None:
        self.text = f"{READY}; time.sleep(60)"
        self.interpreter = sys.executable
        self.started: list[Worker] = []
        self.asked = 0

    def __call__(self, place: int) -> Worker:
        self.asked += 1
        self.started.append(Worker([self.interpreter, "-c", self.text], []))
        return self.started[-1]


@pytest.fixture
def program() -> Program:
    return Program()


@pytest.fixture
async def crew(program: Program, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Workers]:
    """Two places, not begun yet."""
    monkeypatch.setattr(workers, "PAUSE_SECONDS", 0.001)
    made = Workers(2, program, limit=5.0)
    yield made
    await made.stop()
    assert all(worker.ended.done() for worker in program.started)


async def soon(true: Callable[[], Any]) -> None:
    async with asyncio.timeout(SECONDS):
        while not true():
            await asyncio.sleep(0.005)


async def test_whoever_ends_before_they_are_ready_stops_the_start(program: Program, crew: Workers) -> None:
    program.text = "raise SystemExit(3)"
    with pytest.raises(NotReadyError):
        await crew.begin()


async def test_whoever_is_never_ready_is_ended(
    program: Program, crew: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "READY_SECONDS", 0.01)
    program.text = "import time; time.sleep(60)"
    with pytest.raises(NotReadyError):
        await crew.begin()


async def test_whoever_dies_is_replaced_until_a_successor_lives(program: Program, crew: Workers) -> None:
    await crew.begin()
    program.text = "raise SystemExit(3)"
    keeping = asyncio.create_task(crew.keep())
    program.started[0].send(signal.SIGKILL)
    await soon(lambda: len(program.started) >= 4)
    program.text = f"{READY}; time.sleep(60)"
    await soon(lambda: program.started[-1].ready.done() and program.started[-1].ready.result())
    assert not program.started[1].ended.done()
    keeping.cancel()


async def test_a_renewal_that_fails_leaves_those_who_serve(program: Program, crew: Workers) -> None:
    await crew.begin()
    program.text = "raise SystemExit(3)"
    keeping = asyncio.create_task(crew.keep())
    crew.renew()
    await soon(lambda: len(program.started) == 3 and program.started[2].ended.done())
    assert not program.started[0].ended.done()
    program.text = f"{READY}; time.sleep(60)"
    crew.renew()
    await soon(lambda: program.started[0].ended.done() and program.started[1].ended.done())
    assert len(program.started) == 5
    keeping.cancel()


async def test_a_stop_while_they_start_waits_for_who_finishes_first(program: Program, tmp_path: Path) -> None:
    hears = (
        "signal.signal(signal.SIGTERM, lambda *_: (os.write(int(sys.argv[-1]), b'!'), time.sleep(0.3), sys.exit(7)))"
    )
    program.text = f"import os, pathlib, signal, sys, time; {hears}; pathlib.Path({str(tmp_path / 'up')!r}).touch()"
    program.text += "; time.sleep(60)"
    crew = Workers(1, program, limit=float(SECONDS))
    beginning = asyncio.create_task(crew.begin())
    await soon((tmp_path / "up").exists)
    beginning.cancel()
    await crew.stop()
    assert program.started[0].ended.result() == 7


NOWHERE = "/nowhere/python"  # as while a new version is being put in its place


async def test_whoever_cannot_be_started_stops_the_start_with_a_reason(program: Program, crew: Workers) -> None:
    program.interpreter = NOWHERE
    before = len([*Path("/proc/self/fd").iterdir()])
    with pytest.raises(NotReadyError, match="No such file"):
        await crew.begin()
    assert len([*Path("/proc/self/fd").iterdir()]) == before


async def test_a_renewal_that_cannot_start_anybody_leaves_those_who_serve(program: Program, crew: Workers) -> None:
    await crew.begin()
    program.interpreter = NOWHERE
    keeping = asyncio.create_task(crew.keep())
    crew.renew()
    await soon(lambda: program.asked == 3)
    program.interpreter = sys.executable
    crew.renew()
    await soon(lambda: keeping.done() or (program.started[0].ended.done() and program.started[1].ended.done()))
    assert not keeping.done()
    keeping.cancel()


async def test_whoever_dies_is_replaced_as_soon_as_anybody_can_be_started(program: Program, crew: Workers) -> None:
    await crew.begin()
    program.interpreter = NOWHERE
    keeping = asyncio.create_task(crew.keep())
    program.started[0].send(signal.SIGKILL)
    await soon(lambda: keeping.done() or program.asked >= 5)
    program.interpreter = sys.executable
    await soon(lambda: keeping.done() or len(program.started) == 3)
    assert not keeping.done()
    keeping.cancel()


async def test_whoever_does_not_stop_is_killed(program: Program) -> None:
    program.text = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {READY}; time.sleep(60)"
    crew = Workers(1, program, limit=0.01)
    await crew.begin()
    await crew.stop()
    assert program.started[0].ended.result() == -signal.SIGKILL
