"""The service in a process of its own, as people start it."""

import os
import re
import signal
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import requests

from server.settings.settings import Settings
from tests.conftest import PASSWORD

ROOT = Path(__file__).parent.parent
START_SECONDS = 30


# Makes a process count for coverage, which then takes twice as long to start: one of each kind does.
COUNTED = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_PROCESS_")}


def surroundings(**environment: str) -> dict[str, str]:
    """The environment of this process, but for the settings of the service, which are `environment` alone."""
    left_out = {*COUNTED, *(each.name.upper() for each in fields(Settings))}
    return {name: value for name, value in os.environ.items() if name not in left_out} | environment


class Started:
    """A service in a process of its own."""

    def __init__(self, moment: str = r"listens on (\S+)/", **environment: str) -> None:
        """Return when the service has said something with the pattern `moment` in it."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "server"],
            cwd=ROOT,
            env=surroundings(**{"PORT": "0", "BCRYPT_ROUNDS": "4", "MAIL_DIR": ".cache/mail"} | environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.said: list[str] = []
        self.url = self._wait_for(moment)

    def _wait_for(self, pattern: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append(line)
            found = re.search(pattern, line)
            if found:
                return found[1]
        self.stop(signal.SIGKILL)
        raise AssertionError("".join(self.said))

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.communicate(timeout=START_SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.returncode


def header(tokens: dict[str, str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {tokens['access']}"}


def register(url: str, username: str, password: str = PASSWORD) -> dict[str, str]:
    """Register and sign in: the tokens."""
    account = {"username": username, "password": password}
    assert requests.post(f"{url}/auth/users/", json=account, timeout=10).status_code == 201
    return requests.post(f"{url}/auth/jwt/create/", data=account, timeout=10).json()
