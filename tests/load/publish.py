"""Copies the results of a run to `docs/load/` and its tables into README.

`python -m tests.load --publish` does it at the end of a run; `python -m tests.load.publish [FOLDER]` does it again. The
part of README is made from `docs/load/results.json` alone.
"""

import json
import re
import shutil
import statistics
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.load.chart import draw
from tests.load.measure import cpu_microseconds
from tests.load.peers import OURS, PEERS
from tests.load.report import other_processes, ratios
from tests.load.scenarios import SCENARIOS, connections_title
from tests.load.targets import Verdict

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PUBLISHED = ROOT / "docs" / "load"
BEGIN, END = "<!-- load: made by python -m tests.load.publish -->", "<!-- load ends -->"
SHOWN = (
    "read-me",
    "read-profile",
    "edit-profile",
    "list-first",
    "refresh",
    "first-use",
    "verify",
    "register",
    "sign-in",
    "mix",
)
COMPARED = ("read-me", "read-profile", "edit-profile", "list-first", "refresh")  # with 1 and 256 connections, too

Results = dict[str, Any]
"""The content of `results.json`."""


def section(results: Results) -> str:
    """The part of README: the machine, the command, the table, the chart."""
    machine, options = results["machine"], results["options"]
    head = (
        f"Responses per second over 64 connections (16 where passwords are hashed), medians of"
        f" {options['rounds']} rounds of {options['seconds']:g} s; in brackets how many times as fast this service was"
        f" in the same rounds. {options['accounts']:,} accounts, {options['tokens']:,} tokens, one process each, all"
        f" logs off, PostgreSQL {machine['postgresql']} with fsync, {_interpreters(machine)}."
        f" Measured on {day(results)} on {machine['cores']}"
        f" cores ({machine['processor']}) shared with PostgreSQL and the load, by `{results['command']}`."
    )
    head += "".join(f" Meanwhile {line}." for line in other_processes(results["results"]))
    rest = "All results: `docs/load/results.json`; the targets: `docs/load/README.md`."
    rows = results["results"]
    tables = [*_table(rows), "", *_at_connections(rows), *_cpu(rows), "![chart](docs/load/chart.svg)"]
    return "\n".join([BEGIN, head, "", *tables, "", rest, END])


def _interpreters(machine: dict[str, Any]) -> str:
    """The Python of the service and of all peers in Python, Node, and the versions of what brings its own."""
    names = {"node": "Node", "bun": "Bun", "pocketbase": "PocketBase"}
    return ", ".join(
        [f"Python {machine['python']}", *(f"{names[each]} {machine[each]}" for each in names if machine.get(each))]
    )


def day(results: Results) -> str:
    """The date of the run."""
    return datetime.fromisoformat(results["when"]).strftime("%-d %B %Y")


def targets(results: Results) -> str:
    """The text of `docs/load/README.md`: each target, what was measured, whether it was met."""
    lines = ["# Targets and results", "", "Made by `python -m tests.load.publish` from `results.json`.", ""]
    lines += ["| target | bound | measured | |", "|---|--:|--:|---|"]
    for each in results["targets"]:
        verdict = Verdict(**each)
        sign = "≥" if verdict.at_least else "≤"
        met = "met" if verdict.is_met else f"missed by {abs(verdict.value / verdict.bound - 1):.1%}"
        lines.append(f"| {verdict.target} | {sign} {verdict.bound:g} | {verdict.value:.2f} | {met} |")
    return "\n".join([*lines, ""])


def _table(rows: Sequence[dict[str, Any]]) -> list[str]:
    names = [name for name in [*PEERS, "bcrypt"] if any(row["peer"] == name for row in rows)]
    lines = ["| | " + " | ".join(names) + " |", "|---|" + "--:|" * len(names)]
    for scenario in SHOWN:
        found = {row["peer"]: row for row in rows if row["scenario"] == scenario and not row["variant"]}
        if found:
            cells = [_cell(found.get(name), rows) for name in names]
            lines.append(f"| `{scenario}`: {SCENARIOS[scenario].description} | " + " | ".join(cells) + " |")
    return lines


def _names(rows: Sequence[dict[str, Any]]) -> list[str]:
    return [name for name in PEERS if any(row["peer"] == name and row["scenario"] in COMPARED for row in rows)]


def _at_connections(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The table of few and many connections; no lines if they were not measured."""
    lines = []
    for scenario in COMPARED:
        for number in (1, 256):
            title = connections_title(number)
            found = {row["peer"]: row for row in rows if row["scenario"] == scenario and row["variant"] == title}
            if found:
                cells = [_cell(found.get(name), rows) for name in _names(rows)]
                lines.append(f"| `{scenario}`, {title} | " + " | ".join(cells) + " |")
    if not lines:
        return []
    names = _names(rows)
    return ["| | " + " | ".join(names) + " |", "|---|" + "--:|" * len(names), *lines, ""]


def _cpu(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The table of processor time."""
    names = _names(rows)
    lines = ["Microseconds of processor time for one response over 64 connections: of the server + of PostgreSQL.", ""]
    lines += ["| | " + " | ".join(names) + " |", "|---|" + "--:|" * len(names)]
    for scenario in COMPARED:
        found = {row["peer"]: row for row in rows if row["scenario"] == scenario and not row["variant"]}
        if found:
            cells = [_cpu_cell(found[name]) if name in found else "" for name in names]
            lines.append(f"| `{scenario}` | " + " | ".join(cells) + " |")
    return [*lines, ""]


def _cpu_cell(row: dict[str, Any]) -> str:
    server, database = (cpu_microseconds(row, whose) for whose in ("cpu", "database_cpu"))
    return f"{server:,.0f} + {database:,.0f}" if PEERS[row["peer"]].uses_postgresql else f"{server:,.0f}"


def _cell(row: dict[str, Any] | None, rows: Sequence[dict[str, Any]]) -> str:
    if row is None:
        return ""
    rate = statistics.median(row["rates"])
    text = f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"
    if row["peer"] == OURS:
        return f"**{text}**"
    return f"{text} ({statistics.median(ratios(row, rows)):.1f})"


def main(arguments: Sequence[str]) -> int:
    """Publish the run of a folder. Returns the exit status."""
    folder = Path(arguments[0]) if arguments else ROOT / ".cache" / "load" / "results"
    PUBLISHED.mkdir(parents=True, exist_ok=True)
    if folder.resolve() != PUBLISHED:
        shutil.copy(folder / "results.json", PUBLISHED)
    results = json.loads((PUBLISHED / "results.json").read_text())
    (PUBLISHED / "chart.svg").write_text(draw(results["results"]))
    (PUBLISHED / "README.md").write_text(targets(results))
    part = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    README.write_text(part.sub(lambda _: section(results), README.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
