"""The targets, and whether a run met them. They are ratios within one run: rates depend on the machine."""

import statistics
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from tests.load.peers import OURS
from tests.load.scenarios import BARE_HASH

Row = dict[str, Any]


class Verdict(NamedTuple):
    """One target: the value of this run, and the lower or upper bound."""

    target: str
    value: float
    bound: float
    at_least: bool = True

    @property
    def is_met(self) -> bool:
        """Whether the run met the target."""
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def line(self) -> str:
        """The verdict as a line for the terminal."""
        sign = "≥" if self.at_least else "≤"
        return f"{'met   ' if self.is_met else 'MISSED'}  {self.target}: {self.value:.2f} ({sign} {self.bound:g})"


def judge(rows: Sequence[Row]) -> list[Verdict]:
    """Compare a run with the targets. Returns a verdict for each target whose cases were measured."""
    cases = {(row["scenario"], row["peer"], row["variant"]): row for row in rows}
    return [
        verdict
        for judge_some in (_against_peers, _pages, _refresh, _storm, _connections, _growth, _memory)
        for verdict in judge_some(cases)
    ]


Cases = dict[tuple[str, str, str], Row]

READ_ME = {"fastify": 2, "fastapi": 8, "djoser": 20, "fastapi-users": 30, "ceiling": 0.8}
AGAINST_PEERS: dict[tuple[str, str], dict[str, float]] = {
    ("read-me", ""): READ_ME,
    ("connections", "64 connections"): READ_ME,
    ("connections", "256 connections"): READ_ME,
    ("read-profile", ""): {"fastify": 1.8, "fastapi": 8, "ceiling": 0.6},
    ("edit-profile", ""): {"fastify": 1.7, "fastapi": 5},
    ("refresh", ""): {"djoser": 5},
    ("list-first", ""): {"fastapi": 3},
    ("register", ""): {BARE_HASH: 0.95},
    ("sign-in", ""): {BARE_HASH: 0.95},
    ("lone", ""): {"fastapi": 1},
}


def _ratio(one: Row, other: Row, measured: str = "rates") -> float:
    """The median of the ratios of the rounds."""
    ratios: list[float] = [a / max(b, 1e-9) for a, b in zip(one[measured], other[measured], strict=True)]
    return statistics.median(ratios)


def _against_peers(cases: Cases) -> Iterator[Verdict]:
    for (scenario, variant), bounds in AGAINST_PEERS.items():
        ours = cases.get((scenario, OURS, variant))
        for peer, bound in bounds.items():
            theirs = cases.get((scenario, peer, variant))
            if ours and theirs:
                name = f"{scenario} at {variant}" if variant else scenario
                yield Verdict(f"{name}, times {peer}", _ratio(ours, theirs), bound)


def _pair(cases: Cases, scenario: str, *variants: str) -> list[tuple[Row, ...]]:
    rows = tuple(cases.get((scenario, OURS, variant)) for variant in variants)
    return [tuple(row for row in rows if row)] if all(rows) else []


def _pages(cases: Cases) -> Iterator[Verdict]:
    for first, deep in _pair(cases, "list-deep", "page 1", "page 1,000"):
        yield Verdict("cost of page 1,000, times page 1", _ratio(first, deep), 1.2, at_least=False)


def _refresh(cases: Cases) -> Iterator[Verdict]:
    refresh, me = cases.get(("refresh", OURS, "")), cases.get(("read-me", OURS, ""))
    if refresh and me:
        yield Verdict("refresh, times read-me", _ratio(refresh, me), 0.6)


def _storm(cases: Cases) -> Iterator[Verdict]:
    for calm, storm in _pair(cases, "storm", "calm", "storm"):
        yield Verdict("p99 in a sign-in storm, times calm", _ratio(storm, calm, "p99"), 4, at_least=False)
        yield Verdict("reads in a sign-in storm, times calm", _ratio(storm, calm), 0.6)


def _connections(cases: Cases) -> Iterator[Verdict]:
    for few, many in _pair(cases, "connections", "64 connections", "256 connections"):
        yield Verdict("256 connections, times 64", _ratio(many, few), 1)
        yield Verdict("p99 of 256 connections, times 64", _ratio(many, few, "p99"), 4, at_least=False)


def _growth(cases: Cases) -> Iterator[Verdict]:
    """The scenario has two cases for each kind of work: the small database first."""
    found: dict[str, list[Row]] = {}
    for (scenario, _, _), row in cases.items():
        if scenario == "growth":
            found.setdefault(row["work"], []).append(row)
    for work, (small, large) in found.items():
        yield Verdict(
            f"cost of {work} with a million accounts, times ten thousand", _ratio(small, large), 1.15, at_least=False
        )


def _memory(cases: Cases) -> Iterator[Verdict]:
    if row := cases.get(("memory", OURS, "")):
        idle, tenth, *_, last = row["figures"].values()
        yield Verdict("MB when idle", idle, 110, at_least=False)
        yield Verdict("MB after the last response, times after a tenth", last / tenth, 1.02, at_least=False)
    if row := cases.get(("idle", OURS, "")):
        yield Verdict("kB of an idle connection", row["figures"]["kB per connection"], 20, at_least=False)
