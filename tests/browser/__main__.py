"""`python -m tests.browser [-k WORDS] [--renew] [PICTURES]`: pages, Swagger UI, a front end, the tutorial in Chromium.

Each on a desktop and on a phone. Screenshots are written to the folder PICTURES (`.cache/browser`); `--renew` also
renews the pictures of the documentation. Root gets a missing browser, and npm for the packages, installed; other
users are told the command.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from tests.browser import chromium, npm

ROOT = Path(__file__).parent.parent.parent
TEMPORARY = ROOT / ".cache" / "browser-tmp"  # its own, because other tests may run at the same time
# The files are named one by one and there is no conftest: pytest does not collect them without Playwright.
FILES = ("pages", "explorer", "front_ends", "tutorial", "diagrams")


def command(arguments: list[str]) -> list[str]:
    """The command that runs the suite."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser")
    parser.add_argument("-k", metavar="WORDS", help="only the tests whose names pytest finds with these words")
    parser.add_argument("--renew", action="store_true", help="renew the pictures of the documentation")
    parser.add_argument("pictures", metavar="PICTURES", nargs="?", type=Path, default=ROOT / ".cache" / "browser")
    given = parser.parse_args(arguments)
    suite = ["-p", "tests.browser.visitors", "-n2", "--dist=loadfile", f"--basetemp={TEMPORARY}"]
    chosen = ["-k", given.k] if given.k else []
    files = [f"tests/browser/{name}.py" for name in FILES]
    renewing = ["--renew"] if given.renew else []
    pictures = f"--pictures={given.pictures.resolve()}"
    return [sys.executable, "-m", "pytest", *suite, *chosen, *files, pictures, *renewing]


def main(arguments: list[str]) -> int:
    """Run the suite: its exit status."""
    suite = command(arguments)
    if not chromium.has_browser():
        print(f"{chromium.CHROMIUM} is missing: sudo {' '.join(chromium.INSTALL)}", file=sys.stderr)
        return 2
    if not npm.has_packages():
        print(f"npm is missing: sudo {' '.join(npm.INSTALL)}", file=sys.stderr)
        return 2
    status = subprocess.run(suite, cwd=ROOT).returncode
    shutil.rmtree(TEMPORARY, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
