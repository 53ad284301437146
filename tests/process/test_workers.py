"""Workers that die, fail to start or do not stop. They run small programs here, not the service."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from server.process import workers
from server.process.workers import NotReadyError, Worker, Workers
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
        self.started.append(Worker([self.interpreter, "-c", self.text], []))
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
    monkeypatch.setattr(workers, "READY_SECONDS", 0.01)
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


async def test_a_worker_that_stops_reacting_is_replaced(
    program: Program, two: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "SILENT_SECONDS", 0.01)
    program.text = f"{READY}; os.write(int(sys.argv[-1]), b'.'); time.sleep(60)"
    await two.begin()
    program.text = f"{READY}; time.sleep(60)"
    keeping = asyncio.create_task(two.keep())
    await soon(lambda: len(program.started) == 4)
    keeping.cancel()
    assert [worker.ended.result() for worker in program.started[:2]] == [-signal.SIGKILL] * 2


async def test_a_worker_that_never_said_that_it_reacts_is_not_judged(
    program: Program, two: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "SILENT_SECONDS", 0.001)
    await two.begin()
    ended, _ = await asyncio.wait([worker.ended for worker in program.started], timeout=0.05)
    assert not ended
