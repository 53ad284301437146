"""Every check that a change must pass: format, lint, types, import order, tests with coverage.

`python -m tests` runs all of them. With arguments it runs pytest alone, with these arguments and without coverage.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent

TEST_PROCESSES = (os.cpu_count() or 2) + 1  # cores + 1: tests spend a third of their time waiting for processes

CHECKS = {
    "format": ["ruff", "format", "--check", "--quiet", "."],
    "lint": ["ruff", "check", "--quiet", "."],
    "types": ["mypy"],
    "import order": ["lint-imports", "--no-cache"],
    "tests": ["python", "-m", "pytest", f"-n{TEST_PROCESSES}", "--dist=worksteal", "--cov", "--cov-report=term"],
}


def main(arguments: list[str]) -> int:
    """Run every check, also after one has failed. Returns the exit status: 0 when all passed."""
    if arguments:
        return subprocess.run([BIN / "python", "-m", "pytest", *arguments], cwd=ROOT).returncode
    failed = []
    for name, command in CHECKS.items():
        start = time.monotonic()
        print(f"── {name}: {' '.join(command)}", flush=True)
        if subprocess.run([BIN / command[0], *command[1:]], cwd=ROOT).returncode != 0:
            failed.append(name)
        print(f"── {name}: {'failed' if name in failed else 'ok'} in {time.monotonic() - start:.1f} s", flush=True)
    shutil.rmtree(ROOT / ".cache" / "tmp", ignore_errors=True)
    print(f"failed: {', '.join(failed)}" if failed else "all checks passed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
