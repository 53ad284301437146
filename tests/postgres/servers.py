"""Bundled servers for tests: attached, used by other processes, and asked."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from server.postgres.bundled import BundledPostgres, attach
from server.postgres.file_locks import take

REPOSITORY = Path(__file__).parent.parent.parent
USER = """
import json, sys
from pathlib import Path
from server.postgres.bundled import attach
share = attach(Path(sys.argv[1]), durable=False)
print(json.dumps(share.url()), flush=True)
sys.stdin.readline()
share.release()
"""
FORKS = USER.replace("print", "import os\nif not os.fork():\n    share.release()\n    os._exit(0)\nos.wait()\nprint")


class Process:
    """Another process that uses the server until it is told to leave."""

    def __init__(self, data: Path, program: str = USER) -> None:
        path = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
        environment = os.environ | {"PYTHONPATH": path, "TMPDIR": tempfile.gettempdir()}
        self._process = subprocess.Popen(
            [sys.executable, "-c", program, str(data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )

    def url(self) -> str:
        """Wait until it is attached; return the URL that it has."""
        assert self._process.stdout
        return str(json.loads(self._process.stdout.readline()))

    def leave(self) -> int:
        """Have it release its share and end; return its status."""
        self._process.communicate(b"\n", timeout=30)
        return self._process.returncode

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._process.kill()
        self._process.communicate(timeout=30)


@contextlib.contextmanager
def attached(data: Path, **options: Any) -> Iterator[BundledPostgres]:
    """Hold a share of the server during the block."""
    share = attach(data, **({"durable": False} | options))
    try:
        yield share
    finally:
        share.release()


def query(url: str, statement: str) -> Any:
    """Return the first column of the first row."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def answers(url: str) -> bool:
    """Whether a server answers at `url`."""
    with contextlib.suppress(psycopg.OperationalError):
        return bool(query(url, "select true"))
    return False


def runs(data: Path) -> bool:
    """Whether a process of the server holds the lock."""
    fd = os.open(data / "postgres", os.O_RDONLY)
    try:
        return not take(fd)
    finally:
        os.close(fd)


def postmaster(data: Path) -> int:
    """The pid of the server."""
    return int((data / "postgres" / "postmaster.pid").read_text().split()[0])
