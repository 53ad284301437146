"""The service under attack: a process of its own on a PostgreSQL of its own, watched for errors in its log."""

import asyncio
import contextlib
import http.client
import itertools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Self

import aiohttp
import psycopg
from psycopg import sql

from server.postgres.bundled import BundledPostgres, attach
from tests.attack.attacks import Outcome
from tests.conftest import KEY, PASSWORD
from tests.load.processes import free_port, rss_bytes, stop, tree
from tests.processes import ROOT, surroundings

HOME = ROOT / ".cache" / "attack"
START_SECONDS = 60.0  # of a service with two workers, on a machine that does other work
REQUEST_SECONDS = 30.0
WAIT_SECONDS = 0.02
SAMPLE_SECONDS = 0.1
MEGABYTE = 1_000_000
CONNECTIONS = 800  # of PostgreSQL: each of up to ten services may take 80

USUAL = {
    "BCRYPT_ROUNDS": "4",
    "ACCESS_LIFETIME": "36000",
    "SIGNING_KEY": KEY,
    # Attacks other than guessing must reach what they attack. This machine has no limits per network by default.
    "LIMIT_SIGN_IN_ACCOUNT": "off",
    "LIMIT_LETTERS_ADDRESS": "off",
    "LIMIT_CHANGES_ACCOUNT": "off",
}


def own_folder(name: str) -> Path:
    """Make a folder of this run, which is removed at its end."""
    folder = HOME / f"run-{os.getpid()}" / name
    folder.mkdir(parents=True)
    return folder


