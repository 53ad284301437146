"""Workers that die, fail to start or do not stop. They run small programs here, not the service."""

import asyncio
import select
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from server.process import worker as one_worker
from server.process import workers
from server.process.worker import Worker
from server.process.workers import NotReadyError, Workers
from tests.processes import START_SECONDS

pytestmark = pytest.mark.slow

READY = "import os, sys, time; os.write(int(sys.argv[-1]), b'!')"


class Program:
    """Starts a program as each worker, and records all workers that it started."""

    def __init__(self) -> None:
        self.text = f"{READY}; time.sleep(60)"
        self.interpreter = sys.executable
        self.started: list[Worker] = []
        self.attempts = 0

    def __call__(self, number: int) -> Worker:
        self.attempts += 1
        self.started.append(Worker.start([self.interpreter, "-c", self.text], []))
        return self.started[-1]


@pytest.fixture
def program() -> Program:
    """A program that is ready at once and ends when it is stopped."""
    return Program()


@pytest.fixture
async def two(program: Program, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Workers]:
    """Two workers, not started yet."""
    monkeypatch.setattr(workers, "PAUSE_SECONDS", 0.001)
    made = Workers(2, program, limit=5.0)
    yield made
    await made.stop()
    assert all(worker.ended.done() for worker in program.started)


async def soon(probe: Callable[[], object]) -> None:
    """Wait until `probe` returns something true."""
    async with asyncio.timeout(START_SECONDS):
        while not probe():
            await asyncio.sleep(0.005)


async def test_a_worker_that_ends_before_it_is_ready_stops_the_start(program: Program, two: Workers) -> None:
    program.text = "raise SystemExit(3)"
    with pytest.raises(NotReadyError):
        await two.begin()


async def test_a_worker_that_is_never_ready_is_killed(
    program: Program, two: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_worker, "READY_SECONDS", 0.01)
    program.text = "import time; time.sleep(60)"
    with pytest.raises(NotReadyError):
        await two.begin()


async def test_a_dead_worker_is_replaced_until_a_new_one_stays_alive(program: Program, two: Workers) -> None:
    await two.begin()
    program.text = "raise SystemExit(3)"
    keeping = asyncio.create_task(two.keep())
    program.started[0].send(signal.SIGKILL)
    await soon(lambda: len(program.started) >= 4)
    program.text = f"{READY}; time.sleep(60)"
    await soon(lambda: program.started[-1].ready.done() and program.started[-1].ready.result())
    assert not program.started[1].ended.done()
    keeping.cancel()


async def test_a_renewal_that_fails_keeps_the_old_workers(program: Program, two: Workers) -> None:
    await two.begin()
    program.text = "raise SystemExit(3)"
    keeping = asyncio.create_task(two.keep())
    two.renew()
    await soon(lambda: len(program.started) == 3 and program.started[2].ended.done())
    assert not program.started[0].ended.done()
    program.text = f"{READY}; time.sleep(60)"
    two.renew()
    await soon(lambda: program.started[0].ended.done() and program.started[1].ended.done())
    assert len(program.started) == 5
    keeping.cancel()


async def test_a_stop_during_the_start_waits_for_a_worker_that_finishes_its_work(
    program: Program, tmp_path: Path
) -> None:
    on_sigterm = (
        "signal.signal(signal.SIGTERM, lambda *_: (os.write(int(sys.argv[-1]), b'!'), time.sleep(0.3), sys.exit(7)))"
    )
    program.text = (
        f"import os, pathlib, signal, sys, time; {on_sigterm}; pathlib.Path({str(tmp_path / 'up')!r}).touch()"
    )
    program.text += "; time.sleep(60)"
    two = Workers(1, program, limit=float(START_SECONDS))
    beginning = asyncio.create_task(two.begin())
    await soon((tmp_path / "up").exists)
    beginning.cancel()
    await two.stop()
    assert program.started[0].ended.result() == 7


MISSING = "/missing/python"  # the interpreter is missing for a moment while it is upgraded


async def test_a_worker_that_cannot_be_started_stops_the_start_with_a_reason(program: Program, two: Workers) -> None:
    program.interpreter = MISSING
    before = len([*Path("/proc/self/fd").iterdir()])
    with pytest.raises(NotReadyError, match="No such file"):
        await two.begin()
    assert len([*Path("/proc/self/fd").iterdir()]) == before


