"""Fixtures for all tests: one PostgreSQL per run, one database per xdist worker, one application per test.

`anna`, `boris` and `staff` are signed-in accounts; their methods (`get`, `post`, …) return (status, json).
"""

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import psycopg
import pytest
import uvloop
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from psycopg import sql

from server.app import create_app
from server.database import migrate
from server.mail import sender
from server.postgres.bundled import BundledPostgres, attach
from server.process.http_server import make_runner, tune_garbage_collection
from server.settings import roles
from server.settings.roles import Roles
from server.settings.settings import Settings
from server.telemetry import instruments
from server.telemetry.cells import Row
from server.web.app_keys import DB, LETTER_SENDER
from tests.mail.reading import Read, collect
from tests.rows import Connection

if TYPE_CHECKING:
    from tests.processes import Started

KEY = "a signing key for tests, 32 bytes or more"
PASSWORD = "correct horse battery"
_folders = itertools.count(1)

Client: TypeAlias = TestClient[web.Request, web.Application]
"""A test client of the service."""

Letters: TypeAlias = Callable[[], Awaitable[list[Read]]]
"""Sends the queued letters; returns those sent since the last call, the oldest first."""

StartService: TypeAlias = Callable[..., "Started"]
"""Starts the service in a process of its own."""


def pytest_configure(config: pytest.Config) -> None:
    """Create the folder for everything that a run writes: all of it stays in the checkout."""
    (config.rootpath / ".cache").mkdir(exist_ok=True)


def pytest_collection_finish() -> None:
    """Exclude the imported objects from garbage collection, as in service: scanning them took 1/3 of the run's time."""
    tune_garbage_collection()


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run the tests in the event loop that the service uses."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def counted() -> None:
    """Let every metric of this process begin at zero."""
    instruments.use(Row.private())


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[BundledPostgres]:
    """A running PostgreSQL that all xdist workers of this run share; the last worker stops it."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "postgres"
    folder.mkdir(exist_ok=True)
    running = attach(folder, durable=False, say=lambda text: None)
    yield running
    running.release()


@pytest.fixture(scope="session")
def make_database(postgres: BundledPostgres, worker_id: str) -> Callable[[str], str]:
    """A function that creates an empty database and returns its URL."""

    def make(name: str) -> str:
        name = f"{name}_{worker_id}"
        # A superuser: nobody else may drop a database by force while autovacuum is at work there.
        with psycopg.connect(postgres.url("postgres", user="postgres"), autocommit=True) as superuser:
            superuser.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
            superuser.execute(sql.SQL("create database {} owner frontdesk").format(sql.Identifier(name)))
        return postgres.url(name)

    return make


@pytest.fixture
def database_of_bytes(postgres: BundledPostgres, worker_id: str) -> Iterator[str]:
    """The URL of an empty database with the encoding SQL_ASCII."""
    name = sql.Identifier(f"bytes_{worker_id}")
    make = "create database {} owner frontdesk template template0 encoding 'SQL_ASCII' locale_provider libc locale 'C'"
    with psycopg.connect(postgres.url("postgres", user="postgres"), autocommit=True) as superuser:
        superuser.execute(sql.SQL("drop database if exists {} with (force)").format(name))
        superuser.execute(sql.SQL(make).format(name))
        yield postgres.url(f"bytes_{worker_id}")
        superuser.execute(sql.SQL("drop database {} with (force)").format(name))


@pytest.fixture(scope="session")
def database_url(make_database: Callable[[str], str]) -> str:
    """The URL of this xdist worker's database, with every migration applied."""
    url = make_database("test")
    migrate.migrate(url)
    return url


@pytest.fixture(scope="session")
def _connections(database_url: str) -> Iterator[list[Connection]]:
    """The connection that all tests share, and its replacements when a test has broken it."""
    made: list[Connection] = []
    yield made
    for each in made:
        each.close()


@pytest.fixture
def database(database_url: str, _connections: list[Connection]) -> Connection:
    """A connection to an empty database, past the service: to look at rows and to change them as psql would."""
    try:
        _connections[-1].execute("delete from users")
    except (IndexError, psycopg.Error):
        for broken in _connections:
            broken.close()
        _connections.append(psycopg.connect(database_url, autocommit=True, row_factory=psycopg.rows.dict_row))
        _connections[-1].execute("delete from users")
    for table in (
        "letters",
        "events",
        "limits",
        "adopted_tokens",
        "deleted_accounts",
    ):  # no cascade reaches those of no account
        _connections[-1].execute(f"delete from {table}")
    return _connections[-1]


