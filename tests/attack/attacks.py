"""What an attack is: a function that tries something against the service and says what came of it."""

import importlib
import pkgutil
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.attack.stage import Stage

SHOWN_FAULTS = 8


class Skipped(Exception):
    """An attack cannot run here; the text is the reason."""


@dataclass
class Outcome:
    """What an attack found."""

    tried: int = 0
    worst: str = ""
    """The worst figure that was measured, in words."""
    faults: Counter[str] = field(default_factory=Counter)
    """What broke the rule, and how often. Empty: the rule holds."""
    seconds: float = 0.0
    skipped: str = ""
    not_judged: set[str] = field(default_factory=set)
    """What was not compared with the rule, in the quick form."""

    @property
    def state(self) -> str:
        """The judgement in words."""
        if self.skipped:
            return "skipped"
        if self.faults:
            return "BROKEN"
        return f"holds; not judged: {', '.join(sorted(self.not_judged))}" if self.not_judged else "holds"

    def expect(self, holds: bool, fault: str) -> None:
        """Count one try, and a fault unless the rule holds."""
        self.tried += 1
        if not holds:
            self.faults[fault] += 1

    def fault(self, text: str) -> None:
        """Note a broken rule that is no try of its own."""
        self.faults[text] += 1


Run = Callable[["Stage", Outcome], Awaitable[None]]


@dataclass(frozen=True)
class Attack:
    """One attack; its description is the docstring of its function."""

    name: str
    rules: str
    quick: bool
    run: Run

    @property
    def description(self) -> str:
        """What it tries."""
        return " ".join((self.run.__doc__ or "").split())

    async def carry_out(self, stage: "Stage") -> Outcome:
        """Run it; a failure of the attack itself is a fault, too."""
        outcome, began = Outcome(), time.monotonic()
        try:
            async with stage.watching(outcome):
                await self.run(stage, outcome)
        except Skipped as reason:
            outcome.skipped = str(reason)
        except Exception as failure:
            outcome.fault(f"the attack failed: {type(failure).__name__}: {failure}")
        outcome.seconds = time.monotonic() - began
        return outcome


ATTACKS: dict[str, Attack] = {}


def attack(*, rules: str, quick: bool = True) -> Callable[[Run], Run]:
    """Register a function as an attack. `rules`: numbers of docs/security.md. `quick`: whether CI runs it."""

    def register(function: Run) -> Run:
        name = getattr(function, "__name__", "").replace("_", "-")
        assert name not in ATTACKS
        ATTACKS[name] = Attack(name, rules, quick, function)
        return function

    return register


def table(rows: Iterable[tuple[Attack, Outcome]]) -> list[str]:
    """The results as a table of Markdown: also README's figures come from it."""
    lines = ["| attack | rules | tried | worst figure | |", "|---|---|--:|---|---|"]
    for each, outcome in rows:
        worst = outcome.skipped or outcome.worst
        lines.append(f"| {each.name} | {each.rules} | {outcome.tried:,} | {worst} | {outcome.state} |")
    return lines


def load(package: ModuleType) -> None:
    """Import every module of a package but its tests, so that what they declare is registered."""
    for module in pkgutil.iter_modules(package.__path__):
        if module.name != "__main__" and not module.name.startswith("test_"):
            importlib.import_module(f"{package.__name__}.{module.name}")


def faults(outcome: Outcome) -> list[str]:
    """The most frequent faults of an attack, one a line."""
    return [f"    {count:,} × {text}" for text, count in outcome.faults.most_common(SHOWN_FAULTS)]
