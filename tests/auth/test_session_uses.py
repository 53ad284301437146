"""Uses of sessions are remembered without a statement, and written many at once (security 18, 24)."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from aiohttp.test_utils import TestClient

from server.app import create_app
from server.auth import session_uses
from server.auth.session_uses import SessionUses
from server.database.database import Database
from server.errors import Unavailable
from server.settings.settings import Settings
from server.web.app_keys import DB, SESSION_USES
from tests.conftest import FrontdeskServer, Person, in_mode, post
from tests.jwts import ENDED, refused
from tests.rows import Connection, only_row

IDLE = in_mode("default", session_idle_lifetime=600)
LATE = "extract(epoch from now() - last_used_at) as late"


@pytest.fixture
async def db(database_url: str, database: Connection) -> AsyncIterator[Database]:
    connected = await Database.connect(database_url)
    yield connected
    await connected.close()


def age(database: Connection, seconds: int) -> None:
    """Let every session have been opened and used so many seconds ago."""
    database.execute(
        "update sessions set last_used_at = now() - make_interval(secs => %(age)s),"
        " opened_at = now() - make_interval(secs => %(age)s)",
        {"age": seconds},
    )


async def write(person: Person) -> None:
    """Write the uses that the service has noted."""
    await person.client.app[SESSION_USES].write(person.client.app[DB])


def late(database: Connection) -> float:
    """Seconds since the one session was used last, as its row says."""
    return float(only_row(database, f"select {LATE} from sessions")["late"])


@pytest.mark.parametrize("use", ["access", "refresh"])
async def test_a_use_is_noted_without_a_statement_and_written_later(
    anna: Person, database: Connection, use: str
) -> None:
    age(database, 1000)
    before = only_row(database, "select xmin::text, * from sessions")
    for _ in range(3):
        if use == "access":
            assert (await anna.get("/auth/users/me/"))[0] == 200
        else:
            assert (await post(anna.client, "/auth/jwt/refresh/", refresh=anna.tokens["refresh"]))[0] == 200
    assert only_row(database, "select xmin::text, * from sessions") == before
    await write(anna)
    assert late(database) < 60
    assert only_row(database, "select expires_at from sessions")["expires_at"] == before["expires_at"]


async def test_a_session_that_is_not_used_is_not_noted(anna: Person, database: Connection) -> None:
    await write(anna)
    age(database, 1000)
    assert (await anna.client.get("/auth/users/me/")).status == 401
    await write(anna)
    assert late(database) >= 1000


async def test_a_row_noted_a_moment_ago_is_not_written_again(anna: Person, database: Connection) -> None:
    before = only_row(database, "select xmin::text from sessions")
    await anna.get("/auth/users/me/")
    await write(anna)
    assert only_row(database, "select xmin::text from sessions") == before


async def test_a_use_of_a_session_by_another_account_is_not_written(anna: Person, database: Connection) -> None:
    await write(anna)
    age(database, 1000)
    session_id = only_row(database, "select id from sessions")["id"]
    anna.client.app[SESSION_USES].note(session_id, anna.id + 1)
    await write(anna)
    assert late(database) >= 1000


@IDLE
async def test_a_write_never_revives_a_session_that_has_ended(anna: Person, database: Connection) -> None:
    await anna.get("/auth/users/me/")
    age(database, 1000)
    database.execute("update sessions set expires_at = now()")
    await write(anna)
    assert await anna.get("/auth/users/me/") == refused(ENDED)


async def test_a_write_waits_for_no_lock(anna: Person, database: Connection, database_url: str) -> None:
    age(database, 1000)
    await anna.get("/auth/users/me/")
    with psycopg.connect(database_url) as other:
        other.execute("select from sessions for update")
        async with asyncio.timeout(4):  # lock_timeout is 5 s
            await write(anna)
    assert late(database) >= 1000


async def test_a_note_of_use_changes_no_index(anna: Person, database: Connection) -> None:
    query = "select n_tup_upd as written, n_tup_hot_upd as hot from pg_stat_user_tables where relname = 'sessions'"
    age(database, 1000)
    await anna.get("/auth/users/me/")
    before = await counted(database, query, at_least=0)
    await write(anna)
    after = await counted(database, query, at_least=before["written"] + 1)
    assert after["hot"] - before["hot"] == after["written"] - before["written"] == 1


async def counted(database: Connection, query: str, *, at_least: int) -> dict[str, Any]:
    """The counters of a table; PostgreSQL counts a moment after the commit."""
    async with asyncio.timeout(10):
        while True:
            database.execute("select pg_stat_clear_snapshot(), pg_stat_force_next_flush()")
            row = only_row(database, query)
            if row["written"] >= at_least:
                return row
            await asyncio.sleep(0.01)


@IDLE
async def test_a_session_that_is_not_used_ends(anna: Person, database: Connection) -> None:
    row = only_row(database, "select extract(epoch from expires_at - opened_at)::float as lifetime from sessions")
    assert row["lifetime"] == 600
    database.execute("update sessions set expires_at = expires_at - interval '600 s'")
    assert await anna.get("/auth/users/me/") == refused(ENDED)


@IDLE
async def test_a_session_that_is_used_does_not_end_by_idleness(anna: Person, database: Connection) -> None:
    age(database, 500)
    database.execute("update sessions set expires_at = now() + interval '100 s'")
    await anna.get("/auth/users/me/")
    await write(anna)
    row = only_row(database, "select extract(epoch from expires_at - last_used_at)::float as lifetime from sessions")
    assert row["lifetime"] == 600


@IDLE
async def test_use_does_not_keep_a_session_beyond_its_refresh_token(anna: Person, database: Connection) -> None:
    age(database, 86400 - 100)
    await anna.get("/auth/users/me/")
    await write(anna)
    row = only_row(database, "select extract(epoch from expires_at - now())::float as left from sessions")
    assert 0 < row["left"] <= 100


@in_mode("default", session_idle_lifetime=600, refresh_rotation=True)
async def test_with_rotation_use_keeps_a_session_until_its_absolute_end(
    anna: Person, database: Connection, settings: Settings
) -> None:
    age(database, settings.session_lifetime - 300)
    _, body = await post(anna.client, "/auth/jwt/refresh/", refresh=anna.tokens["refresh"])
    row = only_row(database, "select extract(epoch from expires_at - now())::float as left from sessions")
    assert 0 < row["left"] <= 300
    age(database, settings.session_lifetime - 200)
    database.execute("update sessions set rotated_at = now() - interval '1 minute'")
    await anna.get("/auth/users/me/")
    await write(anna)
    row = only_row(database, "select extract(epoch from expires_at - now())::float as left from sessions")
    assert 0 < row["left"] <= 200
    assert body["refresh"]


async def test_what_could_not_be_written_is_written_the_next_time(
    anna: Person, database: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    age(database, 1000)
    await anna.get("/auth/users/me/")

    async def fail(*arguments: Any) -> Any:
        raise Unavailable

    with monkeypatch.context() as broken:
        broken.setattr(Database, "rows", fail)
        with pytest.raises(Unavailable):
            await write(anna)
    await write(anna)
    assert late(database) < 60


async def test_a_stop_writes_what_was_noted(settings: Settings, anna: Person, database: Connection) -> None:
    await write(anna)
    age(database, 1000)
    async with TestClient(FrontdeskServer(create_app(settings))) as other:
        async with other.get("/auth/users/me/", headers=anna.header) as response:
            assert response.status == 200
        assert late(database) >= 1000
    assert late(database) < 60


async def test_a_stop_does_not_wait_long_for_the_last_write(
    settings: Settings, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(*arguments: Any) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(session_uses, "LAST_WRITE_SECONDS", 0.01)
    monkeypatch.setattr(Database, "rows", hang)
    uses = SessionUses(settings)
    uses.note(UUID(int=1), 1)
    async with asyncio.timeout(5):
        await uses.write_last(db)


async def test_what_waits_is_bounded_and_then_written_at_once(
    settings: Settings, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []

    async def write_rows(self: Database, name: str, session_ids: Any, *rest: Any) -> Any:
        written.append(len(session_ids))
        return []

    monkeypatch.setattr(session_uses, "MAX_WAITING", 5)
    monkeypatch.setattr(session_uses, "WRITE_ROWS", 2)
    monkeypatch.setattr(Database, "rows", write_rows)
    monkeypatch.setattr(random, "random", lambda: 0.0)
    uses = SessionUses(settings)
    uses.note(UUID(int=8), 1)
    writing = asyncio.create_task(uses.run(db))
    async with asyncio.timeout(5):  # WRITE_SECONDS is 60
        while not written:  # the first write, which waits for no number
            await asyncio.sleep(0)
        for number in range(8):
            uses.note(UUID(int=number), 1)
        while sum(written) < 6:
            await asyncio.sleep(0)
    assert written == [1, 2, 2, 1]
    writing.cancel()


@pytest.mark.parametrize(("failure", "level"), [(Unavailable(), "WARNING"), (ValueError("unexpected"), "ERROR")])
async def test_the_writes_go_on_after_a_failure_and_log_it(
    settings: Settings,
    db: Database,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    failure: Exception,
    level: str,
) -> None:
    failures, written = [failure], asyncio.Event()

    async def fail_once(self: Database, name: str, *rest: Any) -> Any:
        if failures:
            raise failures.pop()
        written.set()
        return []

    monkeypatch.setattr(session_uses, "WRITE_SECONDS", 0.001)
    monkeypatch.setattr(Database, "rows", fail_once)
    uses = SessionUses(settings)
    uses.note(UUID(int=1), 1)
    with caplog.at_level(logging.WARNING):
        writing = asyncio.create_task(uses.run(db))
        async with asyncio.timeout(5):
            await written.wait()
        writing.cancel()
    assert [record.levelname for record in caplog.records if record.name == session_uses.__name__] == [level]


async def test_processes_do_not_write_together(
    settings: Settings, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio, "sleep", sleep)
    for _ in range(30):
        writing = asyncio.ensure_future(SessionUses(settings).run(db))
        writing.add_done_callback(lambda _: None)
    while len(pauses) < 30:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        loop.call_soon(done.set_result, None)
        await done
    assert max(pauses) - min(pauses) > session_uses.WRITE_SECONDS / 4
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()


async def test_the_last_statement_of_a_release_before_opens_a_session(anna: Person, database: Connection) -> None:
    database.execute("delete from sessions")
    database.execute("insert into sessions (user_id, expires_at) values (%s, now() + interval '1 day')", [anna.id])
    row = only_row(
        database, "select address, device, rotation, rotated_at, opened_at = last_used_at as is_new from sessions"
    )
    assert row == {"address": None, "device": "", "rotation": 0, "rotated_at": None, "is_new": True}
