"""`python -m tests.move [--number N] [--record]`: move Django sites, and use what their front ends hold.

It installs Django with djoser into `.cache/move/venv`. The exit status is 1 if something does not work after the move.
`--record` writes the small sites that the quick tests read (`tests/transfer/recorded/`).
"""

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg
import requests

from server.postgres.bundled import BundledPostgres, attach
from server.postgres.client_programs import find_client_program
from tests.conftest import KEY as OUR_KEY
from tests.conftest import PASSWORD
from tests.move import sites
from tests.move.sites import HOME, ROOT, USERS, Site, fresh_database
from tests.processes import Started, surroundings

DUMPED = 500  # users of a dump: dumpdata asks for the groups and permissions of each, minutes for 50,000
RECORDED = ROOT / "tests" / "transfer" / "recorded"
SETTINGS: dict[str, dict[str, str]] = {
    "stock": {},
    "people": {"LOGIN_FIELD": "email", "SITE_FILE": str(Path(__file__).parent / "people.toml")},
    "strangers": {"LOGIN_FIELD": "email"},
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Move the sites. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.move", description="Move Django sites to this service.")
    parser.add_argument("--number", type=int, default=50_000, help="users of each site (default: 50000)")
    parser.add_argument("--record", action="store_true", help="write the small sites that the quick tests read")
    given = parser.parse_args(arguments)
    HOME.mkdir(parents=True, exist_ok=True)
    sites.interpreter()
    server = attach(HOME / "data", say=print)
    try:
        if given.record:
            for users in USERS:
                record(Site(users, server, 0), server)
            return 0
        faults = [fault for users in USERS for fault in Move(users, server, given.number).faults]
    finally:
        server.release()
    print("\n".join(faults) or "everything works after the moves")
    return int(bool(faults))


class Move:
    """The move of one site, from its database and from its dump; `faults` says what does not work after it."""

    def __init__(self, users: str, server: BundledPostgres, number: int) -> None:
        self.users, self._server = users, server
        self.faults: list[str] = []
        small = Site(users, server, min(number, DUMPED))
        self._move(small, str(small.dump()))
        large = self._timed(f"Django makes {number:,} users", lambda: Site(users, server, number))
        self._move(large, large.url)

    def _move(self, site: Site, source: str) -> None:
        self._settings = {
            "DATABASE_URL": fresh_database(self._server, f"moved_{self.users}"),
            "SIGNING_KEY": OUR_KEY,
            "SIMPLEJWT_KEY": sites.KEY,
            "ADOPT_SIMPLEJWT": "true",
            **SETTINGS[self.users],
        }
        self._command("migrate")
        dry = self._command("import-django", "--dry-run", "--from", source)
        self._expect(dry, *self._wanted("Would be taken", site.number))
        what = f"import-django of {site.number:,} users from {'a database' if source == site.url else 'a dump'}"
        imported = self._timed(what, lambda: self._command("import-django", "--from", source))
        self._expect(imported, *self._wanted("Taken", site.number))
        if self.users != "strangers":
            again = self._timed("the same again", lambda: self._command("import-django", "--from", source))
            self._expect(again, *self._wanted("There already", site.number))
            self._use(site)

    def _wanted(self, word: str, number: int) -> tuple[int, str]:
        """The status and a text of the report."""
        if self.users == "strangers":
            return 2, "accounts have whole numbers as ids"
        taken = {"stock": 11, "people": 10}[self.users] + number
        return {"stock": 1, "people": 0}[self.users], f"{word}: {taken:,}."

    def _use(self, site: Site) -> None:
        service = Started(**self._settings)
        try:
            for held in site.held:
                for fault in faults_of(service.url, held, by_email=self.users != "stock"):
                    self.faults.append(f"{self.users}, {held['email']}: {fault}")
            with psycopg.connect(self._settings["DATABASE_URL"]) as database:
                kept = database.execute("select count(*) from users where password like 'bcrypt_sha256$%'").fetchone()
            if not kept or kept[0] < len(site.held):
                self.faults.append(f"{self.users}: hashes were not rewritten: {kept}")
        finally:
            service.stop()

    def _command(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "server", *arguments],
            cwd=ROOT,
            env=surroundings(**self._settings),
            capture_output=True,
            text=True,
        )

    def _expect(self, done: "subprocess.CompletedProcess[str]", status: int, text: str) -> None:
        said = done.stdout + done.stderr
        if done.returncode != status or text not in said:
            self.faults.append(f"{self.users}: {status} and {text!r} wanted: {done.returncode}, {said[-2000:]}")

    def _timed(self, what: str, work: Callable[[], Any]) -> Any:
        began = time.monotonic()
        made = work()
        print(f"{self.users}: {what}: {time.monotonic() - began:.1f} s", flush=True)
        return made


def faults_of(url: str, held: dict[str, str], *, by_email: bool) -> list[str]:
    """What does not work with what a front end of an account holds."""
    name = {"email": held["email"]} if by_email else {"username": held["email"].partition("@")[0]}

    def status(path: str, body: dict[str, str], authorization: str = "") -> int:
        headers = {"Authorization": authorization} if authorization else {}
        return requests.request("POST" if body else "GET", url + path, json=body or None, headers=headers).status_code

    refreshed = requests.post(f"{url}/auth/jwt/refresh/", json={"refresh": held["refresh"]}).json()
    tries = {
        "the token of a refresh": (status("/auth/users/me/", {}, f"Bearer {refreshed.get('access')}"), 200),
        "its refresh token a second time": (status("/auth/jwt/refresh/", {"refresh": held["refresh"]}), 200),
        "its revoked refresh token": (status("/auth/jwt/refresh/", {"refresh": held["revoked"]}), 401),
        "its access token": (status("/auth/users/me/", {}, f"Bearer {held['access']}"), 401),
        "its API token": (status("/auth/users/me/", {}, f"Token {held['token']}"), 200),
        "its password": (status("/auth/jwt/create/", name | {"password": PASSWORD}), 200),
        "a wrong password": (status("/auth/jwt/create/", name | {"password": "wrong"}), 401),
    }
    return [f"{what} gives {got}, {wanted} wanted" for what, (got, wanted) in tries.items() if got != wanted]


def record(site: Site, server: BundledPostgres) -> None:
    """Write a small site as its database, its dump, and what its front ends hold."""
    RECORDED.mkdir(parents=True, exist_ok=True)
    dump = json.loads(site.dump().read_text())
    (RECORDED / f"{site.users}.json").write_text("\n".join(json.dumps(each) for each in dump) + "\n")
    (RECORDED / f"{site.users}.held.json").write_text(json.dumps(site.held, indent=1) + "\n")
    program = find_client_program("pg_dump", 18)
    tables = ["--exclude-table=django_*", "--exclude-table=auth_permission*", "--exclude-table=auth_group*"]
    tables += ["--exclude-table=*_groups*", "--exclude-table=*_permissions*"]
    plain = ["--inserts", "--no-owner", "--no-privileges", "--no-comments"]
    written = subprocess.run([program, *plain, *tables, site.url], check=True, capture_output=True, text=True).stdout
    kept = [line for line in written.splitlines() if line and not re.match(r"--|\\|SET |SELECT pg_catalog", line)]
    (RECORDED / f"{site.users}.sql").write_text("\n".join(kept) + "\n")


if __name__ == "__main__":
    sys.exit(main())
