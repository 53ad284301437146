"""What runs beside the service goes on, whatever happens to one round of it."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from server import app
from server.errors import Unavailable
from server.postgres import bundled
from tests.conftest import Connection


class Rounds:
    """Lets a loop go round without waiting, until it has done so `wanted` times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, wanted: int) -> None:
        self.left = wanted
        self._sleep = asyncio.sleep
        monkeypatch.setattr(asyncio, "sleep", self.sleep)

    async def sleep(self, seconds: float) -> None:
        if self.left == 0:
            raise asyncio.CancelledError
        self.left -= 1
        await self._sleep(0)


@pytest.mark.parametrize("failure", [Unavailable(), ValueError("odd")])
async def test_the_sweep_outlives_whatever_goes_wrong(monkeypatch: pytest.MonkeyPatch, failure: Exception) -> None:
    swept: list[str] = []

    async def rows(name: str, limit: int) -> Any:
        swept.append(name)
        if len(swept) == 1:
            raise failure
        return []

    Rounds(monkeypatch, 2)
    with pytest.raises(asyncio.CancelledError):
        await app._sweep(SimpleNamespace(rows=rows))  # type: ignore[arg-type]
    assert swept == ["sessions/sweep", "sessions/sweep", "one_time_tokens/sweep"]


async def test_a_sweep_goes_on_until_little_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"sessions/sweep": [app.SWEEP_ROWS, app.SWEEP_ROWS, 1], "one_time_tokens/sweep": [0]}
    asked: list[str] = []

    async def rows(name: str, limit: int) -> Any:
        asked.append(name)
        assert limit == app.SWEEP_ROWS
        return [None] * found[name].pop(0)

    Rounds(monkeypatch, 1)
    with pytest.raises(asyncio.CancelledError):
        await app._sweep(SimpleNamespace(rows=rows))  # type: ignore[arg-type]
    assert asked == ["sessions/sweep"] * 3 + ["one_time_tokens/sweep"]


@pytest.mark.parametrize("failure", [bundled.BundledPostgresError("no room"), ValueError("odd")])
async def test_the_reviver_outlives_whatever_goes_wrong(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, failure: Exception
) -> None:
    db = SimpleNamespace(lost=asyncio.Event())
    tries: list[int] = []

    def revive() -> bool:
        tries.append(1)
        if len(tries) == 1:
            db.lost.set()
            raise failure
        return True

    Rounds(monkeypatch, 1)
    db.lost.set()
    with pytest.raises(asyncio.CancelledError):
        await app._revive(revive, db)  # type: ignore[arg-type]
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


async def test_what_expired_is_swept_while_the_service_serves(
    monkeypatch: pytest.MonkeyPatch, settings: Any, database: Connection
) -> None:
    monkeypatch.setattr(app, "SWEEP_SECONDS", 0.01)
    database.execute("insert into users (username) values ('anna')")
    database.execute(
        "insert into sessions (user_id, expires_at)"
        " select id, now() + gone * interval '1 minute' from users, (values (-1), (1)) as times (gone)"
    )
    serving = app.runner(app.create_app(settings))
    await serving.setup()
    try:
        async with asyncio.timeout(10):
            while len(left := database.execute("select expires_at > now() as lives from sessions").fetchall()) > 1:
                await asyncio.sleep(0)
    finally:
        await serving.cleanup()
    assert left == [{"lives": True}]
