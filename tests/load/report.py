"""What a run came to: a table for people, JSON for everything else, a chart."""

import json
import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.load import drivers
from tests.load.measure import Result
from tests.load.scenarios import Options

HEAD = ("lane", "answers/s", "from–to", "p50 ms", "p99 ms", "CPU s", "DB CPU s", "RSS MB", "statements", "ours is")


def write(folder: Path, command: str, options: Options, results: Sequence[Result]) -> list[str]:
    """Write `results.json`; the lines of the table."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {
        "command": command,
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "options": asdict(options),
        "results": [result.as_json() for result in results],
    }
    (folder / "results.json").write_text(json.dumps(told, indent=1, default=str) + "\n")
    return [*table(results), f"written: {folder / 'results.json'}"]


def machine() -> dict[str, Any]:
    """What it was measured on."""
    processor = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "processor": processor[0].partition(": ")[2] if processor else platform.machine(),
        "cores": os.cpu_count(),
        "memory": memory,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "driver": drivers.name(),
    }


def ratios(result: Result, results: Iterable[Result]) -> list[float]:
    """How many times as fast ours is, round by round."""
    return []


def table(results: Sequence[Result]) -> list[str]:
    """All lanes, scenario by scenario."""
    lines = []
    for result in results:
        lines.append(f"{result.scenario} {result.lane.title} {statistics.median(result.rates):,.0f} {result}")
    return lines
