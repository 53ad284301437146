"""Whether an answer, or its time, says that an account exists (security 8).

Each round asks every kind once, in a random order, so that whatever else the machine does meets all kinds alike. Two
kinds are the same on purpose (two unknown names): their difference is the noise. Judged is the difference of the
medians, and its 99 % interval by bootstrap: the rule is broken when the whole interval is beyond 5 % of a hash.
An interval wider than that decides nothing; then the attack is reported as skipped.
"""

import http.client
import json
import random
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tests.attack.attacks import Outcome, Skipped, attack
from tests.attack.stage import Service, Stage, Visitor
from tests.conftest import PASSWORD

HASH_SHARE = 0.05
RESAMPLES = 2000
CONFIDENCE = 0.99
ROUNDS = 9  # of bcrypt: a hash of 0.04 s is seldom interrupted by other work, and many fit into a minute
ACTIVATION = {"SEND_ACTIVATION_EMAIL": "true"}
Ask = Mapping[str, tuple[str, dict[str, Any]]]


class Wire:
    """One connection that is kept open."""

    def __init__(self, service: Service) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)

    def post(self, path: str, body: dict[str, Any]) -> tuple[float, int, bytes, tuple[tuple[str, str], ...]]:
        """Seconds, status, body, and the headers that do not change with every answer."""
        raw = json.dumps(body).encode()
        began = time.perf_counter()
        self._connection.request("POST", path, raw, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        content = response.read()
        seconds = time.perf_counter() - began
        changing = {"date", "x-request-id"}
        headers = tuple((name.lower(), value) for name, value in response.getheaders() if name.lower() not in changing)
        return seconds, response.status, content, headers


def measure(service: Service, kinds: Ask, rounds: int, outcome: Outcome) -> dict[str, list[float]]:
    """The times of each kind in seconds. Adds a fault when two kinds are answered differently."""
    wire, times, answers = Wire(service), {kind: list[float]() for kind in kinds}, set[Any]()
    order = random.Random(1)
    for number in range(rounds + 1):
        for kind in order.sample(list(kinds), len(kinds)):
            path, body = kinds[kind]
            filled = {name: str(value).replace("{n}", str(number)) for name, value in body.items()}
            seconds, *answer = wire.post(path, filled)
            outcome.tried += 1
            answers.add(tuple(answer))
            if number:  # the first round warms up
                times[kind].append(seconds)
    if len(answers) > 1:
        outcome.fault(f"{len(answers)} different answers: {sorted(str(each)[:80] for each in answers)}")
    return times


def interval(one: Sequence[float], other: Sequence[float]) -> tuple[float, float]:
    """The interval of the difference of two medians, by bootstrap."""
    chance = random.Random(2)
    differences = sorted(
        statistics.median(chance.choices(one, k=len(one))) - statistics.median(chance.choices(other, k=len(other)))
        for _ in range(RESAMPLES)
    )
    beyond = int(RESAMPLES * (1 - CONFIDENCE) / 2)
    return differences[beyond], differences[-1 - beyond]


def judge(outcome: Outcome, times: Mapping[str, list[float]], allowed: float) -> str:
    """Compare every kind with the first: the worst difference in words. Raises Skipped if nothing is decided."""
    first, *others = times
    worst, undecided = (0.0, ""), list[str]()
    for kind in others:
        low, high = interval(times[kind], times[first])
        difference = statistics.median(times[kind]) - statistics.median(times[first])
        words = f"{difference * 1000:+.2f} ms [{low * 1000:+.2f}, {high * 1000:+.2f}] {kind}"
        if low > allowed or high < -allowed:
            outcome.fault(f"{words} against {first}; {allowed * 1000:.2f} ms are allowed")
        elif high > allowed or low < -allowed:
            undecided.append(words)
        if abs(difference) >= worst[0]:
            worst = abs(difference), words
    median = statistics.median(times[first]) * 1000
    said = f"{worst[1]}, median {median:.1f} ms, allowed {allowed * 1000:.1f} ms, n = {len(times[first])} each"
    if undecided and not outcome.faults:
        raise Skipped(f"too much noise to decide: {undecided[0]}; {said}")
    return said


def _service(stage: Stage) -> Service:
    """The service; in the full form its hashes cost much more than the rest of a sign-in."""
    return stage.service(**ACTIVATION) if stage.quick else stage.service(**ACTIVATION, BCRYPT_ROUNDS=str(ROUNDS))


async def _accounts(service: Service) -> None:
    """A known account, an inactive one, one without a usable password and one that waits for its activation."""
    async with Visitor(service) as visitor:
        for name in ("known", "inactive", "unusable", "waiting"):
            address = f"{name}@example.com"
            status, body = await visitor.post("/auth/users/", username=name, password=PASSWORD, email=address)
            assert status in (201, 400), body
    service.query("update users set is_active = true where username in ('known', 'unusable')")
    service.query("update users set password = '!' where username = 'unusable'")


@attack(rules="8")
async def enumeration_by_sign_in(stage: Stage, outcome: Outcome) -> None:
    """Times failed sign-ins of unknown names, wrong passwords, inactive and unusable accounts, at both sign-ins."""
    service = _service(stage)
    await _accounts(service)
    measured = list[tuple[str, dict[str, list[float]], float]]()
    for path, rounds in (("/auth/jwt/create/", stage.choose(800, 4)), ("/auth/token/login/", stage.choose(400, 2))):
        kinds = {
            "unknown name": (path, {"username": "nobody{n}", "password": PASSWORD}),
            "another unknown name": (path, {"username": "noone{n}", "password": PASSWORD}),
            "wrong password": (path, {"username": "known", "password": "a wrong guess"}),
            "inactive": (path, {"username": "inactive", "password": PASSWORD}),
            "inactive, wrong password": (path, {"username": "inactive", "password": "a wrong guess"}),
            "unusable password": (path, {"username": "unusable", "password": PASSWORD}),
        }
        times = measure(service, kinds, rounds, outcome)
        measured.append((path, times, HASH_SHARE * statistics.median(times["unknown name"])))
    _judge_all(stage, outcome, measured)


@attack(rules="8")
async def enumeration_by_letter(stage: Stage, outcome: Outcome) -> None:
    """Times requests for letters to known, unknown, inactive and waiting addresses, at three endpoints."""
    service = _service(stage)
    await _accounts(service)
    hashes = measure(service, {"a": ("/auth/jwt/create/", {"username": "n{n}", "password": "x"})}, 5, Outcome())
    allowed = HASH_SHARE * statistics.median(hashes["a"])
    measured = list[tuple[str, dict[str, list[float]], float]]()
    for path in ("reset_password", "resend_activation", "reset_username"):
        where = f"/auth/users/{path}/"
        kinds = {"unknown": (where, {"email": "nobody{n}@example.com"})}
        kinds |= {"another unknown": (where, {"email": "noone{n}@example.com"})}
        for name in ("known", "inactive", "unusable", "waiting"):
            kinds[name] = (where, {"email": f"{name}@example.com"})
        measured.append((path, measure(service, kinds, stage.choose(400, 5), outcome), allowed))
    _judge_all(stage, outcome, measured)


def _judge_all(stage: Stage, outcome: Outcome, measured: Sequence[tuple[str, dict[str, list[float]], float]]) -> None:
    """Judge the times of several endpoints. Raises Skipped when one is undecided and none is a fault."""
    if stage.quick:
        outcome.worst = "answers compared"
        outcome.not_judged.add("times")
        return
    said, undecided = list[str](), list[str]()
    for path, times, allowed in measured:
        try:
            said.append(f"{path}: {judge(outcome, times, allowed)}")
        except Skipped as reason:
            undecided.append(f"{path}: {reason}")
    outcome.worst = "; ".join([*said, *undecided])
    if undecided and not outcome.faults:
        raise Skipped(outcome.worst)
