"""`python -m tests.deploy`: follows the lines of docs/operate.md for systemd on a machine of its own. Needs root."""

import os
import sys

from tests.deploy.machine import CannotBoot, Machine, missing
from tests.deploy.systemd import Walk


def _say(text: str) -> None:
    print(f"- {text}", flush=True)


def main() -> int:
    """Run the walk: its exit status. 2: this machine cannot run it, and the reason is printed."""
    if os.geteuid() != 0:
        print("A machine of its own needs root.", file=sys.stderr)
        return 2
    if packages := missing():
        print(f"Programs are missing: sudo apt-get install {' '.join(packages)}", file=sys.stderr)
        return 2
    try:
        with Machine() as machine:
            try:
                Walk(machine, _say).all()
            except AssertionError as failure:
                print(failure, machine.try_run("journalctl --no-pager -n 40").stdout, sep="\n", file=sys.stderr)
                return 1
    except CannotBoot as failure:
        print(failure, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
