"""Another client beside an attack: whether it is served, how fast, and how much memory the service takes meanwhile.

The client is a process of its own (probe.py), so that the attack does not delay it.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tests.attack.attacks import Outcome
from tests.attack.probe import PROBE_SECONDS
from tests.attack.stage import SAMPLE_SECONDS, Service, Stage, Visitor
from tests.processes import ROOT

MEMORY_MAX_MEGABYTES = 250.0
SERVED_WITHIN_SECONDS = 0.25
SERVED_SHARE = 0.95  # of the probes; the rest is the noise of a machine that does other work
GONE_SECONDS = 60.0


@dataclass
class Seen:
    """What the other client met."""

    times: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    megabytes: float = 0.0

    def slow(self, share: float) -> float:
        """The time within which that share of the probes was answered, in seconds."""
        ordered = sorted(self.times) or [0.0]
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def words(self) -> str:
        """The worst figures."""
        return (
            f"{self.megabytes:.0f} MB; another client: {len(self.times)} answers,"
            f" median {self.slow(0.5) * 1000:.0f} ms, 95 % within {self.slow(SERVED_SHARE) * 1000:.0f} ms,"
            f" worst {self.slow(1.0) * 1000:.0f} ms"
        )


@contextlib.asynccontextmanager
async def witness(stage: Stage, service: Service, outcome: Outcome, *, name: str = "witness") -> AsyncIterator[Seen]:
    """Watch the service during the block; add faults for what another client must not notice.

    In the quick form no time is judged.
    """
    async with Visitor(service) as visitor:
        taken, _ = await visitor.post("/auth/jwt/create/", username=name, password="correct horse battery")
        tokens = await visitor.register(name) if taken == 401 else await visitor.sign_in(name)
    command = [sys.executable, "-m", "tests.attack.probe", str(service.port), tokens["access"]]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    await asyncio.to_thread(process.stdout.readline)  # it has been served once
    seen, ended = Seen(), threading.Event()

    def sample() -> None:
        while not ended.wait(SAMPLE_SECONDS):
            seen.megabytes = max(seen.megabytes, service.megabytes())

    sampler = threading.Thread(target=sample, daemon=True)
    sampler.start()
    try:
        yield seen
    finally:
        ended.set()
        written, _ = await asyncio.to_thread(process.communicate, timeout=4 * PROBE_SECONDS)
        sampler.join()
        for each in json.loads(written or "[]"):
            (seen.failures if isinstance(each, str) else seen.times).append(each)
    outcome.worst = "; ".join(filter(None, [outcome.worst, seen.words()]))
    if not seen.times and not seen.failures:
        outcome.fault("the other client asked for nothing, so this attack says nothing about others")
    for failure in seen.failures:
        outcome.fault(f"another client was not served: {failure}")
    if seen.megabytes > MEMORY_MAX_MEGABYTES:
        outcome.fault(f"the service took {seen.megabytes:.0f} MB; {MEMORY_MAX_MEGABYTES:.0f} MB are allowed")
    if stage.quick:
        outcome.not_judged.add("the times of another client")
    elif seen.slow(SERVED_SHARE) > SERVED_WITHIN_SECONDS:
        outcome.fault(f"another client waited: {seen.words()}")


async def all_gone(stage: Stage, service: Service, outcome: Outcome) -> None:
    """Wait until the service has closed every connection; a fault if some are left after 60 s. Not in quick form."""
    if stage.quick:
        outcome.not_judged.add("sockets that stay open")
        return
    began = time.monotonic()
    while (left := service.sockets()) and time.monotonic() < began + GONE_SECONDS:
        await asyncio.sleep(0.5)
    outcome.worst += f"; {left} sockets left after {time.monotonic() - began:.0f} s"
    if left:
        outcome.fault(f"{left} sockets are open {GONE_SECONDS:.0f} s after the attack")
