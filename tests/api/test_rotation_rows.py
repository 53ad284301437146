"""What a refresh with rotation writes into the row of its session (security 18, 19, 24)."""

from typing import Any

import pytest

from tests.conftest import Person, in_mode, post
from tests.rows import Connection, only_row

ROTATION = in_mode("default", refresh_rotation=True)
IDLE = in_mode("default", refresh_rotation=True, session_idle_lifetime=600)


async def refresh(person: Person) -> dict[str, Any]:
    """Send the first refresh token of an account's session: the response."""
    status, body = await post(person.client, "/auth/jwt/refresh/", refresh=person.tokens["refresh"])
    assert status == 200
    return dict(body)


def seconds(database: Connection, interval: str) -> float:
    """An interval in the row of the one session, in seconds."""
    (value,) = only_row(database, f"select extract(epoch from {interval})::float from sessions").values()
    return float(value)


@ROTATION
@pytest.mark.parametrize("is_asked_again", [False, True])
async def test_a_refresh_is_a_use_of_its_session(anna: Person, database: Connection, is_asked_again: bool) -> None:
    if is_asked_again:
        await refresh(anna)
    database.execute("update sessions set last_used_at = now() - interval '1000 s'")
    await refresh(anna)
    assert seconds(database, "now() - last_used_at") < 60


@ROTATION
async def test_the_end_of_a_session_moves_with_each_rotation(anna: Person, database: Connection) -> None:
    database.execute("update sessions set expires_at = now() + interval '1 minute'")
    await refresh(anna)
    assert seconds(database, "expires_at - rotated_at") == 86400


@IDLE
async def test_with_an_idle_end_a_rotated_session_ends_when_it_is_not_used(anna: Person, database: Connection) -> None:
    await refresh(anna)
    assert seconds(database, "expires_at - rotated_at") == 600
