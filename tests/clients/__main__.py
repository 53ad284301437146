"""`python -m tests.clients`: clients generated from the OpenAPI document, type-checked, and used on a running service.

The generators for TypeScript come from npm, at the versions of package.json; Node.js and npm come from PyPI.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / ".cache" / "clients"
PACKAGES = Path(__file__).parent / "package.json"
TEMPORARY = ROOT / ".cache" / "clients-tmp"  # its own, because other tests may run at the same time


def fetch_packages() -> None:
    """Install the packages of package.json into FOLDER, if they are not there yet."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    fetched = FOLDER / "package.json"
    if fetched.exists() and fetched.read_bytes() == PACKAGES.read_bytes():
        return
    npm = str(Path(sys.executable).parent / "npm")
    shutil.rmtree(FOLDER / "node_modules", ignore_errors=True)
    scratch = FOLDER / "fetching"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    shutil.copy(PACKAGES, scratch)
    # No script of a package runs, and there is no lock file: it would name the registry's host.
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"]
    subprocess.run([npm, "install", *options], cwd=scratch, env=with_node(), check=True)
    (scratch / "node_modules").rename(FOLDER / "node_modules")
    (scratch / "package.json").rename(fetched)
    scratch.rmdir()


def with_node() -> dict[str, str]:
    """The environment in which the programs of this virtual environment come first, and none sends statistics."""
    silent = {"REDOCLY_TELEMETRY": "off", "DO_NOT_TRACK": "1", "NO_COLOR": "1", "CI": "true"}
    return os.environ | silent | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def main() -> int:
    """Run the suite: its exit status."""
    fetch_packages()
    # Named, as in tests.browser: pytest does not collect it without the generators.
    command = [sys.executable, "-m", "pytest", "tests/clients/generated.py", f"--basetemp={TEMPORARY}"]
    status = subprocess.run([*command, *sys.argv[1:]], cwd=ROOT, env=with_node()).returncode
    shutil.rmtree(TEMPORARY, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
