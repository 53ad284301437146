"""`python -m tests.attack [NAME ...] [--quick]`: attack the service, print what was tried, fail where a rule is broken.

The exit status is 1 if a rule is broken, 2 for an unknown name.
"""

import argparse
import asyncio
import resource
import signal
import sys
from collections.abc import Sequence

import tests.attack
from tests.attack.attacks import ATTACKS, Attack, Outcome, faults, load, table
from tests.attack.stage import Stage

OPEN_FILES = 20_000  # each of a thousand slow clients is a socket


def say(text: str) -> None:
    """Print a line, unbuffered."""
    print(text, flush=True)


def _parser() -> argparse.ArgumentParser:
    lines = [f"  {each.name:<24} {each.description} (security {each.rules})" for each in ATTACKS.values()]
    parser = argparse.ArgumentParser(
        prog="python -m tests.attack",
        description="Attack a service that this command starts on this machine.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n".join(["attacks:", *lines]),
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="attacks to carry out (default: all)")
    parser.add_argument("--quick", action="store_true", help="a little of each, and nothing that needs a quiet machine")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out the attacks. Returns the exit status."""
    load(tests.attack)
    parser = _parser()
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.names if name not in ATTACKS]:
        parser.error(f"there is no attack {unknown[0]}: choose from {', '.join(ATTACKS)}")
    chosen = [ATTACKS[name] for name in given.names] or [
        each for each in ATTACKS.values() if each.quick or not given.quick
    ]
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard_limit == resource.RLIM_INFINITY else min(OPEN_FILES, hard_limit)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard_limit))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: everything is stopped
    done: list[tuple[Attack, Outcome]] = []
    try:
        asyncio.run(carry_out(chosen, quick=given.quick, done=done))
    except KeyboardInterrupt:
        return 130
    finally:
        for line in table(done):
            say(line)
    return int(any(outcome.faults for _, outcome in done))


async def carry_out(chosen: Sequence[Attack], *, quick: bool, done: list[tuple[Attack, Outcome]]) -> None:
    """Carry out the attacks one after the other, and add each with its outcome to `done`."""
    stage = Stage(quick=quick, say=say)
    try:
        for each in chosen:
            outcome = await each.carry_out(stage)
            done.append((each, outcome))
            state = f"skipped: {outcome.skipped}" if outcome.skipped else outcome.state
            say(f"{each.name} (security {each.rules}): {each.description}")
            say(f"  {outcome.tried:,} tried in {outcome.seconds:.1f} s; {outcome.worst or '-'}; {state}")
            for line in faults(outcome):
                say(line)
    finally:
        stage.close()


if __name__ == "__main__":
    sys.exit(main())
