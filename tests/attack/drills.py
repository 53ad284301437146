"""Faults and overload while clients work (security 30, 31): every answer is compared with what is stored."""

import asyncio
import contextlib
import os
import random
import signal
import statistics
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import psycopg

from server.postgres.bundled import attach
from tests.attack.attacks import Outcome, attack
from tests.attack.stage import Service, Stage, Visitor, own_folder
from tests.attack.witness import witness
from tests.conftest import PASSWORD
from tests.load.processes import tree

CLIENTS = 16
BACK_WITHIN_SECONDS = 10.0  # after a kill: the start of a worker or of PostgreSQL, its recovery included
KEPT_SHARE = 0.7  # of the goodput at the peak: two runs of one load differ by up to a quarter on a shared machine
FLOOD_TIMES = 10


class Writers:
    """Clients that register accounts and edit profiles without a pause, and keep what was answered."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.registered: list[str] = []
        self.edited: dict[str, int] = {}
        self.answers: list[tuple[float, int]] = []
        self.stopped = False

    async def work(self, visitor: Visitor, number: int) -> None:
        """Register and edit until `stopped`."""
        anna: dict[str, Any] = {}
        turn = 0
        while not self.stopped:
            turn += 1
            try:
                name = f"w{number}x{turn}"
                status = await self._send(visitor, "POST", "/auth/users/", "", {"username": name, "password": PASSWORD})
                if status == 201:
                    self.registered.append(name)
                if not anna and status == 201:
                    anna = {"name": name, **await visitor.sign_in(name)}
                    _, profiles = await visitor.ask("GET", "/api/accounts/all-profiles?limit=1000", anna["access"])
                    anna["profile"] = next(each["id"] for each in profiles if each["user"] == name)
                if "profile" in anna:
                    path, body = f"/api/accounts/profile/{anna['profile']}", {"location": str(turn)}
                    if await self._send(visitor, "PATCH", path, anna["access"], body) == 200:
                        self.edited[anna["name"]] = turn
            except (aiohttp.ClientError, ConnectionError, TimeoutError, AssertionError, StopIteration, TypeError):
                await asyncio.sleep(0.02)  # cut off, or refused in the middle of the preparation

    async def _send(self, visitor: Visitor, method: str, path: str, token: str, body: dict[str, Any]) -> int:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with visitor.http.request(method, path, json=body, headers=headers) as response:
            text = await response.text()
            status = response.status
        self.answers.append((time.monotonic(), status))
        self.outcome.expect(status < 500 or status == 503, f"{method} {path}: {status}")
        if status == 503:
            self.outcome.expect("Retry-After" in response.headers, "a 503 without Retry-After")
            await asyncio.sleep(0.05)
        if "Traceback" in text:
            self.outcome.fault("a stack trace in a response")
        return status


@attack(rules="30", quick=False)
async def kills_under_load(stage: Stage, outcome: Outcome) -> None:
    """Kills workers, everything and PostgreSQL under load: what was answered is stored once, and service returns."""
    folder = own_folder("bundled")
    data = folder / "data"
    with stage.own_service(WORKERS="2", DATABASE_URL="", DATA_DIR=str(data)) as service:
        service.may_log_errors = True
        kills = [*("worker", "PostgreSQL", "worker", "all") * 3, "PostgreSQL"]
        writers = Writers(outcome)
        async with Visitor(service) as visitor:
            working = [asyncio.create_task(writers.work(visitor, number)) for number in range(CLIENTS)]
            await asyncio.sleep(2)
            slowest: dict[str, float] = {}
            for what in kills:
                began = time.monotonic()
                await asyncio.to_thread(_kill, what, service, data)
                # 0.3 s: processes of a killed PostgreSQL may answer for a moment.
                while not any(at > began + 0.3 and status < 400 for at, status in writers.answers[-200:]):
                    if time.monotonic() > began + BACK_WITHIN_SECONDS:
                        outcome.fault(f"{what} killed: no service for {BACK_WITHIN_SECONDS:.0f} s")
                        break
                    await asyncio.sleep(0.02)
                slowest[what] = max(slowest.get(what, 0.0), time.monotonic() - began)
                await asyncio.sleep(1)
            writers.stopped = True
            await asyncio.gather(*working)
        _compare(writers, data, outcome)
    times = ", ".join(f"{what} {seconds:.1f} s" for what, seconds in slowest.items())
    outcome.worst = (
        f"{len(kills)} kills, {len(writers.registered):,} accounts and {len(writers.edited)} profiles compared;"
        f" answers again after at most: {times}"
    )


def _kill(what: str, service: Service, data: Path) -> None:
    if what == "PostgreSQL":
        pid = int((data / "postgres" / "postmaster.pid").read_text().split()[0])
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    elif what == "all":
        service.kill()
        service.start()
    else:
        workers = [each for each in tree(service.process.pid) if _is_worker(each, service.process.pid)]
        with contextlib.suppress(ProcessLookupError):
            os.kill(random.choice(workers), signal.SIGKILL)


def _is_worker(pid: int, supervisor: int) -> bool:
    with contextlib.suppress(OSError):
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        return pid != supervisor and b"postgres" not in command
    return False


def _compare(writers: Writers, data: Path, outcome: Outcome) -> None:
    """What was answered 2xx is stored, once."""
    share = attach(data, say=lambda text: None)
    try:
        with psycopg.connect(share.url(), autocommit=True) as connection:
            rows = connection.execute("select username, count(*) from users group by username").fetchall()
            stored = {str(name): int(number) for name, number in rows}
            places = connection.execute("select username, location from profiles p join users u on u.id = p.user_id")
            profiles = {str(name): str(location) for name, location in places.fetchall()}
    finally:
        share.release()
    for name in writers.registered:
        outcome.expect(stored.get(name) == 1, f"an account that was answered is stored {stored.get(name, 0)} times")
    for name, turn in writers.edited.items():
        written = int(profiles.get(name) or 0)
        # A later edit may be stored without its answer.
        outcome.expect(written >= turn, f"an edit that was answered is lost: {written} instead of {turn}")


@attack(rules="10, 31", quick=False)
async def ten_times_the_capacity(stage: Stage, outcome: Outcome) -> None:
    """Signs in at ten times the rate that the service can hash: as many succeed as at the peak, the rest is refused."""
    with stage.own_service(BCRYPT_ROUNDS="10") as service:
        async with Visitor(service, connections=2000) as visitor:
            await visitor.register("flooded")
            seconds = 8.0
            peak = await _closed_loop(visitor, 8, seconds)
            async with witness(stage, service, outcome):
                statuses, refusals, accepted = await _open_loop(visitor, FLOOD_TIMES * peak, seconds)
            after = await _closed_loop(visitor, 8, seconds / 2)
    goodput = statuses[200] / seconds
    outcome.tried += statuses.total()
    outcome.expect(goodput >= KEPT_SHARE * peak, f"{goodput:.1f} sign-ins a second, {peak:.1f} at the peak")
    outcome.expect(after >= KEPT_SHARE * peak, f"{after:.1f} sign-ins a second after the flood, {peak:.1f} before")
    others = {status: count for status, count in statuses.items() if status not in (200, 503)}
    outcome.expect(not others, f"other answers: {others}")
    refused = statistics.median(refusals) if refusals else 0.0
    outcome.expect(refused < 1.0, f"a refusal took {refused:.2f} s (median)")
    outcome.worst = (
        f"goodput {goodput / peak:.2f} of the peak ({peak:.1f}/s), after it {after / peak:.2f};"
        f" {statuses[503]:,} of {statuses.total():,} refused, median {refused * 1000:.0f} ms;"
        f" accepted after {statistics.median(accepted or [0.0]):.1f} s; {outcome.worst}"
    )


async def _sign_in(visitor: Visitor) -> tuple[int, float]:
    began = time.monotonic()
    try:
        status, _ = await visitor.post("/auth/jwt/create/", username="flooded", password=PASSWORD)
    except (aiohttp.ClientError, ConnectionError, TimeoutError):
        status = 0
    return status, time.monotonic() - began


async def _closed_loop(visitor: Visitor, clients: int, seconds: float) -> float:
    """Sign-ins a second of clients that each wait for their answer."""
    end, done = time.monotonic() + seconds, 0

    async def ask() -> None:
        nonlocal done
        while time.monotonic() < end:
            status, _ = await _sign_in(visitor)
            done += status == 200

    await asyncio.gather(*(ask() for _ in range(clients)))
    return done / seconds


async def _open_loop(visitor: Visitor, rate: float, seconds: float) -> tuple[Counter[int], list[float], list[float]]:
    """Sign in at a rate, whether or not answers come: the statuses, and the times of refusals and of successes.

    Counted are the answers of the flood alone, not of the queue that it leaves.
    """
    statuses, refusals, accepted = Counter[int](), list[float](), list[float]()
    began = time.monotonic()

    async def one() -> None:
        status, spent = await _sign_in(visitor)
        if time.monotonic() > began + seconds and status == 200:
            return
        statuses[status] += 1
        (accepted if status == 200 else refusals).append(spent)

    sent = list[asyncio.Task[None]]()
    while (passed := time.monotonic() - began) < seconds:
        while len(sent) < rate * passed:
            sent.append(asyncio.create_task(one()))
        await asyncio.sleep(0.01)
    await asyncio.gather(*sent)
    return statuses, refusals, accepted
