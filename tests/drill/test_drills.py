"""The drills themselves: what the ledger judges, and that each drill says what it does."""

import re
import time

import pytest

import tests.drill
from tests.attack.attacks import Outcome, load
from tests.drill import __main__ as command
from tests.drill.drills import DRILLS, Drill, Result, Scene, table
from tests.drill.ledger import Ledger, Write

load(tests.drill)


@pytest.mark.parametrize("name", DRILLS)
def test_a_drill_says_what_it_does(name: str) -> None:
    assert re.fullmatch(r"[A-Z].{30,200}\.", DRILLS[name].description)


def test_the_quick_drills_exist() -> None:
    assert set(command.QUICK) <= set(DRILLS)


def test_an_unknown_drill_is_refused() -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["no-drill"])
    assert ended.value.code == 2


async def test_a_write_that_began_before_the_harm_is_no_recovery() -> None:
    ledger, since = Ledger(Outcome()), time.monotonic()
    ledger.writes.append(Write(since - 1, since + 1))
    assert await ledger.recovers("the harm", since, 0.0) == 0.0
    assert list(ledger.outcome.faults) == ["the harm: no service for 0 s"]


def test_a_broken_rule_is_in_the_table() -> None:
    async def nothing(scene: Scene) -> None:
        """Does nothing."""

    broken, kept = Result(), Result()
    broken.expect(False, "an edit that was answered is lost")
    kept.note("one worker", 0.5)
    kept.note("one worker", 0.25)
    each = Drill("nothing", nothing)
    assert [line.split(" | ")[1:2] + line.split(" | ")[-1:] for line in table([(each, broken), (each, kept)])[2:]] == [
        ["-", "BROKEN |"],
        ["one worker 0.5 s (worst of 2)", "nothing lost |"],
    ]
