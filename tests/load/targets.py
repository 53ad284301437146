"""What is to be reached, and whether it was: ratios within one run, never absolute figures of one machine."""

import statistics
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from tests.load.peers import OURS
from tests.load.scenarios import BARE

Row = dict[str, Any]


class Verdict(NamedTuple):
    """One target, the value of this run, and the least or the most that it should be."""

    says: str
    value: float
    bound: float
    at_least: bool = True

    @property
    def is_met(self) -> bool:
        """Whether the run reached it."""
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def line(self) -> str:
        """For people."""
        sign = "≥" if self.at_least else "≤"
        return f"{'met   ' if self.is_met else 'MISSED'}  {self.says}: {self.value:.2f} ({sign} {self.bound:g})"


def judge(rows: Sequence[Row]) -> list[Verdict]:
    """A verdict for each target whose lanes were measured."""
    lanes = {(row["scenario"], row["peer"], row["variant"]): row for row in rows}
    return [
        verdict
        for judged in (_against_peers, _pages, _refresh, _storm, _connections, _growth, _memory)
        for verdict in judged(lanes)
    ]


Lanes = dict[tuple[str, str, str], Row]

READ_ME = {"fastify": 2, "fastapi": 8, "djoser": 20, "fastapi-users": 30, "ceiling": 0.8}
AGAINST: dict[tuple[str, str], dict[str, float]] = {
    ("read-me", ""): READ_ME,
    ("connections", "64 connections"): READ_ME,
    ("connections", "256 connections"): READ_ME,
    ("read-profile", ""): {"fastify": 1.8, "fastapi": 8, "ceiling": 0.6},
    ("edit-profile", ""): {"fastify": 1.7, "fastapi": 5},
    ("refresh", ""): {"djoser": 5},
    ("list-first", ""): {"fastapi": 3},
    ("register", ""): {BARE: 0.95},
    ("sign-in", ""): {BARE: 0.95},
    ("lone", ""): {"fastapi": 1},
}


def _ratio(one: Row, other: Row, what: str = "rates") -> float:
    """The median of the rounds' ratios."""
    return statistics.median(a / max(b, 1e-9) for a, b in zip(one[what], other[what], strict=True))


def _against_peers(lanes: Lanes) -> Iterator[Verdict]:
    for (scenario, variant), bounds in AGAINST.items():
        ours = lanes.get((scenario, OURS, variant))
        for peer, bound in bounds.items():
            theirs = lanes.get((scenario, peer, variant))
            if ours and theirs:
                what = f"{scenario} at {variant}" if variant else scenario
                yield Verdict(f"{what}, times {peer}", _ratio(ours, theirs), bound)


def _pair(lanes: Lanes, scenario: str, *variants: str) -> list[tuple[Row, ...]]:
    rows = tuple(lanes.get((scenario, OURS, variant)) for variant in variants)
    return [tuple(row for row in rows if row)] if all(rows) else []


def _pages(lanes: Lanes) -> Iterator[Verdict]:
    for first, deep in _pair(lanes, "list-deep", "page 1", "page 1,000"):
        yield Verdict("cost of page 1,000, times page 1", _ratio(first, deep), 1.2, at_least=False)


def _refresh(lanes: Lanes) -> Iterator[Verdict]:
    refresh, me = lanes.get(("refresh", OURS, "")), lanes.get(("read-me", OURS, ""))
    if refresh and me:
        yield Verdict("refresh, times read-me", _ratio(refresh, me), 0.6)


def _storm(lanes: Lanes) -> Iterator[Verdict]:
    for calm, storm in _pair(lanes, "storm", "calm", "storm"):
        yield Verdict("p99 in a sign-in storm, times calm", _ratio(storm, calm, "p99"), 4, at_least=False)
        yield Verdict("reads in a sign-in storm, times calm", _ratio(storm, calm), 0.6)


def _connections(lanes: Lanes) -> Iterator[Verdict]:
    for few, many in _pair(lanes, "connections", "64 connections", "256 connections"):
        yield Verdict("256 connections, times 64", _ratio(many, few), 1)
        yield Verdict("p99 of 256 connections, times 64", _ratio(many, few, "p99"), 4, at_least=False)


def _growth(lanes: Lanes) -> Iterator[Verdict]:
    """Each kind of work stands there twice, the small database first."""
    found: dict[str, list[Row]] = {}
    for (scenario, _, _), row in lanes.items():
        if scenario == "growth":
            found.setdefault(row["work"], []).append(row)
    for work, (small, large) in found.items():
        yield Verdict(f"cost of {work} among a million, times ten thousand", _ratio(small, large), 1.15, at_least=False)


def _memory(lanes: Lanes) -> Iterator[Verdict]:
    if row := lanes.get(("memory", OURS, "")):
        rest, tenth, *_, last = row["figures"].values()
        yield Verdict("MB at rest", rest, 110, at_least=False)
        yield Verdict("MB after the last answer, times after a tenth", last / tenth, 1.02, at_least=False)
    if row := lanes.get(("idle", OURS, "")):
        yield Verdict("kB of an idle connection", row["figures"]["kB a connection"], 20, at_least=False)
