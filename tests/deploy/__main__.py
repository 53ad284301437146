"""`python -m tests.deploy [--quick]`: the files of deploy/, and the lines of docs/operate.md for systemd.

Each file is checked by the program that reads it; root gets missing programs installed. Then systemd is booted on a
machine of its own, where the documented lines are followed; `--quick` leaves that out, and needs no root.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.deploy.machine import CannotBoot, Machine
from tests.deploy.systemd import Walk

ROOT = Path(__file__).parents[2]
PROGRAMS = {name: name for name in ("nginx", "caddy", "docker-compose")} | {
    "systemd-analyze": "systemd",
    "promtool": "prometheus",
}
WALK_PROGRAMS = {"systemd-nspawn": "systemd-container", "curl": "curl", "git": "git"}


def _say(text: str) -> None:
    print(f"- {text}", flush=True)


def _install(programs: dict[str, str]) -> list[str]:
    """The Debian packages of `programs` that are missing; root gets them installed first."""
    absent = _absent(programs)
    if absent and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *absent]):
            subprocess.run(["apt-get", *command], stdout=subprocess.DEVNULL, env=quiet)
    return _absent(programs)


def _absent(programs: dict[str, str]) -> list[str]:
    places = os.environ["PATH"] + ":/usr/sbin"
    return [package for program, package in programs.items() if shutil.which(program, path=places) is None]


def main(arguments: list[str]) -> int:
    """Run the checks and the walk: the exit status. 2: this machine cannot run them, and the reason is printed."""
    is_quick = arguments == ["--quick"]
    if not is_quick and os.geteuid() != 0:
        print("A machine of its own needs root; --quick leaves it out.", file=sys.stderr)
        return 2
    if packages := _install(PROGRAMS if is_quick else PROGRAMS | WALK_PROGRAMS):
        print(f"Programs are missing: sudo apt-get install {' '.join(packages)}", file=sys.stderr)
        return 2
    checks = [sys.executable, "-m", "pytest", "-rs", "tests/deploy", "tests/web/test_proxies.py"]
    status = subprocess.run(checks, cwd=ROOT).returncode
    return status or (0 if is_quick else _walk())


def _walk() -> int:
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
    sys.exit(main(sys.argv[1:]))
