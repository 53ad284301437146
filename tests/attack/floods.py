"""Floods of connections, again and again on one process (security 31, 32, 38): memory is bounded, and is given back."""

import asyncio

from tests.attack import raw
from tests.attack.attacks import Outcome, attack
from tests.attack.slow import HEAD
from tests.attack.stage import Service, Stage
from tests.attack.witness import witness

LEFT_MAX_MEGABYTES = 150.0  # of the process, when a flood is over
GIVEN_BACK_SECONDS = 10.0
HEADERS = b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: %b\r\n" % (each, b"y" * 200) for each in range(120))
PIPELINE = (b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 100 + b"\r\n") * 60
BODY = HEAD % b"/auth/users/" + b"Content-Length: 1000000\r\n\r\n" + b"x" * 400_000
FLOODS = {"unfinished heads": (HEADERS, 3000), "unfinished bodies": (BODY, 1000), "pipelines": (PIPELINE, 1000)}


async def _flood(service: Service, sent: bytes, number: int) -> None:
    """Send the same on each of that many connections, as far as the service reads it, and leave."""
    opened = await asyncio.to_thread(raw.open_sockets, service.port, number)
    loop = asyncio.get_running_loop()
    try:
        sending = [asyncio.ensure_future(loop.sock_sendall(each, sent)) for each in opened]
        _, unsent = await asyncio.wait(sending, timeout=8)
        for each in unsent:
            each.cancel()
        await asyncio.gather(*sending, return_exceptions=True)
        await asyncio.sleep(2)
    finally:
        raw.close(opened)


@attack(rules="31, 32, 38")
async def repeated_floods(stage: Stage, outcome: Outcome) -> None:
    """Floods one process three times with 3,000 heads of 120 headers, 1,000 bodies of 400 kB and 1,000 pipelines."""
    with stage.fresh_service() as service:
        for _ in range(stage.choose(3, 1)):
            for what, (sent, number) in FLOODS.items():
                watched = Outcome()
                async with witness(stage, service, watched):
                    await _flood(service, sent, number // stage.choose(1, 20))
                outcome.tried += number // stage.choose(1, 20)
                left = await _left(service)
                words = f"{what}: {watched.worst}; {left:.0f} MB left"
                stage.say(f"    {words}")
                outcome.worst = max(outcome.worst, words, key=_megabytes)
                outcome.not_judged |= watched.not_judged
                outcome.faults.update({f"{what}: {fault}": count for fault, count in watched.faults.items()})
                if left > LEFT_MAX_MEGABYTES:
                    outcome.fault(f"{what}: {left:.0f} MB {GIVEN_BACK_SECONDS:.0f} s later")


def _megabytes(words: str) -> float:
    return float(words.partition(": ")[2].partition(" MB")[0] or 0)


async def _left(service: Service) -> float:
    """The megabytes of the process when it has given back what it can."""
    left = service.megabytes()
    for _ in range(int(GIVEN_BACK_SECONDS / 0.5)):
        if left <= LEFT_MAX_MEGABYTES:
            break
        await asyncio.sleep(0.5)
        left = service.megabytes()
    return left


@attack(rules="32")
async def more_connections_than_files(stage: Stage, outcome: Outcome) -> None:
    """Opens five times as many connections as the process may have, some silent and some within a head."""
    allowed, number = 200, stage.choose(1000, 250)
    with stage.own_service(MAX_CONNECTIONS=str(allowed)) as service:
        opened = []
        try:
            async with witness(stage, service, outcome):
                for _ in range(number // 50):
                    batch = await asyncio.to_thread(raw.open_sockets, service.port, 50)
                    opened += batch
                    raw.push(batch[::2], b"GET / HTTP/1.1\r\nHost: x\r\n")
                    await asyncio.sleep(0.1)
                outcome.tried += number
                # One that is too many is closed in the turn of the event loop after it was accepted.
                for _ in range(20):
                    if (open_now := service.sockets()) <= allowed:
                        break
                    await asyncio.sleep(0.1)
                outcome.expect(open_now <= allowed, f"{open_now} connections are open")
                await asyncio.sleep(1 if stage.quick else 10)
        finally:
            raw.close(opened)
