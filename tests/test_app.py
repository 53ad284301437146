"""`create_app`: what it gives to the parts of the service."""

from dataclasses import replace
from typing import Any

import pytest

from server.app import create_app
from server.database.database import BATCH_CONNECTIONS, POOL_CONNECTIONS, Database
from server.postgres.server import MAX_CONNECTIONS
from server.settings.connections import OF_ALL_WORKERS, to_bundled
from server.settings.settings import Settings
from server.settings.values import MAX_WORKERS
from tests.conftest import FrontdeskServer


@pytest.mark.parametrize("workers", [1, 2, 6, MAX_WORKERS])
async def test_the_connections_of_all_workers_together_are_limited(
    monkeypatch: pytest.MonkeyPatch, settings: Settings, workers: int
) -> None:
    connect, given = Database.connect, dict[str, Any]()

    async def record(url: str, **options: Any) -> Database:
        given.update(options)
        return await connect(url, **options)

    monkeypatch.setattr(Database, "connect", record)
    async with FrontdeskServer(create_app(replace(settings, workers=workers))):
        pass
    assert 2 <= given["connections"] <= POOL_CONNECTIONS + BATCH_CONNECTIONS
    assert workers * given["connections"] <= OF_ALL_WORKERS < 100  # PostgreSQL's default limit


@pytest.mark.parametrize(("workers", "each"), [(1, 14), (2, 14), (16, 10), (MAX_WORKERS, 5)])
def test_of_many_workers_on_the_bundled_database_each_has_connections_for_more_than_one_batch(
    settings: Settings, workers: int, each: int
) -> None:
    total = to_bundled(0, workers)
    assert replace(settings, workers=workers, database_connections=total).worker_connections == each
    assert total + each <= MAX_CONNECTIONS - 20  # one worker more at a renewal, commands, a superuser
    assert to_bundled(64, workers) == 64
