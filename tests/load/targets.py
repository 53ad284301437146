"""The targets, and whether a run met them. They are ratios within one run: rates depend on the machine."""

import statistics
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from tests.load.measure import cpu_microseconds
from tests.load.peers import OURS
from tests.load.scenarios import BARE_HASH, connections_title

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
        for judge_some in (_against_peers, _cpu, _pages, _refresh, _storm, _connections, _growth, _memory)
        for verdict in judge_some(cases)
    ]


Cases = dict[tuple[str, str, str], Row]

ONE, MANY = connections_title(1), connections_title(256)
OTHERS = {"fastapi": 8, "djoser": 20, "fastapi-users": 30, "ceiling": 0.8}
AGAINST_PEERS: dict[tuple[str, str], dict[str, float]] = {
    ("read-me", ""): {"fastify": 2.5, "elysia": 1.1, **OTHERS},
    ("read-me", ONE): {"fastify": 1.0, "elysia": 0.65, "fastapi": 1},
    ("read-me", MANY): {"fastify": 2.2, "elysia": 1.0, **OTHERS},
    ("read-profile", ""): {"fastify": 2.8, "elysia": 1.15, "fastapi": 8, "ceiling": 0.6},
    ("read-profile", ONE): {"fastify": 0.9, "elysia": 0.6},
    ("read-profile", MANY): {"fastify": 2.2, "elysia": 1.0},
    ("edit-profile", ""): {"fastify": 2.5, "elysia": 1.15, "fastapi": 5},
    ("edit-profile", ONE): {"fastify": 0.9, "elysia": 0.65},
    ("edit-profile", MANY): {"fastify": 2.2, "elysia": 1.0},
    ("refresh", ""): {"fastify": 1.6, "elysia": 0.6, "djoser": 5},
    ("refresh", ONE): {"fastify": 0.95, "elysia": 0.6},
    ("refresh", MANY): {"fastify": 1.5, "elysia": 0.55},
    ("list-first", ""): {"fastify": 5, "elysia": 3.3, "fastapi": 3},
    ("list-first", ONE): {"fastify": 1.0, "elysia": 0.75},
    ("list-first", MANY): {"fastify": 5, "elysia": 3},
    ("register", ""): {BARE_HASH: 0.95},
    ("sign-in", ""): {BARE_HASH: 0.95},
}
# Processor time of server and PostgreSQL for one response, times that of Elysia, at most.
CPU_OF_ELYSIA = {"read-me": 1.0, "read-profile": 1.0, "edit-profile": 1.0, "list-first": 1.0, "refresh": 1.3}


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


def _cpu(cases: Cases) -> Iterator[Verdict]:
    for scenario, bound in CPU_OF_ELYSIA.items():
        ours, theirs = (cases.get((scenario, peer, "")) for peer in (OURS, "elysia"))
        if ours and theirs:
            spent = [sum(cpu_microseconds(row, whose) for whose in ("cpu", "database_cpu")) for row in (ours, theirs)]
            target = f"processor time of {scenario}, times elysia"
            yield Verdict(target, spent[0] / max(spent[1], 1e-9), bound, at_least=False)


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
    for few, many in _pair(cases, "read-me", "", MANY):
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
