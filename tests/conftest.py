"""One cluster for a run, one database for each worker, one application for each test; people who speak in verbs."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import psycopg
import pytest
import uvloop
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from psycopg import sql

from server.app import create_app
from server.database import migrate
from server.mail import sender
from server.postgres.bundled import attach
from server.process.http_server import make_runner, tune_garbage_collection
from server.settings import roles
from server.settings.roles import Roles
from server.settings.settings import Settings
from server.web.app_keys import DB, LETTER_SENDER

KEY = "a signing key for tests, 32 bytes or more"
PASSWORD = "correct horse battery"

Client: TypeAlias = TestClient[web.Request, web.Application]
"""A test client of the service."""


def pytest_configure(config: pytest.Config) -> None:
    """Make room for what a run leaves behind: all of it stays in the checkout."""
    (config.rootpath / ".cache").mkdir(exist_ok=True)


def pytest_collection_finish() -> None:
    """The collector of garbage leaves in peace what was loaded, as in service: its rounds took a third of the time."""
    tune_garbage_collection()


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Tests run in the event loop that serves."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Any]:
    """A running PostgreSQL that all workers of this run share, and that ends with the last of them."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "cluster"
    folder.mkdir(exist_ok=True)
    running = attach(folder, durable=False, say=lambda text: None)
    yield running
    running.release()


