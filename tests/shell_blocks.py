"""The shell blocks of the documentation: which test runs each, and why some are only shown."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.processes import START_SECONDS, surroundings

ROOT = Path(__file__).parent.parent
FENCED = re.compile(
    r"(?:^ *<!-- (?P<note>[^\n]*?) -->\n)?^ *```(?P<language>[^\n`]+)\n(?P<text>.*?)^ *```$",
    re.MULTILINE | re.DOTALL,
)


class Block(NamedTuple):
    """A fenced block of a page, with the comment on the line above it."""

    page: str
    language: str
    note: str
    text: str


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page of the repository."""
    return [
        Block(page, found["language"], found["note"] or "", textwrap.dedent(found["text"]))
        for found in FENCED.finditer((ROOT / page).read_text())
    ]


def block(page: str, note: str) -> str:
    """The text of the one block below the comment `note`."""
    (text,) = (each.text for each in blocks(page) if each.note == note)
    return text


def free_port() -> int:
    """A port that no program listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextlib.contextmanager
def running(script: str, folder: Path, moment: str, *, own_python: bool = False, **environment: str) -> Iterator[str]:
    """Run the lines of a block until the end of the `with`: the group of `moment` in what they print.

    `own_python`: instead of `.venv` of the folder, which a checkout may not have, the environment of this process.
    """
    if own_python:
        script = script.replace(".venv/bin/", f"{Path(sys.executable).parent}/")
    process = subprocess.Popen(
        ["bash", "-euc", script],
        cwd=folder,
        env=surroundings(**{"PYTHONUNBUFFERED": "1", "BCRYPT_ROUNDS": "4"} | environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    said: list[str] = []
    try:
        for line in process.stdout:
            said.append(line)
            if found := re.search(moment, line):
                yield found[1]
                break
        else:
            raise AssertionError("".join(said))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=START_SECONDS)
