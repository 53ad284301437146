"""`python -m tests.drill [NAME ...] [--quick]`: harm a service while clients write, compare what was answered.

The exit status is 1 if something that was answered is lost or the service does not return, 2 for an unknown name.
"""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence

import tests.drill
from tests.attack.attacks import faults, load
from tests.drill.drills import DRILLS, Drill, Result, prepare, table

QUICK = ("kill-worker", "kill-postgres", "cut-connection")


def _parser() -> argparse.ArgumentParser:
    lines = [f"  {each.name:<20} {each.description}" for each in DRILLS.values()]
    parser = argparse.ArgumentParser(
        prog="python -m tests.drill",
        description="Harm a service that this command starts on this machine, while clients write.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(["drills:", *lines]),
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="drills to carry out (default: all)")
    parser.add_argument("--quick", action="store_true", help=f"a little of {', '.join(QUICK)}")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out the drills. Returns the exit status."""
    load(tests.drill)
    parser = _parser()
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.names if name not in DRILLS]:
        parser.error(f"there is no drill {unknown[0]}: choose from {', '.join(DRILLS)}")
    names = given.names or (QUICK if given.quick else [*DRILLS])
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: everything is stopped
    done: list[tuple[Drill, Result]] = []
    try:
        asyncio.run(carry_out([DRILLS[name] for name in names], quick=given.quick, done=done))
    except KeyboardInterrupt:
        return 130
    finally:
        print("\n".join(table(done)), flush=True)
    return int(any(result.faults for _, result in done))


async def carry_out(chosen: Sequence[Drill], *, quick: bool, done: list[tuple[Drill, Result]]) -> None:
    """Carry out the drills one after the other, and add each with its result to `done`."""
    with prepare() as prepared:
        for each in chosen:
            print(f"{each.name}: {each.description}", flush=True)
            result = await each.carry_out(prepared, quick=quick)
            done.append((each, result))
            state = f"skipped: {result.skipped}" if result.skipped else "BROKEN" if result.faults else "nothing lost"
            print(f"  again after: {result.times}; failed writes: {result.failures}; compared: {result.compared}")
            print("\n".join([f"  {state}, {result.seconds:.0f} s in all; {result.worst}", *faults(result)]), flush=True)


if __name__ == "__main__":
    sys.exit(main())
