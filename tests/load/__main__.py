"""The command. It ends with 1 when a tool is missing, a peer cannot be had, or an answer was wrong."""

import argparse
import dataclasses
import resource
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.load import drivers, memory, report
from tests.load.data import Data
from tests.load.install import CannotInstall, missing_tools
from tests.load.measure import Bench, Result
from tests.load.peers import OURS, PEERS
from tests.load.scenarios import QUICK, SCENARIOS, Options
from tests.load.servers import CannotStart

HOME = Path(__file__).parents[2] / ".cache" / "load"
OPEN_FILES = 20_000


def say(text: str) -> None:
    """A line of progress, at once."""
    print(text, flush=True)


def _names(kept: Mapping[str, Any]) -> list[str]:
    return [f"  {each.name:<14} {each.says}" for each in kept.values()]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.load",
        description="How fast the service is beside what else could be picked.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(["scenarios:", *_names(SCENARIOS), "peers:", *_names(PEERS)]),
    )
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="which ones (default: all)")
    parser.add_argument(
        "--peer", action="append", choices=[name for name in PEERS if name != OURS], help="beside ours (default: all)"
    )
    parser.add_argument("--users", type=int, help="accounts in the database (100,000)")
    parser.add_argument("--rounds", type=int, help="rounds of each lane (5)")
    parser.add_argument("--seconds", type=float, help="seconds of each round (3)")
    parser.add_argument("--driver", choices=["wrk", "python"], help="what makes the load (wrk)")
    parser.add_argument("--quick", action="store_true", help="little of everything: shows that it works, not how fast")
    parser.add_argument("--out", type=Path, default=HOME / "results", help="folder for results.json and chart.svg")
    return parser


def read_options(given: argparse.Namespace) -> Options:
    """The options that the command line asks for."""
    options = QUICK if given.quick else Options()
    peers = given.peer or (["ceiling"] if given.quick else [name for name in PEERS if name != OURS])
    said = {"accounts": given.users, "rounds": given.rounds, "seconds": given.seconds}
    said = {name: value for name, value in said.items() if value is not None}
    driver = given.driver or (drivers.best() if given.quick else "wrk")
    return dataclasses.replace(options, peers=(OURS, *peers), driver=driver, **said)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; the exit status."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.scenarios if name not in SCENARIOS]:
        parser.error(f"there is no scenario {unknown[0]}: choose from {', '.join(SCENARIOS)}")
    options = read_options(given)
    missing = missing_tools([PEERS[name] for name in options.peers], drives=options.driver == "wrk")
    if missing:
        print(*missing, sep="\n", file=sys.stderr)
        return 1
    if options.driver != "wrk":
        say("A driver in Python takes the place of wrk (apt-get install wrk), and most of the machine.")
    _raise_limit()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: nothing is left running
    found, status = Found(), 0
    try:
        run(options, given.scenarios or list(SCENARIOS), found)
    except (CannotInstall, CannotStart, drivers.DriverBroke) as failure:
        print(failure, file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        status = 130
    command = " ".join(["python -m tests.load", *(sys.argv[1:] if arguments is None else arguments)])
    if found.results:  # also of a run that ended before its time
        for line in report.write(given.out, command, options, found.versions, found.results):
            say(line)
    return status or int(any(result.failures for result in found.results))


@dataclasses.dataclass
class Found:
    """What a run has found so far."""

    results: list[Result] = dataclasses.field(default_factory=list)
    versions: dict[str, str] = dataclasses.field(default_factory=dict)


def run(options: Options, scenarios: Sequence[str], found: Found) -> None:
    """Every scenario on a cluster of its own. Raises CannotInstall, CannotStart, DriverBroke."""
    HOME.mkdir(parents=True, exist_ok=True)
    data = Data(HOME / "data", options.hash_rounds, say)
    try:
        found.versions["postgresql"] = data.version()
        with tempfile.TemporaryDirectory(dir=HOME) as folder:
            bench = Bench(options, data, HOME, Path(folder), say)
            measures = {"idle": memory.hold, "memory": memory.watch}
            for name in scenarios:
                found.results += measures.get(name, Bench.measure)(bench, SCENARIOS[name])
    finally:
        data.close()


def _raise_limit() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = OPEN_FILES if most == resource.RLIM_INFINITY else min(OPEN_FILES, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (enough, most))


if __name__ == "__main__":
    sys.exit(main())
