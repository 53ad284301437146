"""A running peer: a process on a database, for one scenario."""

import http.client
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

from psycopg.conninfo import conninfo_to_dict

from server.settings.settings import Settings
from tests.load.calls import SIGNING_KEY, YEAR_SECONDS
from tests.load.install import programs
from tests.load.peers import Peer
from tests.load.processes import cpu_seconds, free_port, rss_bytes, stop

START_SECONDS = 30


class CannotStart(Exception):
    """A peer does not answer; the text has the end of its log."""


class Server:
    """One peer as a process. The constructor raises CannotStart or CannotInstall when that fails."""

    def __init__(
        self, peer: Peer, url: str, accounts: int, rounds: int, home: Path, say: Callable[[str], None]
    ) -> None:
        self.peer = peer
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        run_by = programs(peer, home, say)
        folder = home / "peers" / peer.name
        environment = self._environment(url, rounds) | {"FOLDER": str(folder), "ACCOUNTS": str(accounts)}
        self._log = home / "logs" / f"{peer.name}.log"
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            options: dict[str, Any] = {"cwd": run_by.folder, "env": environment, "stdout": log, "stderr": log}
            if peer.prepare:
                subprocess.run([run_by.interpreter, *peer.prepare], check=False, **options)
            command = [run_by.server, *(word.format(port=self.port, folder=folder) for word in peer.command)]
            self.process = subprocess.Popen(command, **options)
        self._wait_until_ready()

    def stop(self) -> None:
        """Stop the process."""
        stop(self.process)

    def cpu_seconds(self) -> float:
        """Processor time that the peer has used so far."""
        return cpu_seconds(self.process.pid)

    def rss_bytes(self) -> int:
        """Memory of the peer."""
        return rss_bytes(self.process.pid)

    def _environment(self, url: str, rounds: int) -> dict[str, str]:
        parts = conninfo_to_dict(url)
        ours = {each.name.upper() for each in fields(Settings)}
        inherited = {name: value for name, value in os.environ.items() if name not in ours}
        libpq = {f"PG{name.upper()}": str(parts[name]) for name in ("host", "port", "user")}
        return (
            inherited
            | libpq
            | {
                "PGDATABASE": str(parts["dbname"]),
                "DATABASE_URL": url,
                "SIGNING_KEY": SIGNING_KEY,
                "HOST": "127.0.0.1",
                "PORT": str(self.port),
                "MIGRATE_ON_START": "false",
                "ACCESS_LIFETIME": str(YEAR_SECONDS),
                "BCRYPT_ROUNDS": str(rounds),
                "MAX_CONNECTIONS": "11000",  # scenario idle opens 10,000; beyond the usual number idle ones are closed
                "DJANGO_SETTINGS_MODULE": "settings",
                "NODE_ENV": "production",
            }
        )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_SECONDS)
            try:
                connection.request("GET", self.peer.paths["read-me"], headers={"Authorization": "Bearer invalid"})
                if connection.getresponse().status in (401, 404):  # 404: PocketBase hides what one may not read
                    return
            except OSError:
                time.sleep(0.05)
            finally:
                connection.close()
        self.stop()
        raise CannotStart(f"{self.peer.name} does not start: {self._log.read_text()[-2000:]}")
