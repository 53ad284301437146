"""Notes of use and long refresh tokens; notes that are about another account (security 24)."""

import asyncio

import pytest
from aiohttp.test_utils import TestClient

from server.app import create_app
from server.auth import session_uses
from server.settings.settings import Settings
from server.web.app_keys import DB, SESSION_USES
from tests.conftest import FrontdeskServer, Person, in_mode
from tests.jwts import with_token
from tests.rows import Connection, only_row

DAY = 86400


async def write(person: Person) -> None:
    """Write the uses that the service has noted."""
    await person.client.app[SESSION_USES].write(person.client.app[DB])


@in_mode("default", session_idle_lifetime=600, refresh_lifetime=40 * DAY)
async def test_without_rotation_session_lifetime_does_not_end_a_session_that_is_used(
    anna: Person, database: Connection
) -> None:
    old = "now() - interval '35 days'"
    database.execute(f"update sessions set opened_at = {old}, last_used_at = now() - interval '5 minutes'")
    assert (await anna.get("/auth/users/me/"))[0] == 200
    await write(anna)
    row = only_row(database, "select extract(epoch from expires_at - last_used_at)::float as lifetime from sessions")
    assert row["lifetime"] == 600


async def test_the_service_writes_notes_while_it_runs(
    anna: Person, settings: Settings, database: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_uses, "WRITE_SECONDS", 0.01)
    database.execute("update sessions set last_used_at = now() - interval '1 hour'")
    async with TestClient(FrontdeskServer(create_app(settings))) as client, asyncio.timeout(10):
        assert (await with_token(client, anna.tokens["access"]))[0] == 200
        while only_row(database, "select last_used_at < now() - interval '1 minute' as is_old from sessions")["is_old"]:
            await asyncio.sleep(0.001)


async def test_a_note_of_a_session_with_another_account_changes_nothing(anna: Person, database: Connection) -> None:
    await write(anna)
    row = only_row(database, "update sessions set last_used_at = now() - interval '1 hour' returning id, xmin::text")
    anna.client.app[SESSION_USES].note(row["id"], anna.id + 1)
    await write(anna)
    assert only_row(database, "select id, xmin::text from sessions") == row
