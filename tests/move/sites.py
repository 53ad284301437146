"""Django sites with djoser: installed into an environment of their own, migrated, filled."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from server.postgres.bundled import BundledPostgres

ROOT = Path(__file__).parents[2]
HOME = ROOT / ".cache" / "move"
SITE = Path(__file__).parent / "site"
REQUIREMENTS = Path(__file__).parent / "requirements.txt"
KEY = "the secret key of the old site, 32 bytes or more"
USERS = ("stock", "people", "strangers")
APPLICATIONS = {"stock": "profiles", "people": "people", "strangers": "strangers"}


def interpreter() -> Path:
    """The interpreter of the sites; installs what they need, again when the requirements have changed."""
    environment = HOME / "venv"
    digest = hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()
    stamp = environment / "installed"
    if not stamp.exists() or stamp.read_text() != digest:
        shutil.rmtree(environment, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        pip = environment / "bin" / "pip"
        cache = f"--cache-dir={ROOT / '.cache' / 'pip'}"
        subprocess.run([pip, "install", "-q", cache, "-r", REQUIREMENTS], check=True)
        stamp.write_text(digest)
    return environment / "bin" / "python"


class Site:
    """A site with `number` users beside the known ones, in a database of its own. `held` is what fill.py prints."""

    def __init__(self, users: str, server: BundledPostgres, number: int) -> None:
        self.users, self.number = users, number
        self.folder = HOME / "sites" / users
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree(SITE, self.folder)
        self.url = fresh_database(server, f"site_{users}")
        self._run("makemigrations", APPLICATIONS[users])
        self._run("migrate", "-v0")
        filled = self._python("fill.py", str(number))
        self.held: list[dict[str, Any]] = json.loads(filled)

    def dump(self) -> Path:
        """Write `dumpdata` of users, profiles and tokens to a file."""
        models = ["authtoken", "token_blacklist", APPLICATIONS[self.users], *(["auth.user"] * (self.users == "stock"))]
        path = self.folder / "dump.json"
        path.write_text(self._run("dumpdata", *models))
        return path

    def _run(self, *arguments: str) -> str:
        return self._python("-m", "django", *arguments)

    def _python(self, *arguments: str) -> str:
        place = conninfo_to_dict(self.url)
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(self.folder),
            "DJANGO_SETTINGS_MODULE": "settings",
            "MOVE_USERS": self.users,
            "MOVE_KEY": KEY,
            "PGHOST": str(place["host"]),
            "PGPORT": str(place.get("port", "")),
            "PGUSER": str(place["user"]),
            "PGDATABASE": str(place["dbname"]),
        }
        done = subprocess.run(
            [interpreter(), *arguments], cwd=self.folder, env=environment, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"{arguments} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        return done.stdout


def fresh_database(server: BundledPostgres, name: str) -> str:
    """Make an empty database and return its URL."""
    with psycopg.connect(server.url("postgres", user="postgres"), autocommit=True) as superuser:
        superuser.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
        superuser.execute(sql.SQL("create database {} owner frontdesk").format(sql.Identifier(name)))
    return server.url(name)
