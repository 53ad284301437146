"""What connections, workers and PostgreSQL's settings cost, measured in turn, A B A B, each on a database of its own.

`python -m tests.load.of_database GROUP --rounds 5` prints a table. Hashes have cost 4, so that the rest can be seen.
"""

import argparse
import itertools
import os
import shutil
import statistics
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from tests.load.of_settings import Served


class Variant(NamedTuple):
    """A service, and how many clients it has."""

    settings: dict[str, str] = {}
    postgresql: dict[str, str] = {}
    clients: int = 48


# The kinds of work of each group, and its variants.
GROUPS: dict[str, tuple[tuple[str, ...], dict[str, Variant]]] = {
    "clients": (
        ("read me",),
        {f"{number} connections of clients": Variant(clients=number) for number in (1, 4, 8, 16, 32, 64, 128)},
    ),
    "connections": (
        ("read me", "edit", "register"),
        # Fewer clients than the queue of hashes is long: more would get 503.
        {
            f"{number} to PostgreSQL": Variant({"DATABASE_CONNECTIONS": str(number)}, clients=48)
            for number in (2, 3, 5, 14)
        },
    ),
    "workers": (
        ("read me", "edit"),
        {f"{number} workers": Variant({"WORKERS": str(number)}, clients=128) for number in (1, 2)},
    ),
    "postgresql": (
        ("register", "edit"),
        {
            "as it is": Variant(),
            "synchronous_commit = off": Variant(postgresql={"synchronous_commit": "off"}),
            "shared_buffers = 512MB": Variant(postgresql={"shared_buffers": "512MB"}),
            "wal_compression = pglz": Variant(postgresql={"wal_compression": "pglz"}),
            "wal_buffers = 16MB, max_wal_size = 4GB, checkpoint_timeout = 15min": Variant(
                postgresql={"wal_buffers": "16MB", "max_wal_size": "4GB", "checkpoint_timeout": "15min"}
            ),
        },
    ),
}


def main() -> None:
    """Measure the variants of a group, round after round, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("group", choices=GROUPS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    kinds, variants = GROUPS[options.group]
    os.umask(0o022)
    home = Path(tempfile.mkdtemp(prefix="frontdesk-settings-"))
    home.chmod(0o755)  # PostgreSQL runs as another system user when root starts it
    served: dict[str, Served] = {}
    results: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    try:
        for name, variant in variants.items():
            alike = [served[other] for other in served if variants[other][:2] == variant[:2]]
            served[name] = (
                alike[0] if alike else Served(home / str(len(served)), variant.settings, postgresql=variant.postgresql)
            )
        for _, kind, name in itertools.product(range(options.rounds), kinds, variants):
            for what, value in served[name].measure(kind, options.seconds, variants[name].clients).items():
                results[kind, name, what].append(value)
    finally:
        for each in set(served.values()):
            each.stop()
        shutil.rmtree(home, ignore_errors=True)
    print("| | | responses/s | × the first | spread | service, µs | PostgreSQL, µs |\n|---|---|--:|--:|--:|--:|--:|")
    for kind, name in itertools.product(kinds, variants):
        rates, service, database = (results[kind, name, what] for what in ("rate", "service", "database"))
        first = results[kind, next(iter(variants)), "rate"]
        ratios = [one / other for one, other in zip(rates, first, strict=True)]
        cells = [f"{statistics.median(rates):,.0f}", f"{statistics.median(ratios):.2f}"]
        cells += [f"{min(ratios):.2f}–{max(ratios):.2f}"]
        cells += [f"{statistics.median(each) * 1000:,.0f}" for each in (service, database)]
        print(f"| {kind} | {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
