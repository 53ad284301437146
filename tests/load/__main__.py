"""The command. The exit status is 1 if a tool is missing, a peer cannot be installed, or a response was wrong."""

import argparse
import dataclasses
import resource
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.load import drivers, memory, publish, report
from tests.load.data import LoadDatabases
from tests.load.install import CannotInstall, brought_versions, missing_tools
from tests.load.measure import Bench, Result
from tests.load.peers import OURS, PEERS, Peer
from tests.load.scenarios import ANSWERS, QUICK, SCENARIOS, Options, Scenario
from tests.load.servers import CannotStart

HOME = Path(__file__).parents[2] / ".cache" / "load"
QUICK_PEERS = ["elysia", "fastify", "better-auth", "pocketbase"]  # whose answers the quick form checks
LEAST_ROUNDS = 5  # of a run that is published
OPEN_FILES = 20_000  # the limit that the command sets for itself: scenario idle opens 10,000 connections


def say(text: str) -> None:
    """Print a line of progress, unbuffered."""
    print(text, flush=True)


def _names(listed: Mapping[str, Scenario | Peer]) -> list[str]:
    return [f"  {each.name:<14} {each.description}" for each in listed.values()]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.load",
        description="Measure how fast the service is, and how fast its alternatives are.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(["scenarios:", *_names(SCENARIOS), "peers:", *_names(PEERS)]),
    )
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help="scenarios to measure (default: all)")
    parser.add_argument(
        "--peer",
        action="append",
        choices=[name for name in PEERS if name != OURS],
        help="peer to compare with (default: all)",
    )
    parser.add_argument("--users", type=int, help="accounts in the database (100,000)")
    parser.add_argument("--rounds", type=int, help="rounds of each case (5)")
    parser.add_argument("--seconds", type=float, help="seconds of each round (3)")
    parser.add_argument("--driver", choices=["wrk", "python"], help="program that makes the load (wrk)")
    parser.add_argument(
        "--quick", action="store_true", help="a little of everything: tests the harness, measures nothing"
    )
    parser.add_argument(
        "--publish",
        action="store_true",
        help=f"write README's tables and docs/load/ from this run; every scenario, {LEAST_ROUNDS} rounds or more",
    )
    parser.add_argument("--out", type=Path, default=HOME / "results", help="folder for results.json and chart.svg")
    return parser


def read_options(given: argparse.Namespace) -> Options:
    """Turn the command line into options."""
    options = QUICK if given.quick else Options()
    peers = given.peer or (["ceiling"] if given.quick else [name for name in PEERS if name != OURS])
    answering = tuple(given.peer or QUICK_PEERS) if given.quick else ()
    numbers = {"accounts": given.users, "rounds": given.rounds, "seconds": given.seconds}
    changed = {name: value for name, value in numbers.items() if value is not None}
    driver = given.driver or (drivers.available() if given.quick else "wrk")
    return dataclasses.replace(options, peers=(OURS, *peers), answering=answering, driver=driver, **changed)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for. Returns the exit status."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.scenarios if name not in SCENARIOS]:
        parser.error(f"there is no scenario {unknown[0]}: choose from {', '.join(SCENARIOS)}")
    options = read_options(given)
    if given.publish and (given.scenarios or given.peer or given.quick or options.rounds < LEAST_ROUNDS):
        parser.error(f"what is published has every scenario, every peer, and {LEAST_ROUNDS} rounds or more")
    missing = missing_tools(
        [PEERS[name] for name in (*options.peers, *options.answering)], uses_wrk=options.driver == "wrk"
    )
    if missing:
        print(*missing, sep="\n", file=sys.stderr)
        return 1
    if options.driver != "wrk":
        say("The Python driver replaces wrk (apt-get install wrk). It uses most of the machine itself.")
    _raise_limit()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: the servers are stopped
    found, status = Found(), 0
    try:
        run(options, given.scenarios or [name for name in SCENARIOS if given.quick or name != ANSWERS], found)
    except (CannotInstall, CannotStart, drivers.DriverFailed) as failure:
        print(failure, file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        status = 130
    command = " ".join(["python -m tests.load", *(sys.argv[1:] if arguments is None else arguments)])
    if found.results:  # also after an interrupted run
        for line in report.write(given.out, command, options, found.versions, found.results):
            say(line)
    if given.publish and not status and not any(result.failures for result in found.results):
        publish.main([str(given.out)])
        say("published: README.md, docs/load/")
    return status or int(any(result.failures for result in found.results))


@dataclasses.dataclass
class Found:
    """What a run has measured so far."""

    results: list[Result] = dataclasses.field(default_factory=list)
    versions: dict[str, str] = dataclasses.field(default_factory=dict)


def run(options: Options, scenarios: Sequence[str], found: Found) -> None:
    """Measure the scenarios on a PostgreSQL server of their own.

    Raises CannotInstall, CannotStart or DriverFailed when a peer or the driver does not work.
    """
    HOME.mkdir(parents=True, exist_ok=True)
    data = LoadDatabases(HOME / "data", options.hash_rounds, say)
    try:
        found.versions |= brought_versions() | {"postgresql": data.version()}
        with tempfile.TemporaryDirectory(dir=HOME) as folder:
            bench = Bench(options, data, HOME, Path(folder), say)
            special = {"idle": memory.measure_idle, "memory": memory.measure_memory}
            for name in scenarios:
                found.results += special.get(name, Bench.measure)(bench, SCENARIOS[name])
    finally:
        data.close()


def _raise_limit() -> None:
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard_limit == resource.RLIM_INFINITY else min(OPEN_FILES, hard_limit)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard_limit))


if __name__ == "__main__":
    sys.exit(main())
