"""Overload (security 31). What is lost when processes and machines fail: tests/drill/."""

import asyncio
import itertools
import statistics
import time
from collections import Counter
from collections.abc import Iterator

import aiohttp

from tests.attack.attacks import Outcome, attack
from tests.attack.stage import Stage, Visitor
from tests.attack.witness import witness
from tests.conftest import PASSWORD

KEPT_SHARE = 0.7  # of the goodput at the peak: two runs of one load differ by up to a quarter on a shared machine
FLOOD_TIMES = 10
# Many, as in real overload: one account alone may have no more places in the queue of hashes than are free.
NAMES = [f"flooded-{number}" for number in range(50)]


@attack(rules="10, 31", quick=False)
async def ten_times_the_capacity(stage: Stage, outcome: Outcome) -> None:
    """Signs 50 accounts in at ten times the rate of hashing: as many succeed as at the peak, the rest is refused."""
    with stage.own_service(BCRYPT_ROUNDS="10") as service:
        async with Visitor(service, connections=2000) as visitor:
            for name in NAMES:
                await visitor.register(name)
            seconds = 8.0
            peak = await closed_loop(visitor, 8, seconds)
            async with witness(stage, service, outcome):
                statuses, refusals, accepted = await open_loop(visitor, FLOOD_TIMES * peak, seconds)
            after = await closed_loop(visitor, 8, seconds / 2)
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


async def _sign_in(visitor: Visitor, names: Iterator[str]) -> tuple[int, float]:
    began = time.monotonic()
    try:
        status, _ = await visitor.post("/auth/jwt/create/", username=next(names), password=PASSWORD)
    except (aiohttp.ClientError, ConnectionError, TimeoutError):
        status = 0
    return status, time.monotonic() - began


async def closed_loop(visitor: Visitor, clients: int, seconds: float) -> float:
    """Sign-ins a second of clients that each wait for their answer."""
    end, done, names = time.monotonic() + seconds, 0, itertools.cycle(NAMES)

    async def ask() -> None:
        nonlocal done
        while time.monotonic() < end:
            status, _ = await _sign_in(visitor, names)
            done += status == 200

    await asyncio.gather(*(ask() for _ in range(clients)))
    return done / seconds


async def open_loop(visitor: Visitor, rate: float, seconds: float) -> tuple[Counter[int], list[float], list[float]]:
    """Sign in at a rate, whether or not answers come: the statuses, and the times of refusals and of successes.

    Counted are the answers of the flood alone, not of the queue that it leaves.
    """
    statuses, refusals, accepted = Counter[int](), list[float](), list[float]()
    began, names = time.monotonic(), itertools.cycle(NAMES)

    async def one() -> None:
        status, spent = await _sign_in(visitor, names)
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
