"""`python -m tests.load.sizing`: what a worker takes: processor time of a read by the requests at once, and memory.

For docs/operate.md, "Sizing". Cases are measured in turn. Needs Linux; `wrk` disturbs less than the driver in Python.
"""

import argparse
import os
import shutil
import statistics
import tempfile
from collections import defaultdict
from pathlib import Path

from tests.load import drivers
from tests.load.of_settings import Served
from tests.load.processes import tree

AT_ONCE = (1, 4, 8, 16, 32, 64, 128)


def memory_of(pid: int) -> list[float]:
    """MB of each process of the service, PostgreSQL left out: its own, and its share of what processes share."""
    sizes = []
    for each in tree(pid):
        if not Path(f"/proc/{each}/comm").read_text().startswith("postgres"):
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
            sizes += [int(line.split()[1]) / 1000 for line in lines if line.startswith("Pss:")]
    return sizes


def main() -> None:
    """Measure each number of workers and of requests at once, and print the medians."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.sizing", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    os.umask(0o022)
    home = Path(tempfile.mkdtemp(prefix="frontdesk-sizing-"))
    home.chmod(0o755)  # PostgreSQL runs as another system user when root starts it
    served: dict[int, Served] = {}
    results: dict[tuple[int, int, str], list[float]] = defaultdict(list)
    try:
        for workers in (1, 2):
            served[workers] = Served(home / str(workers), {"WORKERS": str(workers)}, "", {})
        for _ in range(options.rounds):
            for at_once in AT_ONCE:
                for workers, each in served.items():
                    driver = drivers.available()
                    measured = each.measure("read me", options.seconds, connections=at_once, driver=driver)
                    for what, value in measured.items():
                        results[workers, at_once, what].append(value)
        for workers, each in served.items():
            print(f"memory with {workers} workers, MB:", *map(round, memory_of(each.service.process.pid)))
    finally:
        for each in served.values():
            each.stop()
        shutil.rmtree(home, ignore_errors=True)
    print("| workers | at once | reads/s | service, µs | PostgreSQL, µs |\n|--:|--:|--:|--:|--:|")
    for workers in served:
        for at_once in AT_ONCE:
            rate, service, database = (
                statistics.median(results[workers, at_once, what]) for what in ("rate", "service", "database")
            )
            print(f"| {workers} | {at_once} | {rate:,.0f} | {service * 1000:.0f} | {database * 1000:.0f} |")


if __name__ == "__main__":
    main()