class Service:
    """A running service on a database of its own."""

    def __init__(self, database_url: str, folder: Path, **settings: str) -> None:
        """Start it. Raises RuntimeError when it does not answer."""
        self.database_url = database_url
        self.port = free_port()
        self.host = settings.get("HOST", "127.0.0.1")
        self.url = f"http://127.0.0.1:{self.port}"
        self.letters = folder / "mail"
        self.log = folder / "log"
        self.may_log_errors = False
        """Set by an attack that breaks something on purpose."""
        self._environment = surroundings(
            **USUAL | {"DATABASE_URL": database_url, "PORT": str(self.port), "MAIL_DIR": str(self.letters)} | settings
        )
        self.start()

    def start(self) -> None:
        """Start the process, also again after `stop` or a kill."""
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", "server"]
            self.process = subprocess.Popen(command, cwd=ROOT, env=self._environment, stdout=log, stderr=log)
        deadline = time.monotonic() + START_SECONDS
        try:
            while not self._answers():
                if time.monotonic() > deadline or self.process.poll() is not None:
                    raise RuntimeError(f"the service does not start: {self.log.read_text()[-2000:]}")
                time.sleep(WAIT_SECONDS)
        except BaseException:  # also Ctrl-C: nobody else knows the process yet
            self.stop()
            raise

    def _answers(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_SECONDS)
        with contextlib.suppress(OSError), contextlib.closing(connection):
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        return False

    def stop(self) -> None:
        """Stop the process and its workers."""
        stop(self.process)

    def kill(self) -> None:
        """Kill the process and its workers."""
        for each in reversed(tree(self.process.pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(each, 9)
        self.process.wait()

    def megabytes(self) -> float:
        """Resident memory of the process and its workers."""
        return rss_bytes(self.process.pid) / MEGABYTE

    def cpu_seconds(self) -> float:
        """Processor time of the process and its workers, to the nanosecond: /proc/PID/stat counts ticks of 10 ms."""
        total = 0
        for each in tree(self.process.pid):
            for task in Path(f"/proc/{each}/task").iterdir():
                with contextlib.suppress(OSError):
                    total += int((task / "schedstat").read_text().split()[0])
        return total / 1e9

    def sockets(self) -> int:
        """Connections of clients that are open at the service's side, in any state but LISTEN."""
        lines = [*Path("/proc/net/tcp").read_text().splitlines()[1:]]
        local = f":{self.port:04X}"
        mine = [line.split() for line in lines]
        # A socket without an inode belongs to no process: TIME_WAIT and what the kernel is still sending.
        return sum(1 for each in mine if each[1].endswith(local) and each[3] != "0A" and each[9] != "0")

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement in the database."""
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            cursor = connection.execute(statement, values)
            return cursor.fetchall() if cursor.description else []

    def errors(self, since: int = 0) -> list[str]:
        """The lines of its log from byte `since` on that are errors."""
        with self.log.open("rb") as log:
            log.seek(since)
            lines = log.read().decode(errors="replace").splitlines()
        return [line for line in lines if " ERROR " in line or line.startswith("Traceback")]


class Stage:
    """What every attack uses: PostgreSQL, services with the settings that it asks for, clients."""

    def __init__(self, *, quick: bool, say: Callable[[str], None]) -> None:
        """Start PostgreSQL. `close` stops everything."""
        HOME.mkdir(parents=True, exist_ok=True)
        self.quick = quick
        self.say = say
        self._numbers = itertools.count(1)
        self._running: dict[str, Service] = {}
        self._used: set[Service] = set()
        self._postgres = self._attach()
        self._drop_databases()

    def close(self) -> None:
        """Stop every service and PostgreSQL."""
        for each in self._running.values():
            each.stop()
        self._running.clear()
        self._drop_databases()
        self._postgres.release()
        shutil.rmtree(HOME / f"run-{os.getpid()}", ignore_errors=True)

    def choose(self, full: int, quick: int) -> int:
        """The number of tries: in full, or in the quick form."""
        return quick if self.quick else full

    def service(self, **settings: str) -> Service:
        """The service with these settings; started if it does not run."""
        key = json.dumps(settings, sort_keys=True)
        if key not in self._running:
            self._running[key] = self._start(settings)
        return self._running[key]

    @contextlib.contextmanager
    def own_service(self, **settings: str) -> Iterator[Service]:
        """A service for one attack; stopped at its end."""
        service = self._start(settings)
        key = service.database_url
        self._running[key] = service
        try:
            yield service
        finally:
            service.stop()
            del self._running[key]

    @contextlib.contextmanager
    def fresh_service(self) -> Iterator[Service]:
        """A service that no attack has used, to measure its memory; in the quick form the usual one."""
        if self.quick:
            yield self.service()
        else:
            with self.own_service() as service:
                yield service

    @contextlib.asynccontextmanager
    async def watching(self, outcome: Outcome) -> AsyncIterator[None]:
        """Add a fault for each error that a service logs meanwhile: no client causes an ERROR (security 42)."""
        before = {each: each.log.stat().st_size for each in self._running.values()}
        self._used = set(self._running.values())
        yield
        for each in self._used:
            if each.may_log_errors:
                continue
            for line in each.errors(before.get(each, 0)):
                outcome.fault(f"the service logged (security 42): {line.partition(' ERROR ')[2] or line}"[:200])

    def _attach(self) -> BundledPostgres:
        """Start PostgreSQL with enough connections for every service that runs at the same time."""
        postgres = attach(HOME / "data", durable=False, say=lambda text: None)
        with psycopg.connect(postgres.url("postgres", user="postgres"), autocommit=True) as connection:
            row = connection.execute("select current_setting('max_connections')::int").fetchone()
            if row == (CONNECTIONS,):
                return postgres
            connection.execute(sql.SQL("alter system set max_connections = {}").format(sql.Literal(CONNECTIONS)))
        postgres.release()
        return attach(HOME / "data", durable=False, say=lambda text: None)

    def _start(self, settings: dict[str, str]) -> Service:
        number = next(self._numbers)
        folder = own_folder(str(number))
        (folder / "mail").mkdir()
        service = Service(self._database(f"attack_{os.getpid()}_{number}"), folder, **settings)
        self._used.add(service)
        return service

    def _database(self, name: str) -> str:
        with self._connect() as connection:
            connection.execute(sql.SQL("create database {} owner frontdesk").format(sql.Identifier(name)))
        return self._postgres.url(name)

    def _drop_databases(self) -> None:
        """Drop the databases of this run, and of runs that were killed."""
        drop = sql.SQL("drop database if exists {} with (force)")
        with self._connect() as connection:
            for (name,) in connection.execute("select datname from pg_database where datname ~ '^attack_'").fetchall():
                owner = name.split("_")[1]
                if owner == str(os.getpid()) or not Path(f"/proc/{owner}").exists():
                    connection.execute(drop.format(sql.Identifier(name)))

    def _connect(self) -> "psycopg.Connection[Any]":
        return psycopg.connect(self._postgres.url("postgres", user="postgres"), autocommit=True)


class Visitor:
    """A client of a service. Its methods return (status, json)."""

    def __init__(self, service: Service, connections: int = 100, source: str = "127.0.0.1") -> None:
        """Open a session of at most that many connections from the address `source`; use it as a context."""
        self.service = service
        self._connections = connections
        self._source = source

    async def __aenter__(self) -> Self:
        self.http = aiohttp.ClientSession(
            self.service.url,
            connector=aiohttp.TCPConnector(limit=self._connections, local_addr=(self._source, 0)),
            timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
            max_line_size=1 << 16,
            max_field_size=1 << 16,
        )
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.http.close()

    async def ask(self, method: str, path: str, token: str = "", **options: Any) -> tuple[int, Any]:
        """Send a request; `token` is an access token, or a whole Authorization header."""
        headers = dict(options.pop("headers", {}))
        if token:
            headers["Authorization"] = token if " " in token else f"Bearer {token}"
        async with self.http.request(method, path, headers=headers, **options) as response:
            raw = await response.read()
            try:
                return response.status, json.loads(raw) if raw else None
            except ValueError:
                return response.status, raw.decode(errors="replace")

    async def post(self, path: str, /, **fields: Any) -> tuple[int, Any]:
        """Post fields as JSON, without credentials."""
        return await self.ask("POST", path, json=fields)

    async def register(self, name: str, **more: Any) -> dict[str, Any]:
        """Register an account and sign it in: its tokens, id and profile."""
        fields = {"username": name, "password": PASSWORD, "email": f"{name}@example.com"} | more
        status, user = await self.post("/auth/users/", **fields)
        assert status == 201, (status, user)
        return {"id": user["id"], "username": name} | await self.sign_in(name)

    async def sign_in(self, name: str, password: str = PASSWORD) -> dict[str, str]:
        """Sign in: access and refresh."""
        status, tokens = await self.post("/auth/jwt/create/", username=name, password=password)
        assert status == 200, (status, tokens)
        return dict(tokens)


async def all_at_once(number: int, make: Callable[[int], Any]) -> list[Any]:
    """The results of `number` coroutines that run at the same time."""
    return list(await asyncio.gather(*(make(each) for each in range(number))))
