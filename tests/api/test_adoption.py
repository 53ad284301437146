"""A refresh token of the site that accounts were imported from opens one session (ADOPT_SIMPLEJWT, security 46)."""

import asyncio
import dataclasses
import json
import time
import uuid
from typing import Any

import jwt
import psycopg
import pytest

from server.accounts import adoption
from server.background import SWEEP_STATEMENTS
from server.settings.faults import SettingsError
from server.settings.settings import Settings
from server.web.app_keys import DB
from tests.conftest import KEY, PASSWORD, Client, Person, in_mode, post
from tests.jwts import ENDED, INVALID, not_valid, refused, sign_bytes, with_token
from tests.locks import until_blocked
from tests.rows import Connection, count, only_row
from tests.transfer.recorded_sites import OLD_KEY, held_by

ADOPTING: dict[str, Any] = {"adopt_simplejwt": True, "simplejwt_key": OLD_KEY}
adopting = in_mode("default", **ADOPTING)
rotating = in_mode("default", refresh_rotation=True, **ADOPTING)


@pytest.fixture
async def moved(anna: Person, database: Connection) -> Person:
    """Anna as an import makes her: without a session here."""
    database.execute("delete from sessions")
    database.execute("update users set adopts_tokens = true")
    return anna


def claims(person: Person, **changed: Any) -> dict[str, Any]:
    """The claims of a refresh token of simplejwt (contract 4.1); None leaves one out."""
    now = int(time.time())
    made = {
        **{"token_type": "refresh", "exp": now + 3600, "iat": now, "jti": uuid.uuid4().hex},
        "user_id": str(person.id),
    }
    return {name: value for name, value in (made | changed).items() if value is not None}


def old_token(person: Person, key: str = OLD_KEY, header: Any = None, **changed: Any) -> str:
    """A refresh token of the old site."""
    return jwt.encode(claims(person, **changed), key, "HS256", headers=header)


async def refresh(person: Person, token: str) -> tuple[int, Any]:
    return await post(person.client, "/auth/jwt/refresh/", refresh=token)


@adopting
async def test_a_refresh_token_of_the_old_site_opens_a_session(moved: Person, database: Connection) -> None:
    status, tokens = await refresh(moved, old_token(moved))
    assert (status, [*tokens]) == (200, ["access"])
    assert (await with_token(moved.client, tokens["access"]))[1]["username"] == "anna"
    session = only_row(database, "select id, user_id, expires_at - now() > interval '59 min' as lives from sessions")
    assert (session["user_id"], session["lives"]) == (moved.id, True)
    event = only_row(database, "select user_id, actor_id, details, address from events where kind = 'session_adopted'")
    assert event["details"] == {"session": str(session["id"])}
    assert (event["user_id"], event["actor_id"]) == (moved.id, moved.id)


@adopting
async def test_a_token_that_simplejwt_itself_made_is_adopted(
    client: Client, database: Connection, settings: Settings
) -> None:
    database.execute("insert into users (id, username, adopts_tokens) overriding system value values (1, 'old', true)")
    held = held_by("stock")[0]
    status, tokens = await post(client, "/auth/jwt/refresh/", refresh=held["refresh"])
    assert status == 200
    assert (await with_token(client, tokens["access"]))[1]["id"] == 1


@adopting
async def test_an_id_with_leading_zeros_is_the_number_that_django_reads(moved: Person, database: Connection) -> None:
    for user_id in (f"00{moved.id}", moved.id):
        assert (await refresh(moved, old_token(moved, user_id=user_id)))[0] == 200
    assert {row["user_id"] for row in database.execute("select user_id from sessions").fetchall()} == {moved.id}


@adopting
async def test_without_rotation_the_token_refreshes_its_one_session_as_front_ends_expect(
    moved: Person, database: Connection
) -> None:
    # Most front ends keep their first refresh token: a refusal of the second use would sign them out.
    token = old_token(moved)
    answers = await asyncio.gather(*(refresh(moved, token) for _ in range(10)))
    assert {status for status, _ in answers} == {200}
    assert (count(database, "sessions"), count(database, "adopted_tokens")) == (1, 1)
    assert (await post(moved.client, "/auth/jwt/verify/", token=token))[0] == 200
    assert len(database.execute("select from events where kind = 'session_adopted'").fetchall()) == 1


@rotating
async def test_a_token_that_was_verified_can_be_used_afterwards(moved: Person, database: Connection) -> None:
    # So docs/move-from-django.md checks the key.
    token = old_token(moved)
    assert await post(moved.client, "/auth/jwt/verify/", token=token) == (200, {})
    assert (await refresh(moved, token))[0] == 200
    assert count(database, "sessions") == 1


@rotating
async def test_with_rotation_a_second_use_is_refused_and_ends_the_session(moved: Person, database: Connection) -> None:
    token = old_token(moved)
    answers = await asyncio.gather(*(refresh(moved, token) for _ in range(5)))
    assert {status for status, _ in answers} == {200}
    assert len({answer["refresh"] for _, answer in answers}) == 1
    successor = answers[0][1]["refresh"]
    database.execute("update sessions set rotated_at = now() - interval '1 minute'")
    assert await refresh(moved, token) == not_valid(ENDED)
    assert await refresh(moved, successor) == not_valid(ENDED)
    assert await refresh(moved, token) == not_valid(ENDED)
    assert count(database, "sessions") == 0