async def test_a_renewal_that_cannot_start_a_process_keeps_the_old_workers(program: Program, two: Workers) -> None:
    await two.begin()
    program.interpreter = MISSING
    keeping = asyncio.create_task(two.keep())
    two.renew()
    await soon(lambda: program.attempts == 3)
    program.interpreter = sys.executable
    two.renew()
    await soon(lambda: keeping.done() or (program.started[0].ended.done() and program.started[1].ended.done()))
    assert not keeping.done()
    keeping.cancel()


async def test_a_dead_worker_is_replaced_as_soon_as_processes_can_be_started_again(
    program: Program, two: Workers
) -> None:
    await two.begin()
    program.interpreter = MISSING
    keeping = asyncio.create_task(two.keep())
    program.started[0].send(signal.SIGKILL)
    await soon(lambda: keeping.done() or program.attempts >= 5)
    program.interpreter = sys.executable
    await soon(lambda: keeping.done() or len(program.started) == 3)
    assert not keeping.done()
    keeping.cancel()


async def test_a_worker_that_does_not_stop_is_killed(program: Program) -> None:
    program.text = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {READY}; time.sleep(60)"
    two = Workers(1, program, limit=0.01)
    await two.begin()
    await two.stop()
    assert program.started[0].ended.result() == -signal.SIGKILL


ALIVE = f"{READY.replace('!', '!.')}\nwhile True: os.write(int(sys.argv[-1]), b'.'); time.sleep(0.005)"


@pytest.fixture
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker hangs after a second without a sign of life."""
    monkeypatch.setattr(one_worker, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(one_worker, "HANG_SECONDS", 1.0)


@pytest.mark.usefixtures("quick_looks")
async def test_a_worker_that_hangs_is_killed_and_replaced_with_one_error(
    program: Program, two: Workers, caplog: pytest.LogCaptureFixture
) -> None:
    program.text = ALIVE
    await two.begin()
    keeping = asyncio.create_task(two.keep())
    program.started[0].send(signal.SIGSTOP)
    await soon(lambda: len(program.started) == 3 and program.started[2].ready.done())
    assert program.started[0].ended.result() == -signal.SIGKILL
    assert not program.started[1].ended.done()
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == 1
    assert f"worker {program.started[0].pid} hangs" in errors[0]
    keeping.cancel()


@pytest.mark.usefixtures("quick_looks")
async def test_a_pause_of_the_supervisor_kills_no_worker(
    program: Program, two: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    program.text = ALIVE
    await two.begin()
    for worker in program.started:
        worker.send(signal.SIGSTOP)
    await asyncio.sleep(0)
    time.sleep(1.2)  # the event loop is the supervisor's, and the channels are empty after it
    for worker in program.started:
        worker.send(signal.SIGCONT)
    looked: list[Worker] = []
    received = Worker._receive

    async def receive(self: Worker, most: int) -> bytes:
        result = await received(self, most)
        looked.append(self)
        return result

    monkeypatch.setattr(Worker, "_receive", receive)
    await soon(lambda: set(looked) == set(program.started))
    assert not any(worker.hangs for worker in program.started)


@pytest.mark.usefixtures("quick_looks")
async def test_a_worker_that_stops_is_not_killed_before_the_limit_of_a_stop(program: Program) -> None:
    on_sigterm = "signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1.5), sys.exit(7)))"
    program.text = f"import signal, sys, time; {on_sigterm}; {ALIVE}"
    one = Workers(1, program, limit=float(START_SECONDS))
    await one.begin()
    await one.stop()
    assert program.started[0].ended.result() == 7


@pytest.mark.usefixtures("quick_looks")
async def test_a_worker_of_a_release_without_signs_of_life_is_not_killed(program: Program, two: Workers) -> None:
    await two.begin()
    await asyncio.sleep(1.3)
    assert not any(worker.ended.done() for worker in program.started)


async def test_signs_of_life_do_not_wait_for_a_supervisor_that_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_worker, "ALIVE_SECONDS", 0.0)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        signs = asyncio.create_task(one_worker.give_signs_of_life(theirs.fileno()))
        await soon(lambda: not select.select([], [theirs], [], 0)[1])
        for _ in range(10):
            await asyncio.sleep(0)
        assert not signs.done()
        assert ours.recv(3) == b"!.."
        signs.cancel()
