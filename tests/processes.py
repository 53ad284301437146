"""The service in a process of its own, as an operator starts it."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import requests

from server.settings.environment import PREFIX
from server.settings.settings import Settings
from tests.conftest import PASSWORD

ROOT = Path(__file__).parent.parent
START_SECONDS = 30
T = TypeVar("T")

IN_TERMINAL = """
import fcntl, os, sys, termios
terminal = int(sys.argv[1])
fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
os.close(terminal)
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""

# Make a process count for coverage. Its start takes twice as long then, so only one process of each kind has them.
COUNTED = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_PROCESS_")}


def surroundings(**environment: str) -> dict[str, str]:
    """Return the environment of this process with no settings of the service but those of `environment`."""
    settings = [*Settings.names(), *Settings.names_of_files()]
    left_out = {*COUNTED, *(prefix + name for name in settings for prefix in ("", PREFIX))}
    return {name: value for name, value in os.environ.items() if name not in left_out} | environment


def eventually(probe: Callable[[], T], limit: float = START_SECONDS) -> T:
    """Call `probe` until what it returns is true, and return that; fail after `limit` seconds."""
    deadline = time.monotonic() + limit
    while not (result := probe()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return result


class Started:
    """A service in a process of its own."""

    def __init__(self, moment: str = r"listens on (\S+)/", *, terminal: str = "", **environment: str) -> None:
        """Start it, with the terminal of that file descriptor as its own, and return when it has written `moment`."""
        self.process = subprocess.Popen(
            [sys.executable, *(["-c", IN_TERMINAL, terminal] if terminal else []), "-m", "server"],
            pass_fds=[int(terminal)] if terminal else [],
            start_new_session=bool(terminal),
            cwd=ROOT,
            env=surroundings(**{"PORT": "0", "BCRYPT_ROUNDS": "4", "MAIL_DIR": ".cache/mail"} | environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said: list[str] = []
        self.url = self.wait_for(moment)

    def wait_for(self, pattern: str) -> str:
        """Return the group of `pattern` in the next line that matches it."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            found = re.search(pattern, line)
            if found:
                return found[1]
        self.stop(signal.SIGKILL)
        raise AssertionError("".join(self.said))

    def metrics_url(self) -> str:
        """Return the URL of METRICS that the service announces."""
        assert self.process.stdout is not None
        while not self.said[-1].startswith("  Metrics"):
            self.said.append(self.process.stdout.readline())
        return self.said[-1].split()[1]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, if it still runs, and return its status when it has ended."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.communicate(timeout=START_SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.returncode


def whole_document(folder: Path, **environment: str) -> Path:
    """A file in `folder` with the OpenAPI document that says everything which the service accepts."""
    command = [sys.executable, "-m", "server", "openapi", "--whole"]
    printed = subprocess.run(command, cwd=ROOT, env=surroundings(**environment), capture_output=True, check=True)
    path = folder / "openapi.json"
    path.write_bytes(printed.stdout)
    return path


def header(tokens: dict[str, str]) -> dict[str, str]:
    """The Authorization header with the access token."""
    return {"Authorization": f"Bearer {tokens['access']}"}


def register(url: str, username: str, password: str = PASSWORD) -> dict[str, str]:
    """Register an account and sign it in; return its tokens."""
    account = {"username": username, "password": password}
    assert requests.post(f"{url}/auth/users/", json=account, timeout=10).status_code == 201
    tokens: dict[str, str] = requests.post(f"{url}/auth/jwt/create/", data=account, timeout=10).json()
    return tokens
