"""Everything that must hold before a change lands: form, lint, types, import arrows, tests with coverage.

`python -m tests` runs all of it; what follows on the command line goes to pytest, and only pytest runs then.
"""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
BIN = Path(sys.executable).parent

SIDE_BY_SIDE = (os.cpu_count() or 2) + 1  # one more than cores: a third of the time is waiting for processes to start

CHECKS = {
    "form": ["ruff", "format", "--check", "--quiet", "."],
    "lint": ["ruff", "check", "--quiet", "."],
    "types": ["mypy"],
    "import arrows": ["lint-imports", "--no-cache"],
    "tests": ["python", "-m", "pytest", f"-n{SIDE_BY_SIDE}", "--dist=worksteal", "--cov", "--cov-report=term"],
}


def main(arguments: list[str]) -> int:
    """Run every check, even after one has failed; the exit status is 0 when all held."""
    if arguments:
        return subprocess.run([BIN / "python", "-m", "pytest", *arguments], cwd=ROOT).returncode
    failed = []
    for name, command in CHECKS.items():
        began = time.monotonic()
        print(f"── {name}: {' '.join(command)}", flush=True)
        if subprocess.run([BIN / command[0], *command[1:]], cwd=ROOT).returncode != 0:
            failed.append(name)
        print(f"── {name}: {'failed' if name in failed else 'ok'} in {time.monotonic() - began:.1f} s", flush=True)
    shutil.rmtree(ROOT / ".cache" / "tmp", ignore_errors=True)
    print(f"failed: {', '.join(failed)}" if failed else "all checks hold", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
