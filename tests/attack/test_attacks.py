"""The attack suite itself: what it judges, and that each attack says what it tries and which rule that checks."""

import random
import re

import pytest

import tests.attack
from tests.attack import enumeration, raw
from tests.attack.attacks import ATTACKS, Attack, Outcome, Skipped, faults, load, table
from tests.processes import ROOT

load(tests.attack)
RULES = set(re.findall(r"^### ([0-9]+)\. ", (ROOT / "docs" / "security.md").read_text(), re.MULTILINE))


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_says_what_it_tries_and_which_rule_it_checks(name: str) -> None:
    assert re.fullmatch(r"[A-Z].{30,200}\.", ATTACKS[name].description)
    assert set(ATTACKS[name].rules.split(", ")) <= RULES


def times(middle: float, spread: float, number: int = 100) -> list[float]:
    """That many times around a median."""
    chance = random.Random(3)
    return [chance.gauss(middle, spread) for _ in range(number)]


def test_equal_times_hold() -> None:
    outcome = Outcome()
    enumeration.judge(outcome, {"one": times(0.1, 0.001), "other": times(0.1001, 0.001)}, 0.005)
    assert not outcome.faults


@pytest.mark.parametrize("middle", [0.11, 0.09])
def test_a_difference_beyond_the_allowed_one_is_a_fault(middle: float) -> None:
    outcome = Outcome()
    enumeration.judge(outcome, {"one": times(0.1, 0.001), "other": times(middle, 0.001)}, 0.005)
    assert len(outcome.faults) == 1


def test_times_that_are_too_noisy_decide_nothing() -> None:
    outcome = Outcome()
    with pytest.raises(Skipped, match="too much noise"):
        enumeration.judge(outcome, {"one": times(0.1, 0.1, 10), "other": times(0.1, 0.1, 10)}, 0.005)


def test_responses_of_one_connection_are_told_apart() -> None:
    first = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Request-ID: a\r\n\r\n{}"
    cut = b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nhalf"
    assert [(each.status, each.body) for each in raw.parse(first + first + cut)] == [(200, b"{}"), (200, b"{}")]


def test_a_broken_rule_and_what_was_not_judged_are_in_the_table() -> None:
    async def nothing(stage: object, outcome: Outcome) -> None:
        """Tries nothing."""

    broken, skipped = Outcome(tried=3, worst="9 ms"), Outcome(skipped="no tool")
    broken.expect(False, "it was served")
    quick = Outcome(tried=1, not_judged={"times", "a restart"})
    attack = Attack("nothing", "32", True, nothing)
    assert table([(attack, broken), (attack, skipped), (attack, quick)])[2:] == [
        "| nothing | 32 | 4 | 9 ms | BROKEN |",
        "| nothing | 32 | 0 | no tool | skipped |",
        "| nothing | 32 | 1 |  | holds; not judged: a restart, times |",
    ]
    assert faults(broken) == ["    1 × it was served"]
