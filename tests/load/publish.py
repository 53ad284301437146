"""`python -m tests.load.publish [FOLDER]`: puts a run into `docs/load/` and its table into README.

README's part is made from the file beside it, and from nothing else.
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
from tests.load.peers import OURS, PEERS
from tests.load.report import quiet, ratios
from tests.load.scenarios import SCENARIOS
from tests.load.targets import Verdict

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
KEPT = ROOT / "docs" / "load"
BEGIN, END = "<!-- load: made by python -m tests.load.publish -->", "<!-- load ends -->"
SHOWN = (
    "read-me",
    "read-profile",
    "edit-profile",
    "list-first",
    "refresh",
    "verify",
    "register",
    "sign-in",
    "mix",
    "lone",
)

Told = dict[str, Any]
"""What `results.json` holds."""


def section(told: Told) -> str:
    """README's part: the machine, the command, the table, the chart."""
    machine, options = told["machine"], told["options"]
    head = (
        f"Answers a second over 64 connections (16 where passwords are hashed, 1 in `lone`), medians of"
        f" {options['rounds']} rounds of {options['seconds']:g} s; in brackets how many times as fast this service was"
        f" in the same rounds. {options['accounts']:,} accounts, {options['tokens']:,} tokens, one process each, all"
        f" logs off, PostgreSQL {machine['postgresql']} with fsync. Measured on {when(told)} on {machine['cores']}"
        f" cores ({machine['processor']}) shared with PostgreSQL and the load, by `{told['command']}`."
    )
    head += "".join(f" Meanwhile {line}." for line in quiet(told["results"]))
    rest = "Every figure: `docs/load/results.json`; what was to be reached: `docs/load/README.md`."
    return "\n".join([BEGIN, head, "", *_table(told["results"]), "", "![chart](docs/load/chart.svg)", "", rest, END])


def when(told: Told) -> str:
    """The day of the run."""
    return datetime.fromisoformat(told["when"]).strftime("%-d %B %Y")


def targets(told: Told) -> str:
    """The page beside the figures: each target, what was measured, whether it was met."""
    lines = ["# What was to be reached", "", "Made by `python -m tests.load.publish` from `results.json`.", ""]
    lines += ["| target | bound | measured | |", "|---|--:|--:|---|"]
    for each in told["targets"]:
        verdict = Verdict(**each)
        sign = "≥" if verdict.at_least else "≤"
        met = "met" if verdict.is_met else f"missed by {abs(verdict.value / verdict.bound - 1):.0%}"
        lines.append(f"| {verdict.says} | {sign} {verdict.bound:g} | {verdict.value:.2f} | {met} |")
    return "\n".join([*lines, ""])


def _table(rows: Sequence[dict[str, Any]]) -> list[str]:
    names = [name for name in [*PEERS, "bcrypt"] if any(row["peer"] == name for row in rows)]
    lines = ["| | " + " | ".join(names) + " |", "|---|" + "--:|" * len(names)]
    for scenario in SHOWN:
        found = {row["peer"]: row for row in rows if row["scenario"] == scenario}
        if found:
            cells = [_cell(found.get(name), rows) for name in names]
            lines.append(f"| `{scenario}`: {SCENARIOS[scenario].says} | " + " | ".join(cells) + " |")
    return lines


def _cell(row: dict[str, Any] | None, rows: Sequence[dict[str, Any]]) -> str:
    if row is None:
        return ""
    rate = statistics.median(row["rates"])
    told = f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"
    if row["peer"] == OURS:
        return f"**{told}**"
    return f"{told} ({statistics.median(ratios(row, rows)):.1f})"


def main(arguments: Sequence[str]) -> int:
    """Keep the run of a folder; the exit status."""
    folder = Path(arguments[0]) if arguments else ROOT / ".cache" / "load" / "results"
    KEPT.mkdir(parents=True, exist_ok=True)
    if folder.resolve() != KEPT:
        shutil.copy(folder / "results.json", KEPT)
    told = json.loads((KEPT / "results.json").read_text())
    (KEPT / "chart.svg").write_text(draw(told["results"]))
    (KEPT / "README.md").write_text(targets(told))
    part = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    README.write_text(part.sub(lambda _: section(told), README.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
