"""What settings cost: the service with different settings, measured in turn, A B A B, each on a database of its own.

`python -m tests.load.of_settings --rounds 5` prints a table. Hashes have cost 4, so that the rest can be seen.
"""

import argparse
import json
import os
import shutil
import statistics
import tempfile
import threading
from collections import defaultdict
from pathlib import Path
from typing import Any

import requests

from tests.load import drivers
from tests.load.calls import Call, write_requests
from tests.load.processes import cpu_seconds, tree
from tests.processes import Started

CONNECTIONS = 16
ACCOUNTS = 500  # that sign in and read themselves
REGISTRATIONS = 20_000  # more than a round sends
PASSWORD = "correct horse battery"
NAMES = {"first_name": "Anna", "last_name": "Lovelace", "phone_number": "+44 20 7946 0000"}
DECLARED = """
[account.fields]
type = "object"
required = ["first_name", "last_name"]
properties.first_name = { type = "string", maxLength = 150 }
properties.last_name = { type = "string", maxLength = 150 }
properties.phone_number = { type = "string", maxLength = 32 }
"""
LIMITS = [
    *("LIMIT_SIGN_IN_ACCOUNT", "LIMIT_SIGN_IN_NETWORK", "LIMIT_REGISTRATIONS_NETWORK"),
    *("LIMIT_LETTERS_ADDRESS", "LIMIT_LETTERS_NETWORK", "LIMIT_LINKS_NETWORK"),
]
# The name of each case, its settings, the text of its site file, and what a registration sends beside the usual.
CASES: dict[str, tuple[dict[str, str], str, dict[str, str]]] = {
    "username": ({}, "", {}),
    "limits off": (dict.fromkeys(LIMITS, "off"), "", {}),
    "either": ({"LOGIN_FIELD": "either"}, "", {}),
    "site file without fields": ({}, '[account]\nusername = "required"\n', {}),
    "three account fields": ({}, DECLARED, NAMES),
}


def _any(response: Any) -> bool:
    return True  # the driver counts the responses that are no success


class Served:
    """A service with the settings of a case, and the requests that it gets."""

    def __init__(self, folder: Path, settings: dict[str, str], site: str, more: dict[str, str]) -> None:
        self.folder = folder
        self.more = more
        folder.mkdir()
        if site:
            (folder / "site.toml").write_text(site)
            settings = settings | {"SITE_FILE": str(folder / "site.toml")}
        self.service = Started(
            DATA_DIR=str(folder / "data"), MAIL_DIR=str(folder / "mail"), ACCESS_LIFETIME="86400", **settings
        )
        assert self.service.process.stdout is not None
        threading.Thread(target=self.service.process.stdout.read, daemon=True).start()  # a full pipe would stop it
        self._made = 0
        names = [f"signs-in-{number}" for number in range(ACCOUNTS)]
        for name in names:
            self._send("users/", self._account(name), 201)
        self.signs_in = [{"username": name, "password": PASSWORD} for name in names]
        self.tokens = [self._send("jwt/create/", each, 200)["access"] for each in self.signs_in]

    def calls(self, kind: str) -> list[Call]:
        """The requests of a round of `register`, `sign in` or `read me`."""
        if kind == "register":
            first, self._made = self._made, self._made + REGISTRATIONS
            return [self._post("users/", self._account(f"new-{number}")) for number in range(first, self._made)]
        if kind == "sign in":
            return [self._post("jwt/create/", each) for each in self.signs_in]
        return [Call("GET", "/auth/users/me/", {"Authorization": f"Bearer {each}"}, b"", _any) for each in self.tokens]

    def measure(
        self, kind: str, seconds: float, *, connections: int = CONNECTIONS, driver: str = "python"
    ) -> dict[str, float]:
        """Responses per second, and the milliseconds of processor time of the service and of PostgreSQL for one."""
        file = self.folder / "requests"
        write_requests(file, self.service.url.removeprefix("http://"), self.calls(kind))
        before = self._cpu()
        load = drivers.result(drivers.start(driver, self.service.url, file, connections, seconds))
        after = self._cpu()
        assert not load.failures, f"{kind}: {load.failures} of {load.requests} failed"
        used = [(late - early) * 1000 / load.requests for early, late in zip(before, after, strict=True)]
        return {"rate": load.rate, "service": used[0], "database": used[1]}

    def stop(self) -> None:
        """Stop the service and its database."""
        self.service.stop()

    def _account(self, name: str) -> dict[str, str]:
        return {"username": name, "email": f"{name}@example.com", "password": PASSWORD, **self.more}

    def _post(self, path: str, body: dict[str, str]) -> Call:
        return Call("POST", f"/auth/{path}", {"Content-Type": "application/json"}, json.dumps(body).encode(), _any)

    def _send(self, path: str, body: dict[str, str], status: int) -> Any:
        response = requests.post(f"{self.service.url}/auth/{path}", json=body, timeout=30)
        assert response.status_code == status, response.text
        return response.json()

    def _cpu(self) -> tuple[float, float]:
        """Processor seconds of the service, and of its PostgreSQL."""
        pid = self.service.process.pid
        postgres = int((self.folder / "data/postgres/postmaster.pid").read_text().split()[0])
        database = cpu_seconds(postgres)
        return cpu_seconds(pid) - (database if postgres in tree(pid) else 0), database


def main() -> None:
    """Measure every case, round after round, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    os.umask(0o022)
    home = Path(tempfile.mkdtemp(prefix="frontdesk-settings-"))
    home.chmod(0o755)  # PostgreSQL runs as another system user when root starts it
    served: dict[str, Served] = {}
    results: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    kinds = ("register", "sign in", "read me")
    try:
        for name, case in CASES.items():
            served[name] = Served(home / str(len(served)), *case)
        for _ in range(options.rounds):
            for kind in kinds:
                for name, each in served.items():
                    for what, value in each.measure(kind, options.seconds).items():
                        results[kind, name, what].append(value)
    finally:
        for each in served.values():
            each.stop()
        shutil.rmtree(home, ignore_errors=True)
    print("| | settings | responses/s | spread | service, ms | PostgreSQL, ms |\n|---|---|--:|--:|--:|--:|")
    for kind in kinds:
        for name in served:
            rates, service, database = (results[kind, name, what] for what in ("rate", "service", "database"))
            medians = [statistics.median(values) for values in (rates, service, database)]
            spread = f"{min(rates):,.0f}–{max(rates):,.0f}"
            print(f"| {kind} | {name} | {medians[0]:,.0f} | {spread} | {medians[1]:.3f} | {medians[2]:.3f} |")


if __name__ == "__main__":
    main()
