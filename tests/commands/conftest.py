"""How the tests run a command: in this process, or in one of its own."""

import io
import os
import subprocess
import sys
from collections.abc import Callable
from typing import TypeAlias

import pytest

from server.commands import main as commands
from tests.conftest import KEY
from tests.processes import ROOT, surroundings
from tests.rows import Connection

Ran: TypeAlias = tuple[int, str, str]
"""Exit status, standard output, standard error."""

Run: TypeAlias = Callable[..., Ran]
"""Runs a command with its arguments; `typed` is its standard input, other keywords are settings."""


class Terminal(io.StringIO):
    """Standard input that is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def command_settings(database_url: str, database: Connection) -> dict[str, str]:
    """The environment variables of a command on the test database."""
    # A free port: the usual one may be that of a service beside the tests.
    return {"DATABASE_URL": database_url, "SIGNING_KEY": KEY, "BCRYPT_ROUNDS": "4", "PORT": "0"}


@pytest.fixture
def run(command_settings: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """A function that runs a command in this process."""
    monkeypatch.setattr(commands, "start_logging", lambda form: None)  # it would replace the handlers of pytest

    def command(*arguments: str, typed: str = "", stdin: io.StringIO | None = None, **environment: str) -> Ran:
        monkeypatch.setattr(os, "environ", surroundings(**command_settings | environment))
        monkeypatch.setattr(sys, "stdin", stdin or io.StringIO(typed))
        status = commands.main(arguments)
        return status, *capsys.readouterr()

    return command


@pytest.fixture
def run_process(command_settings: dict[str, str]) -> Run:
    """A function that runs a command in a process of its own, as an operator does.

    What it returns of standard error leaves out the lines of events: only the tests of events look at them.
    """

    def command(*arguments: str, typed: str = "") -> Ran:
        ran = subprocess.run(
            [sys.executable, "-m", "server", *arguments],
            cwd=ROOT,
            env=surroundings(**command_settings),
            input=typed,
            capture_output=True,
            text=True,
            timeout=60,
        )
        lines = ran.stderr.splitlines(keepends=True)
        return (
            ran.returncode,
            ran.stdout,
            "".join(line for line in lines if " INFO server.accounts.events " not in line),
        )

    return command
