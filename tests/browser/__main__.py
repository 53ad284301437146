"""`python -m tests.browser [--renew] [PICTURES]`: the link pages, Swagger UI, a front end and the tutorial in Chromium.

Each on a desktop and on a phone. Screenshots are written to the folder PICTURES (`.cache/browser`); `--renew` also
renews the picture of README. Root gets a missing browser, and npm for axios and axe, installed; other users are told
the command.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.browser import npm
from tests.browser.visitors import CHROMIUM

ROOT = Path(__file__).parent.parent.parent
INSTALL = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "chromium"]
TEMPORARY = ROOT / ".cache" / "browser-tmp"  # its own, because other tests may run at the same time


def has_browser() -> bool:
    """Whether there is a browser; for root it is installed first."""
    if CHROMIUM.exists():
        return True
    if os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "-q"], stdout=subprocess.DEVNULL)
        subprocess.run(INSTALL, stdout=subprocess.DEVNULL, env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"})
    return CHROMIUM.exists()


def main(arguments: list[str]) -> int:
    """Run the suite: its exit status."""
    if not has_browser():
        print(f"{CHROMIUM} is missing: sudo {' '.join(INSTALL)}", file=sys.stderr)
        return 2
    if not npm.has_packages():
        print(f"npm is missing: sudo {' '.join(npm.INSTALL)}", file=sys.stderr)
        return 2
    renewing = [each for each in arguments if each == "--renew"]
    named = [each for each in arguments if each != "--renew"]
    pictures = Path(named[0]) if named else ROOT / ".cache" / "browser"
    pictures.mkdir(parents=True, exist_ok=True)
    folders = [f"--basetemp={TEMPORARY}", f"--pictures={pictures.resolve()}", *renewing]
    # The files are named one by one and there is no conftest: pytest does not collect them without Playwright.
    files = [f"tests/browser/{name}.py" for name in ("pages", "explorer", "front_ends", "tutorial")]
    suite = ["-p", "tests.browser.visitors", "-n2", "--dist=loadfile", *files]
    status = subprocess.run([sys.executable, "-m", "pytest", *suite, *folders], cwd=ROOT).returncode
    shutil.rmtree(TEMPORARY, ignore_errors=True)
    print(f"pictures: {pictures}", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