@pytest.fixture
def settings(database_url: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Settings:
    """The settings of the application under test; `in_mode` below, or a module's own fixture, changes them."""
    changed = getattr(request, "param", {})
    data_dir = tmp_path_factory.getbasetemp() / f"data-{next(_folders)}"  # made by the few tests that write there
    return Settings(database_url=database_url, signing_key=KEY, bcrypt_rounds=4, data_dir=data_dir, **changed)


@pytest.fixture
def shared_addresses(database_url: str, database: Connection) -> Iterator[None]:
    """Let accounts share an address in the database during this test, as UNIQUE_EMAIL=false does."""
    migrate.migrate(database_url, unique_email=False)
    yield
    database.execute("delete from users")
    migrate.migrate(database_url)


# The three modes in which the contract was measured: what a site switches on.
MODES: dict[str, dict[str, Any]] = {
    "default": {},
    "activation": {
        "send_activation_email": True,
        "send_confirmation_email": True,
        "password_changed_email_confirmation": True,
    },
    "retype": {
        "user_create_password_retype": True,
        "set_password_retype": True,
        "password_reset_confirm_retype": True,
    },
}


def in_mode(*names: str, **changed: Any) -> pytest.MarkDecorator:
    """Run a test in each of these modes, or in all three if none is named, with the settings `changed` on top."""
    modes = [MODES[name] | changed for name in names or MODES]
    return pytest.mark.parametrize("settings", modes, indirect=True, ids=names or tuple(MODES))


@pytest.fixture(scope="session")
def school_roles() -> Roles:
    """The roles of tests/school.toml: teachers and students may register themselves, principals may not."""
    return roles.read(str(Path(__file__).parent / "school.toml"))


class FrontdeskServer(TestServer):
    """aiohttp's test server with the runner of the service, so that malformed HTTP gets the answer of the service."""

    async def _make_runner(self, **kwargs: Any) -> Any:
        return make_runner(self.app)


@pytest.fixture(autouse=True)
def _idle_letter_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the letter sender of the service look once only: the fixture `letters` sends what is queued."""
    monkeypatch.setattr(sender, "LOOK_SECONDS", 3600.0)


@pytest.fixture(autouse=True)
def _no_client_causes_an_error(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail a test with a client whose requests log an ERROR (security 42), unless it is marked: it breaks the service.

    So every refused, malformed and random request of the other tests is a test of this rule.
    """
    yield
    if "client" in request.fixturenames and request.node.get_closest_marker("breaks_the_service") is None:
        found = [each for each in caplog.get_records("call") if each.levelno >= logging.ERROR]
        assert [record.getMessage() for record in found] == []


@pytest.fixture
async def client(settings: Settings, database: Connection) -> AsyncIterator[Client]:
    """A client that is not signed in."""
    async with TestClient(FrontdeskServer(create_app(settings))) as anonymous:
        yield anonymous


@dataclass
class Person:
    """An account that is signed in. Its methods return (status, json)."""

    client: Client
    username: str
    id: int = 0
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def header(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens['access']}"}

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        headers = self.header | options.pop("headers", {})
        async with self.client.request(method, path, headers=headers, **options) as response:
            return response.status, await response.json() if await response.read() else None

    async def get(self, path: str, **options: Any) -> tuple[int, Any]:
        return await self.ask("GET", path, **options)

    async def post(self, path: str, json: Any = None, **options: Any) -> tuple[int, Any]:
        return await self.ask("POST", path, json=json, **options)

    async def put(self, path: str, json: Any = None, **options: Any) -> tuple[int, Any]:
        return await self.ask("PUT", path, json=json, **options)

    async def patch(self, path: str, json: Any = None, **options: Any) -> tuple[int, Any]:
        return await self.ask("PATCH", path, json=json, **options)

    async def delete(self, path: str, json: Any = None, **options: Any) -> tuple[int, Any]:
        return await self.ask("DELETE", path, json=json, **options)

    async def sign_in(self) -> "Person":
        """Sign in again: the same account with another session."""
        status, tokens = await post(self.client, "/auth/jwt/create/", username=self.username, password=PASSWORD)
        assert status == 200, tokens
        return Person(self.client, self.username, self.id, tokens)

    async def profile(self) -> dict[str, Any]:
        """The account's own profile."""
        _, profiles = await self.get("/api/accounts/all-profiles?limit=1000")
        own: dict[str, Any] = next(profile for profile in profiles if profile["user"] == self.username)
        return own


MakePerson: TypeAlias = Callable[..., Awaitable[Person]]
"""Registers an account and signs it in."""


async def post(client: Client, path: str, **fields: Any) -> tuple[int, Any]:
    """Send `fields` as JSON without credentials: (status, json)."""
    async with client.post(path, json=fields) as response:
        return response.status, await response.json() if await response.read() else None


@pytest.fixture
def make_person(client: Client, database: Connection) -> MakePerson:
    """A function that registers an account, with `more` fields, and signs it in; `staff=True` makes it staff."""

    async def make(username: str, *, email: str = "", staff: bool = False, **more: Any) -> Person:
        status, user = await post(client, "/auth/users/", username=username, password=PASSWORD, email=email, **more)
        assert status == 201, user
        if staff:
            await asyncio.to_thread(database.execute, "update users set is_staff = true where id = %s", [user["id"]])
        return await Person(client, username, user["id"]).sign_in()

    return make


@pytest.fixture
async def anna(make_person: MakePerson) -> Person:
    """A signed-in account."""
    return await make_person("anna", email="anna@example.com")


@pytest.fixture
async def boris(make_person: MakePerson) -> Person:
    """Another signed-in account."""
    return await make_person("boris", email="boris@example.com")


@pytest.fixture
async def staff(make_person: MakePerson) -> Person:
    """A signed-in staff account, named sofia."""
    return await make_person("sofia", staff=True)


@pytest.fixture
def letters(client: Client, settings: Settings) -> Letters:
    """A function that sends the queued letters; it returns those sent since its last call, the oldest first."""

    async def read() -> list[Read]:
        await client.app[LETTER_SENDER].drain(client.app[DB])
        return collect(settings.letters_dir)

    return read


@pytest.fixture
def start(database_url: str, database: Connection) -> Iterator[StartService]:
    """A function that starts the service in a process of its own on the test database; all are stopped at the end."""
    from tests.processes import Started  # imports this module

    running: list[Started] = []

    def begin(*moment: str, **environment: str) -> Started:
        running.append(Started(*moment, **{"DATABASE_URL": database_url, "SIGNING_KEY": KEY, **environment}))
        return running[-1]

    yield begin
    for each in running:
        each.stop()