@adopting
async def test_a_session_that_has_ended_is_not_opened_again(moved: Person, database: Connection) -> None:
    token = old_token(moved)
    assert (await refresh(moved, token))[0] == 200
    database.execute("delete from sessions")
    assert await refresh(moved, token) == not_valid(ENDED)
    assert count(database, "sessions") == 0


@adopting
async def test_sign_out_with_the_old_token_is_final(moved: Person, database: Connection) -> None:
    token = old_token(moved)
    assert (await post(moved.client, "/auth/jwt/blacklist/", refresh=token))[0] == 200
    assert await refresh(moved, token) == not_valid(ENDED)
    assert await post(moved.client, "/auth/jwt/blacklist/", refresh=token) == not_valid(ENDED)
    assert count(database, "sessions") == 0


@adopting
async def test_a_token_that_was_revoked_there_is_refused(moved: Person, database: Connection) -> None:
    database.execute("insert into adopted_tokens values ('revoked', now() + interval '1 day')")
    assert await refresh(moved, old_token(moved, jti="revoked")) == not_valid(ENDED)


ENDINGS = {
    "a change of the password": (
        "/auth/users/set_password/",
        {"current_password": PASSWORD, "new_password": "other horse 12"},
    ),
    "the end of all other sessions": ("/auth/sessions/", None),
}


@adopting
@pytest.mark.parametrize("what", ENDINGS)
async def test_what_ends_other_sessions_ends_tokens_that_were_not_used_yet(
    moved: Person, database: Connection, what: str
) -> None:
    path, body = ENDINGS[what]
    person, unused = await moved.sign_in(), old_token(moved)
    assert (await person.post(path, body) if body else await person.delete(path))[0] == 204
    assert await refresh(moved, unused) == not_valid(ENDED)


@adopting
async def test_deactivation_ends_them_for_good(moved: Person, database: Connection) -> None:
    token = old_token(moved)
    database.execute("update users set is_active = false")
    assert await refresh(moved, token) == not_valid(ENDED)
    database.execute("update users set adopts_tokens = true")  # as psql may; an inactive account opens no session
    assert await refresh(moved, token) == not_valid(ENDED)
    assert count(database, "adopted_tokens") == 0
    database.execute("update users set adopts_tokens = false, is_active = true")
    assert await refresh(moved, token) == not_valid(ENDED)


@adopting
async def test_an_account_that_was_not_imported_adopts_nothing(anna: Person) -> None:
    # It may have the id of another person on the old site.
    assert await refresh(anna, old_token(anna)) == not_valid(ENDED)
    assert await refresh(anna, old_token(anna, user_id="999999")) == not_valid(ENDED)


@adopting
async def test_a_password_that_changes_meanwhile_ends_the_session_that_is_being_opened(
    moved: Person, database: Connection, database_url: str
) -> None:
    with psycopg.connect(database_url) as other:
        other.execute("update users set adopts_tokens = false")
        adopted = asyncio.ensure_future(refresh(moved, old_token(moved)))
        await until_blocked(adopted, database)
        other.commit()
    assert await adopted == not_valid(ENDED)


@adopting
async def test_closing_waits_for_a_token_that_is_being_adopted(
    moved: Person, database: Connection, database_url: str
) -> None:
    async def end() -> None:
        async with moved.client.app[DB].transaction() as transaction:
            await adoption.close(transaction, moved.id)
            await transaction.rows("sessions/end_others", moved.id, None)

    with psycopg.connect(database_url) as other:
        other.execute("select from users for share")
        ending = asyncio.ensure_future(end())
        await until_blocked(ending, database)
        other.execute("insert into sessions (user_id, expires_at) select id, now() + interval '1 day' from users")
        other.commit()
    await ending
    assert count(database, "sessions") == 0


def each(message: str, claim: str, *values: Any) -> list[tuple[str, dict[str, Any]]]:
    """A case for each value of a claim."""
    return [(message, {claim: value}) for value in values]


