"""Drills that kill and freeze processes of the service and its bundled PostgreSQL."""

import asyncio
import contextlib
import os
import random
import signal
import time
from pathlib import Path

from tests.attack.stage import Service
from tests.drill.drills import Scene, drill
from tests.load.processes import tree

BACK_WITHIN_SECONDS = 40.0  # several starts of Python on a busy machine, or a recovery of PostgreSQL
FROZEN_SECONDS = 20.0  # longer than every time limit of a statement
POLL_SECONDS = 0.02


def workers(service: Service) -> list[int]:
    """The processes that serve, not the supervisor and not PostgreSQL."""
    supervisor = service.process.pid
    return [each for each in tree(supervisor) if each != supervisor and _is_ours(each)]


def _is_ours(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return b"--worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def postmaster(data: Path) -> int:
    """The process id of the bundled PostgreSQL, also when it has just ended."""
    return int((data / "postgres" / "postmaster.pid").read_text().split()[0])


def send(number: signal.Signals, pids: list[int]) -> None:
    """Send a signal to processes; those that have ended do not matter."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


async def _whole(scene: Scene, service: Service, since: float, gone: list[int]) -> None:
    """Wait until both workers are there again."""
    while len(set(workers(service)) - set(gone)) < 2:
        if time.monotonic() > since + BACK_WITHIN_SECONDS:
            scene.result.fault("a worker is not replaced")
            return
        await asyncio.sleep(POLL_SECONDS)


@drill
async def kill_worker(scene: Scene) -> None:
    """Kills one of two workers, several times."""
    with scene.service() as service:
        async with scene.clients(service, scene.bundled) as ledger:
            for _ in range(scene.choose(6, 1)):
                gone, since = [random.choice(workers(service))], time.monotonic()
                send(signal.SIGKILL, gone)
                scene.result.note("one worker", await ledger.recovers("a worker", since, BACK_WITHIN_SECONDS))
                await _whole(scene, service, since, gone)
                await asyncio.sleep(1)


@drill
async def kill_workers(scene: Scene) -> None:
    """Kills both workers at the same moment, several times."""
    with scene.service() as service:
        async with scene.clients(service, scene.bundled) as ledger:
            for _ in range(scene.choose(4, 1)):
                gone, since = workers(service), time.monotonic()
                send(signal.SIGKILL, gone)
                scene.result.note("all workers", await ledger.recovers("all workers", since, BACK_WITHIN_SECONDS))
                await _whole(scene, service, since, gone)
                await asyncio.sleep(1)


@drill
async def kill_supervisor(scene: Scene) -> None:
    """Kills the supervisor alone, then starts the service again as systemd does."""
    with scene.service() as service:
        async with scene.clients(service, scene.bundled) as ledger:
            for _ in range(scene.choose(3, 1)):
                left, since = workers(service), time.monotonic()
                service.process.kill()
                service.process.wait()
                while any(_is_ours(each) for each in left):
                    if time.monotonic() > since + BACK_WITHIN_SECONDS:
                        scene.result.fault("a worker outlives its supervisor")
                        send(signal.SIGKILL, left)
                        break
                    await asyncio.sleep(POLL_SECONDS)
                scene.result.note("workers end", time.monotonic() - since)
                since = time.monotonic()
                await asyncio.to_thread(service.start)
                scene.result.note("new start", await ledger.recovers("the supervisor", since, BACK_WITHIN_SECONDS))
                await asyncio.sleep(1)


@drill
async def kill_postgres(scene: Scene) -> None:
    """Kills the bundled PostgreSQL, several times."""
    with scene.service() as service:
        async with scene.clients(service, scene.bundled) as ledger:
            for _ in range(scene.choose(4, 1)):
                since = time.monotonic()
                send(signal.SIGKILL, [postmaster(scene.data)])
                # Processes of a killed PostgreSQL may answer for a moment: a write after that counts.
                await asyncio.sleep(0.3)
                again = await ledger.recovers("PostgreSQL", time.monotonic(), BACK_WITHIN_SECONDS)
                scene.result.note("PostgreSQL", time.monotonic() - since if again < BACK_WITHIN_SECONDS else again)
                await asyncio.sleep(1)


@drill
async def kill_all(scene: Scene) -> None:
    """Kills the service and PostgreSQL at the same moment, as a machine that loses power, and starts it again."""
    with scene.service() as service:
        async with scene.clients(service, scene.bundled) as ledger:
            for _ in range(scene.choose(3, 1)):
                since = time.monotonic()
                send(signal.SIGKILL, tree(postmaster(scene.data)))
                service.kill()
                await asyncio.to_thread(service.start)
                scene.result.note("everything", await ledger.recovers("everything", since, BACK_WITHIN_SECONDS))
                await asyncio.sleep(1)


@drill
async def freeze_postgres(scene: Scene) -> None:
    """Stops every process of PostgreSQL (SIGSTOP) for 20 s, longer than each time limit, and lets them go on."""
    with scene.service() as service:
        async with scene.clients(service, scene.bundled) as ledger:
            frozen = tree(postmaster(scene.data))
            send(signal.SIGSTOP, frozen)
            try:
                await asyncio.sleep(scene.choose(int(FROZEN_SECONDS), 3))
            finally:
                since = time.monotonic()
                send(signal.SIGCONT, frozen)
            scene.result.note("PostgreSQL goes on", await ledger.recovers("PostgreSQL", since, BACK_WITHIN_SECONDS))
            await asyncio.sleep(1)


@drill
async def freeze_worker(scene: Scene) -> None:
    """Stops one of two workers (SIGSTOP): the supervisor should notice and replace it."""
    with scene.service() as service:
        async with scene.clients(service, scene.bundled) as ledger:
            frozen, since = [random.choice(workers(service))], time.monotonic()
            send(signal.SIGSTOP, frozen)
            try:
                scene.result.note("one worker", await ledger.recovers("a worker", since, BACK_WITHIN_SECONDS))
                while frozen[0] in workers(service):
                    if time.monotonic() > since + 2 * FROZEN_SECONDS:
                        scene.result.fault(f"a worker that hangs is not replaced within {2 * FROZEN_SECONDS:.0f} s")
                        break
                    await asyncio.sleep(POLL_SECONDS)
                else:
                    scene.result.note("replaced", time.monotonic() - since)
            finally:
                send(signal.SIGCONT, frozen)
            await asyncio.sleep(1)
