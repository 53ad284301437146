"""When PostgreSQL refuses a further connection, callers wait for one that is there; nothing is lost."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import psycopg
import pytest
from aiohttp.test_utils import TestClient

from server.app import create_app
from server.database import connections, migrate
from server.database import database as module
from server.database.database import Database
from server.database.failures import NoFreeConnection
from server.errors import Unavailable
from server.postgres.bundled import BundledPostgres
from server.settings.database_url import DatabaseUrl
from server.settings.settings import Settings
from tests.conftest import PASSWORD, FrontdeskServer, post
from tests.database.poolers import pgbouncer

LIMIT = 5
USED = "select count(*) from pg_stat_activity where datname = %s and application_name = 'frontdesk'"

Limit: TypeAlias = Callable[[int], None]


@pytest.fixture(scope="module")
def few_url(make_database: Callable[[str], str]) -> str:
    """A database of its own, with every migration."""
    url = make_database("few")
    migrate.migrate(url)
    return url


@pytest.fixture
def limit(few_url: str, postgres: BundledPostgres) -> Iterator[Limit]:
    """Sets how many connections the database takes."""
    with psycopg.connect(postgres.url("postgres", user="postgres"), autocommit=True) as superuser:
        name = psycopg.sql.Identifier(DatabaseUrl.read(few_url).database)

        def set_limit(number: int) -> None:
            superuser.execute(psycopg.sql.SQL("alter database {} connection limit {}").format(name, number))

        set_limit(LIMIT)
        yield set_limit
        set_limit(-1)


@pytest.fixture
async def few(few_url: str, limit: Limit) -> Any:
    """Connects to the database with the limit, as the service does."""
    made: list[Database] = []

    async def connect(**options: Any) -> Database:
        made.append(await Database.connect(few_url, **options))
        return made[-1]

    yield connect
    for each in made:
        await each.close()


def work(db: Database, number: int) -> list[Awaitable[Any]]:
    """Statements of each kind."""

    async def change() -> None:
        async with db.transaction() as transaction:
            await transaction.row("users/find", number)
            await transaction.rows("users/list", 0, 3, True)

    return [change(), db.rows("users/list", 0, number, True), db.find("profiles/find", number)]


async def test_registrations_wait_for_the_connections_that_there_are(
    few_url: str, limit: Limit, settings: Settings, postgres: BundledPostgres
) -> None:
    seen: list[int] = []
    async with TestClient(FrontdeskServer(create_app(replace(settings, database_url=few_url)))) as client:
        with psycopg.connect(postgres.url("postgres"), autocommit=True) as watcher:

            async def register(first: int) -> list[int]:
                statuses = []
                for number in range(first, 200, 30):
                    status, _ = await post(client, "/auth/users/", username=f"few{number}", password=PASSWORD)
                    statuses.append(status)
                    row = watcher.execute(USED, [DatabaseUrl.read(few_url).database]).fetchone()
                    seen.append(row[0] if row else 0)
                return statuses

            statuses = await asyncio.gather(*(register(first) for first in range(30)))
        assert [status for each in statuses for status in each] == [201] * 200
        assert max(seen) == LIMIT
        status, pair = await post(client, "/auth/jwt/create/", username="few7", password=PASSWORD)
        headers = {"Authorization": f"Bearer {pair['access']}"}
        assert status == (await client.get("/auth/users/me/", headers=headers)).status == 200
    with psycopg.connect(few_url, autocommit=True) as connection:
        connection.execute("delete from users")


async def test_a_refusal_is_no_lost_database(few: Any) -> None:
    db = await few(connections=28)
    await asyncio.gather(*(each for number in range(60) for each in work(db, number)))
    assert not db.lost.is_set()


async def test_one_connection_serves_every_kind_of_statement(few: Any, limit: Limit) -> None:
    limit(1)
    db = await few()
    await asyncio.gather(*(each for number in range(5) for each in work(db, number)))
    assert not db.lost.is_set()


async def test_the_only_connection_may_be_one_of_batches(few: Any, limit: Limit) -> None:
    db = await few(connections=4)
    db.expire()
    limit(1)
    await db.find("profiles/find", 1)
    await asyncio.gather(*work(db, 1))


async def test_without_any_connection_callers_wait_until_there_is_one(few: Any, few_url: str, limit: Limit) -> None:
    db = await few()
    db.expire()
    limit(1)
    with psycopg.connect(few_url):
        asked = [asyncio.ensure_future(each) for each in work(db, 1)]
        await asyncio.wait(asked, timeout=2 * connections.NONE_OPEN_PAUSE_SECONDS)
        assert not any(each.done() for each in asked)
    async with asyncio.timeout(10):
        await asyncio.gather(*asked)


async def test_a_caller_that_waits_too_long_is_told_the_reason(
    few: Any, few_url: str, limit: Limit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "ACQUIRE_SECONDS", 0.05)
    db = await few()
    db.expire()
    limit(1)
    with psycopg.connect(few_url), pytest.raises(Unavailable) as raised:
        await db.row("users/find", 1)
    assert isinstance(raised.value.__cause__, NoFreeConnection)
    assert not db.lost.is_set()
    (line,) = [record.getMessage() for record in caplog.records]
    assert "PostgreSQL refuses more: too many connections for database" in line


async def test_a_limit_that_is_lifted_is_used(few: Any, limit: Limit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "REFUSED_PAUSE_SECONDS", 0.01)
    limit(1)
    db = await few()
    async with db.transaction() as transaction:
        waiting = asyncio.ensure_future(db.row("users/find", 1))
        await asyncio.wait([waiting], timeout=0.05)
        assert not waiting.done()
        limit(2)
        async with asyncio.timeout(10):
            await waiting
        await transaction.row("users/find", 1)


@pytest.mark.parametrize("options", [{"max_client_conn": "5"}, {"default_pool_size": "2"}], ids=["clients", "servers"])
async def test_a_pooler_with_few_connections_is_no_lost_database(
    few_url: str, tmp_path: Path, options: dict[str, str]
) -> None:
    with pgbouncer(tmp_path, few_url, pool_mode="transaction", **options) as url:
        db = await Database.connect(url)
        try:
            await asyncio.gather(*(each for number in range(60) for each in work(db, number)))
        finally:
            await db.close()
    assert not db.lost.is_set()