@adopting
@pytest.mark.parametrize(
    ("message", "changed"),
    [
        *each("Token is expired", "exp", 1_000_000_000, 1_000_000_000.5),
        *each("Token has no 'exp' claim", "exp", None),
        *each("Token has no id", "jti", None),
        *each("Token has wrong type", "token_type", None, "access", "sliding", ["refresh"], "Refresh", 1),
        *each("Token contained no recognizable user identification", "user_id", None),
        *each(INVALID, "key", "another key of more than 32 bytes in length", KEY),
        *each(INVALID, "exp", "soon", [], True, 10**400, time.time() + 11 * 365 * 86400, 10**14),
        *each(INVALID, "iat", "soon", [], True, None, 10**400, time.time() + 3600),
        *each(INVALID, "nbf", 4_000_000_000, "soon"),
        *each(INVALID, "jti", "", 1, True, [], {}, "x" * 256, "a\0b", "a\nb"),
        *each(INVALID, "user_id", "x", "", 1.5, True, [], "-1", "٣", "9" * 5000, 2**63, str(uuid.uuid4())),
        *each(INVALID, "sid", str(uuid.uuid4()), "", 0),
        *each(INVALID, "header", {"crit": ["x"], "x": 1}, {"b64": False, "crit": ["b64"]}),
    ],
)
async def test_a_forged_token_of_the_old_site_opens_no_session(
    moved: Person, database: Connection, message: str, changed: dict[str, Any]
) -> None:
    token = old_token(moved, **changed)
    for path, name in (("refresh", "refresh"), ("blacklist", "refresh"), ("verify", "token")):
        assert await post(moved.client, f"/auth/jwt/{path}/", **{name: token}) == not_valid(message), path
    assert (count(database, "sessions"), count(database, "adopted_tokens")) == (0, 0)


@adopting
@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "", None, "HS384", "HS512", "RS256", ["HS256"], "hs256"])
async def test_any_algorithm_but_hs256_is_refused(moved: Person, database: Connection, algorithm: Any) -> None:
    payload = json.dumps(claims(moved)).encode()
    digest = "sha384" if algorithm == "HS384" else "sha512" if algorithm == "HS512" else "sha256"
    token = sign_bytes({"alg": algorithm, "typ": "JWT"}, payload, key=OLD_KEY, digest=digest)
    for text in (token, token.rpartition(".")[0] + "."):
        assert await refresh(moved, text) == not_valid(INVALID)
    assert count(database, "sessions") == 0


@adopting
@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e400", "[" * 2000, "9" * 1500])
async def test_hostile_json_is_refused(moved: Person, word: str) -> None:
    payload = json.dumps(claims(moved) | {"exp": "@"}).replace('"@"', word)
    assert await refresh(moved, sign_bytes({"alg": "HS256"}, payload.encode(), key=OLD_KEY)) == not_valid(INVALID)


@adopting
async def test_no_route_takes_a_token_of_the_old_site_as_a_bearer(moved: Person) -> None:
    for kind in ("access", "refresh"):
        assert await with_token(moved.client, old_token(moved, token_type=kind)) == refused(INVALID)
    # Nor one with the claims of ours: the old site signs nothing here.
    forged = old_token(moved, token_type="access", sid=str(uuid.uuid4()))
    assert await with_token(moved.client, forged) == refused(INVALID)


@in_mode("default", simplejwt_key=OLD_KEY)
async def test_without_the_setting_nothing_is_adopted(moved: Person, database: Connection) -> None:
    assert await refresh(moved, old_token(moved)) == not_valid(INVALID)
    assert count(database, "sessions") == 0


@in_mode("default", refresh_lifetime=60, **ADOPTING)
async def test_the_session_lives_no_longer_than_others(moved: Person, database: Connection) -> None:
    assert (await refresh(moved, old_token(moved)))[0] == 200
    assert only_row(database, "select expires_at < now() + interval '61 s' as ends from sessions")["ends"]


@in_mode("default", sessions_per_account=2, **ADOPTING)
async def test_an_adopted_session_counts_among_those_of_its_account(moved: Person, database: Connection) -> None:
    for _ in range(3):
        assert (await refresh(moved, old_token(moved)))[0] == 200
    assert count(database, "sessions") == 2


@adopting
async def test_ids_of_tokens_are_kept_a_day_longer_than_the_tokens(moved: Person, database: Connection) -> None:
    assert "adopted_tokens/sweep" in SWEEP_STATEMENTS
    for jti, hours in (("old", -25), ("late", -23), ("living", 1)):
        database.execute("insert into adopted_tokens values (%s, now() + make_interval(hours => %s))", [jti, hours])
    rows = await moved.client.app[DB].rows("adopted_tokens/sweep", 10)
    assert [row["jti"] for row in rows] == ["old"]


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"ADOPT_SIMPLEJWT": "true"}, "SIMPLEJWT_KEY is required with ADOPT_SIMPLEJWT"),
        ({"SIMPLEJWT_KEY": KEY}, "SIMPLEJWT_KEY is also in SIGNING_KEY"),
        ({"SIMPLEJWT_KEY": OLD_KEY, "VERIFYING_KEYS": OLD_KEY}, "SIMPLEJWT_KEY is also in VERIFYING_KEYS"),
        ({"SIMPLEJWT_KEY": "short"}, "SIMPLEJWT_KEY"),
    ],
)
def test_settings_that_open_a_door_stop_the_start(given: dict[str, str], fault: str) -> None:
    with pytest.raises(SettingsError) as raised:
        Settings.read({"SIGNING_KEY": KEY, **given})
    (text,) = raised.value.faults
    assert text.startswith(fault)


def test_the_key_of_the_old_site_is_not_shown(settings: Settings) -> None:
    switched = dataclasses.replace(settings, **ADOPTING)
    assert OLD_KEY not in repr(switched)
    assert OLD_KEY not in str(switched.shown())
