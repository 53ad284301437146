"""The results of a run: a table on the terminal, `results.json`, a chart."""

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from server.process.interpreter import describe
from tests.load.chart import draw
from tests.load.measure import Result, cpu_microseconds
from tests.load.peers import OURS, PEERS
from tests.load.scenarios import SCENARIOS, Options
from tests.load.targets import judge

HEAD = ("", "responses/s", "range", "p50 ms", "p99 ms", "CPU µs", "DB CPU µs", "RSS MB", "statements", "ratio", "wrong")

Row = dict[str, Any]
"""The result of a case, as in `results.json`."""


def write(
    folder: Path, command: str, options: Options, versions: dict[str, str], results: Sequence[Result]
) -> list[str]:
    """Write `results.json` and `chart.svg`. Returns the lines for the terminal."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [result.as_json() for result in results]
    verdicts = [] if options.is_quick else judge(rows)
    content = {
        "command": command,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine() | versions,
        "options": asdict(options),
        "results": [row | {"ours_is": ratios(row, rows)} for row in rows],
        "targets": [verdict._asdict() for verdict in verdicts],
    }
    (folder / "results.json").write_text(json.dumps(content, indent=1) + "\n")
    (folder / "chart.svg").write_text(draw(rows))
    files = [f"written: {folder / name}" for name in ("results.json", "chart.svg")]
    return [*table(rows), *_lacking(options), *other_processes(rows), *(verdict.line() for verdict in verdicts), *files]


def machine() -> dict[str, Any]:
    """The machine of the run."""
    processor = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "processor": processor[0].partition(": ")[2] if processor else platform.machine(),
        "cores": os.cpu_count(),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.release()}",
        "python": describe(),
        "node": _output("node", "--version"),
    }


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def ratios(row: Row, rows: Sequence[Row]) -> list[float]:
    """How many times as fast the service was, for each round; empty if there is nothing to compare."""
    same = [each for each in rows if each["peer"] == OURS and each["scenario"] == row["scenario"]]
    ours = [each for each in same if each["variant"] == row["variant"]] or same
    if not ours or row["peer"] == OURS:
        return []
    pairs = zip(ours[0]["rates"], row["rates"], strict=True)
    return [mine / theirs for mine, theirs in pairs if theirs]


def spread(values: Sequence[float], form: str = ",.0f") -> str:
    """The lowest and the highest value."""
    return f"{min(values):{form}}–{max(values):{form}}" if values else ""


def table(rows: Sequence[Row]) -> list[str]:
    """All cases in columns, scenario by scenario; processor time is per response."""
    lines: list[str] = []
    for name in dict.fromkeys(row["scenario"] for row in rows):
        cells = [_cells(row, rows) for row in rows if row["scenario"] == name]
        widths = [max(map(len, column)) for column in zip(HEAD, *cells, strict=True)]
        lines += ["", f"{name}: {SCENARIOS[name].description}"]
        for line in (HEAD, *cells):
            aligned = [line[0].ljust(widths[0])]
            aligned += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
            lines.append("  " + "  ".join(aligned).rstrip())
        for row in rows:
            if row["scenario"] == name:
                lines += [f"  {row['case']}: {value:,.1f} {what}" for what, value in row["figures"].items()]
                lines += [f"  {row['case']}, wrong response: {fault}" for fault in row["wrong"]]
    return [*lines, ""]


def other_processes(rows: Sequence[Row]) -> list[str]:
    """A line about how much of the machine other processes used; no line if no time was measured."""
    cores = [each for row in rows for each in row["other_cores"]]
    if not cores:
        return []
    text = f"other processes used {statistics.median(cores):.2f} of {os.cpu_count()} cores (median)"
    return [f"{text}, {max(cores):.2f} at most"]


def _cells(row: Row, rows: Sequence[Row]) -> tuple[str, ...]:
    def median(name: str, form: str) -> str:
        return f"{statistics.median(row[name]):{form}}" if row[name] else ""

    times = ratios(row, rows)
    ours_is = f"× {statistics.median(times):.2f} ({spread(times, '.2f')})" if times else ""
    return (
        row["case"],
        median("rates", ",.0f" if row["rates"] and statistics.median(row["rates"]) > 100 else ",.1f"),
        spread(row["rates"]),
        median("p50", ",.2f"),
        median("p99", ",.2f"),
        f"{cpu:.0f}" if (cpu := cpu_microseconds(row, "cpu")) else "",
        f"{cpu:.0f}" if (cpu := cpu_microseconds(row, "database_cpu")) else "",
        f"{row['rss'] / 1e6:.0f}" if row["rss"] else "",
        statements(row),
        ours_is,
        str(row["failures"]),
    )


def statements(row: Row) -> str:
    """Statements per response, and begins, commits, resets."""
    if row["statements"] is None:
        return ""
    others = f" + {row['others']:.1f}" if row["others"] and row["others"] > 0.05 else ""
    return f"{row['statements']:.2f}{others}"


def _lacking(options: Options) -> list[str]:
    reasons: dict[tuple[str, str], list[str]] = {}
    for name in options.peers:
        for work, reason in PEERS[name].lacks.items():
            reasons.setdefault((name, reason), []).append(work)
    return [f"not measured: {name}: {', '.join(works)} ({why})" for (name, why), works in reasons.items()]
