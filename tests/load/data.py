"""The databases: filled once and kept; each scenario gets a fresh copy. They are on a bundled PostgreSQL of their own.

fsync and synchronous_commit stay on. pg_stat_statements counts statements, and is off while time is measured.
"""

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import bcrypt
import psycopg
from psycopg import sql

from server.database import migrate
from server.postgres.bundled import BundledPostgres, attach
from tests.load.processes import cpu_seconds

FILL = Path(__file__).parent / "fill.sql"
MIGRATIONS = Path(__file__).parents[2] / "migrations"
PASSWORD = "correct horse battery"
COUNTED_VERBS = ("select", "insert", "update", "delete", "with", "merge")


class Account(NamedTuple):
    """An account of the database, with what its requests need."""

    id: int
    username: str
    email: str
    session: str
    profile: int


class LoadDatabases:
    """A running PostgreSQL with its data in `folder`; `close` stops it."""

    def __init__(self, folder: Path, rounds: int, say: Callable[[str], None]) -> None:
        self._folder = folder
        self._rounds = rounds
        self._say = say
        self._copies = 0
        self._postgres = self._attach()
        self.postmaster = int((folder / "postgres" / "postmaster.pid").read_text().splitlines()[0])
        self._drop_leftovers()

    def close(self) -> None:
        """Stop PostgreSQL, unless another measurement uses it."""
        self._postgres.release()

    def cpu_seconds(self) -> float:
        """Processor time of all PostgreSQL processes."""
        return cpu_seconds(self.postmaster)

    def version(self) -> str:
        """The version of PostgreSQL."""
        with self.connect("postgres") as connection:
            return str(connection.info.parameter_status("server_version"))

    def connect(self, database: str) -> "psycopg.Connection[Any]":
        """A connection as superuser."""
        return psycopg.connect(self._postgres.url(database, user="postgres"), autocommit=True)

    @contextlib.contextmanager
    def copy(self, accounts: int) -> Iterator[str]:
        """Make a fresh database with that many accounts, and drop it at the end. Yields its URL."""
        filled = self._filled(accounts)
        self._copies += 1
        name = f"load_{os.getpid()}_{self._copies}"
        with self.connect("postgres") as connection:
            create = "create database {} template {} owner frontdesk strategy file_copy"
            connection.execute(sql.SQL(create).format(sql.Identifier(name), sql.Identifier(filled)))
            try:
                yield self._postgres.url(name)
            finally:
                connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))

    def read_accounts(self, url: str, number: int) -> list[Account]:
        """Read `number` accounts, evenly spread over the table."""
        with psycopg.connect(url) as connection:
            rows = connection.execute(
                "select u.id, u.username, u.email, s.id::text, p.id from users u"
                " join sessions s on s.user_id = u.id join profiles p on p.user_id = u.id"
                " where u.id %% greatest(1, (select max(id) from users) / %(number)s) = 0"
                " order by u.id limit %(number)s",
                {"number": number},
            ).fetchall()
        return [Account(*row) for row in rows]

    @contextlib.contextmanager
    def counting(self, url: str) -> Iterator[dict[str, int]]:
        """Count the statements of a database: `statements`, and `others` such as begin, commit, reset.

        The counts are there at the end of the context.
        """
        counts = {"statements": 0, "others": 0}
        name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
        with self.connect("postgres") as connection:
            self._track(connection, "top")
            reset = "select pg_stat_statements_reset(0, oid, 0) from pg_database where datname = %s"
            connection.execute(reset, [name])
            yield counts
            self._track(connection, "none")
            calls = (
                "select query, calls from pg_stat_statements join pg_database d on d.oid = dbid where d.datname = %s"
            )
            for query, times in connection.execute(calls, [name]).fetchall():
                counts["statements" if _is_statement(query) else "others"] += times

    def _track(self, connection: "psycopg.Connection[Any]", which: str) -> None:
        connection.execute(sql.SQL("alter system set pg_stat_statements.track = {}").format(which))
        connection.execute("select pg_reload_conf()")
        time.sleep(0.1)  # until every backend has read the setting

    def _attach(self) -> BundledPostgres:
        postgres = attach(self._folder, say=self._say)
        with psycopg.connect(postgres.url("postgres", user="postgres"), autocommit=True) as connection:
            (loaded,) = connection.execute("select current_setting('shared_preload_libraries')").fetchone() or ("",)
            if loaded:
                return postgres
            connection.execute("alter system set shared_preload_libraries = 'pg_stat_statements'")
            connection.execute("alter system set pg_stat_statements.track = 'none'")
        postgres.release()
        postgres = attach(self._folder, say=self._say)
        with psycopg.connect(postgres.url("postgres", user="postgres"), autocommit=True) as connection:
            connection.execute("create extension if not exists pg_stat_statements")
        return postgres

    def _drop_leftovers(self) -> None:
        """Drop the databases of a measurement that was killed."""
        with self.connect("postgres") as connection:
            rows = connection.execute("select datname from pg_database where datname ~ '^(load|half)_'").fetchall()
            for process in {name.split("_")[1] for (name,) in rows}:
                if not Path(f"/proc/{process}").exists():
                    self._drop(connection, f"^(load|half)_{process}(_|$)")

    def _drop(self, connection: "psycopg.Connection[Any]", pattern: str) -> None:
        rows = connection.execute("select datname from pg_database where datname ~ %s", [pattern]).fetchall()
        for (name,) in rows:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))

    def _filled(self, accounts: int) -> str:
        """The name of a database with that many accounts. Fills one if there is none."""
        schema = b"".join(file.read_bytes() for file in sorted(MIGRATIONS.glob("*.sql"))) + FILL.read_bytes()
        prefix = f"accounts_{accounts}_{self._rounds}_"
        name = prefix + hashlib.sha256(schema).hexdigest()[:8]
        with self.connect("postgres") as connection:
            if connection.execute("select from pg_database where datname = %s", [name]).fetchone() is None:
                self._say(f"filling a database with {accounts:,} accounts")
                self._drop(connection, f"^{prefix}")  # those of older schemas
                half = f"half_{os.getpid()}"
                made = sql.SQL("create database {} owner frontdesk").format(sql.Identifier(half))
                connection.execute(made)
                self._fill(half, accounts)
                renamed = sql.SQL("alter database {} rename to {}").format(sql.Identifier(half), sql.Identifier(name))
                connection.execute(renamed)
        return name

    def _fill(self, database: str, accounts: int) -> None:
        migrate.migrate(self._postgres.url(database))
        # The format that both the service and Django's BCryptSHA256PasswordHasher write.
        digest = hashlib.sha256(PASSWORD.encode()).hexdigest().encode()
        stored = "bcrypt_sha256$" + bcrypt.hashpw(digest, bcrypt.gensalt(self._rounds)).decode()
        with self.connect(database) as connection:
            settings = {"load.accounts": str(accounts), "load.password": stored}
            for setting, value in settings.items():
                connection.execute("select set_config(%s, %s, false)", [setting, value])
            connection.execute(FILL.read_text())
            connection.execute("vacuum (freeze, analyze)")
            connection.execute("checkpoint")


def _is_statement(query: str) -> bool:
    words = query.lower().split()
    return bool(words) and words[0] in COUNTED_VERBS and "pg_advisory_unlock_all" not in query