@pytest.fixture(scope="session")
def make_database(cluster: Any, worker_id: str) -> Callable[[str], str]:
    """Makes an empty database and gives its URL."""

    def make(name: str) -> str:
        name = f"{name}_{worker_id}"
        with psycopg.connect(cluster.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        return cluster.url(name)

    return make


@pytest.fixture(scope="session")
def database_url(make_database: Callable[[str], str]) -> str:
    """This worker's database, migrated."""
    url = make_database("test")
    migrate.migrate(url)
    return url


@pytest.fixture(scope="session")
def _connections(database_url: str) -> Iterator[list["psycopg.Connection[Any]"]]:
    """One connection for all tests, and those that took its place when a test broke it."""
    made: list[psycopg.Connection[Any]] = []
    yield made
    for each in made:
        each.close()


@pytest.fixture
def database(database_url: str, _connections: list["psycopg.Connection[Any]"]) -> "psycopg.Connection[Any]":
    """A connection past the service: to look, and to do what psql would. Everything is deleted before the test."""
    try:
        _connections[-1].execute("delete from users")
    except (IndexError, psycopg.Error):
        for broken in _connections:
            broken.close()
        _connections.append(psycopg.connect(database_url, autocommit=True, row_factory=psycopg.rows.dict_row))
        _connections[-1].execute("delete from users")
    _connections[-1].execute("delete from letters")  # requests are nobody's
    return _connections[-1]


@pytest.fixture
def settings(database_url: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Settings:
    """The settings of the application under test; `in_mode` below, or a module's own fixture, changes them."""
    changed = getattr(request, "param", {})
    data_dir = tmp_path_factory.getbasetemp() / f"data-{next(_folders)}"  # few tests write there, and that makes it
    return Settings(database_url=database_url, signing_key=KEY, bcrypt_rounds=4, data_dir=data_dir, **changed)


_folders = itertools.count(1)


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
    """Run a test in each of these modes, with these settings changed beside it; with no name in all three."""
    modes = [MODES[name] | changed for name in names or MODES]
    return pytest.mark.parametrize("settings", modes, indirect=True, ids=names or tuple(MODES))


@pytest.fixture(scope="session")
def school() -> Roles:
    """The roles of a school: teachers and students register themselves, principals do not."""
    return roles.read(str(Path(__file__).parent / "school.toml"))


class HouseServer(TestServer):
    """aiohttp's test server with the service's own runner, so that malformed HTTP is answered as in service."""

    async def _make_runner(self, **kwargs: Any) -> Any:
        return make_runner(self.app)


@pytest.fixture(autouse=True)
def _still_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service's own worker looks once, and leaves the letters to the fixture `letters`."""
    monkeypatch.setattr(sender, "LOOK_SECONDS", 3600.0)


@pytest.fixture
async def client(settings: Settings, database: Any) -> AsyncIterator[Client]:
    """Somebody who is not signed in."""
    async with TestClient(HouseServer(create_app(settings))) as visitor:
        yield visitor


@dataclass
class Person:
    """An account that is signed in. Its verbs give (status, json)."""

    client: Client
    username: str
    id: int = 0
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def header(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens['access']}"}

    async def ask(self, method: str, path: str, **says: Any) -> tuple[int, Any]:
        headers = self.header | says.pop("headers", {})
        async with self.client.request(method, path, headers=headers, **says) as response:
            return response.status, await response.json() if await response.read() else None

    async def get(self, path: str, **says: Any) -> tuple[int, Any]:
        return await self.ask("GET", path, **says)

    async def post(self, path: str, json: Any = None, **says: Any) -> tuple[int, Any]:
        return await self.ask("POST", path, json=json, **says)

    async def put(self, path: str, json: Any = None, **says: Any) -> tuple[int, Any]:
        return await self.ask("PUT", path, json=json, **says)

    async def patch(self, path: str, json: Any = None, **says: Any) -> tuple[int, Any]:
        return await self.ask("PATCH", path, json=json, **says)

    async def delete(self, path: str, json: Any = None, **says: Any) -> tuple[int, Any]:
        return await self.ask("DELETE", path, json=json, **says)

    async def sign_in(self) -> "Person":
        """Sign in once more: the same account in a session of its own."""
        status, tokens = await post(self.client, "/auth/jwt/create/", username=self.username, password=PASSWORD)
        assert status == 200, tokens
        return Person(self.client, self.username, self.id, tokens)

    async def profile(self) -> dict[str, Any]:
        """The account's own profile."""
        _, profiles = await self.get("/api/accounts/all-profiles?limit=1000")
        return next(profile for profile in profiles if profile["user"] == self.username)


async def post(client: Client, path: str, **fields: Any) -> tuple[int, Any]:
    """Send `fields` as JSON without credentials: (status, json)."""
    async with client.post(path, json=fields) as response:
        return response.status, await response.json() if await response.read() else None


@pytest.fixture
def make_person(client: Client, database: "psycopg.Connection[Any]") -> Callable[..., Any]:
    """Registers somebody, with `more` fields, and signs them in; `staff=True` makes them staff."""

    async def make(username: str, *, email: str = "", staff: bool = False, **more: Any) -> Person:
        status, user = await post(client, "/auth/users/", username=username, password=PASSWORD, email=email, **more)
        assert status == 201, user
        if staff:
            await asyncio.to_thread(database.execute, "update users set is_staff = true where id = %s", [user["id"]])
        return await Person(client, username, user["id"]).sign_in()

    return make


@pytest.fixture
async def anna(make_person: Callable[..., Any]) -> Person:
    """Somebody who is signed in."""
    return await make_person("anna", email="anna@example.com")


@pytest.fixture
async def boris(make_person: Callable[..., Any]) -> Person:
    """Somebody else who is signed in."""
    return await make_person("boris", email="boris@example.com")


@pytest.fixture
async def staff(make_person: Callable[..., Any]) -> Person:
    """A member of staff who is signed in."""
    return await make_person("sofia", staff=True)


@pytest.fixture
def letters(client: Client, settings: Settings) -> Callable[[], Any]:
    """Sends what is queued, and gives the letters that left since it was last asked, the oldest first."""
    from tests.mail.reading import collect

    async def read() -> list[Any]:
        await client.app[LETTER_SENDER].drain(client.app[DB])
        return collect(settings.letters_dir)

    return read


@pytest.fixture
def start(database_url: str, database: Any) -> Iterator[Callable[..., Any]]:
    """Starts a service in a process of its own on this worker's database; all are stopped at the end."""
    from tests.processes import Started

    running: list[Any] = []

    def begin(*moment: str, **environment: str) -> Any:
        running.append(Started(*moment, **{"DATABASE_URL": database_url, "SIGNING_KEY": KEY, **environment}))
        return running[-1]

    yield begin
    for each in running:
        each.stop()
