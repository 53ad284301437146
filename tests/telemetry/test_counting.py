"""What the service counts, and that no client can make it count without a bound."""

import asyncio
import dataclasses
import os
from typing import Any

import pytest

from server import background
from server.app import create_app
from server.background import look_at_database
from server.database.database import Database
from server.errors import Unavailable
from server.settings.settings import Settings
from server.telemetry import instruments, metrics
from server.telemetry.exposition import Exposition
from server.web.app_keys import DB
from tests.conftest import PASSWORD, Client, Letters, MakePerson, Person, in_mode, post
from tests.rows import Connection
from tests.web.test_malformed_http import raw

pytestmark = pytest.mark.usefixtures("counted")


def number(name: str, **labels: str) -> float:
    """A number that is shown; 0 when it is not."""
    text = Exposition(lambda: [("p", os.getpid(), instruments.row_in_use())]).text()[0].decode()
    shown = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    line = f"frontdesk_{name}{{{shown}}}" if shown else f"frontdesk_{name}"
    return next((float(each.rsplit(" ", 1)[1]) for each in text.splitlines() if each.startswith(f"{line} ")), 0.0)


async def test_requests_are_counted_by_method_template_and_status(anna: Person) -> None:
    for user_id in (anna.id, anna.id + 1, anna.id + 2):
        await anna.get(f"/auth/users/{user_id}/")
    route = {"method": "GET", "route": "/auth/users/{id}/"}
    assert number("http_requests_total", **route, status="200") == 1
    assert number("http_requests_total", **route, status="404") == 2
    assert number("http_request_duration_seconds_count", **route) == 3


async def test_nothing_that_a_client_chooses_becomes_a_label(client: Client) -> None:
    async def ask_for(word: str) -> None:
        for method in ("GET", "POST", "PROPFIND", "TRACE"):
            for path in (f"/{word}", f"/auth/users/{word}", f"/activate/{word}/{word}", f"/auth/sessions/{word}/"):
                await client.request(method, path, headers={"Host": "x", "User-Agent": word})
        await post(client, "/auth/jwt/create/", username=word, password=word)
        await raw(client, f"{word} /{word} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())

    await ask_for("first")
    before = len([*instruments.row_in_use().entries()])
    await ask_for("second")
    assert len([*instruments.row_in_use().entries()]) == before
    assert number("http_requests_total", method="other", route="malformed", status="404") == 2
    assert number("http_requests_total", method="other", route="unknown", status="404") > 0
    assert number("http_requests_total", method="PROPFIND", route="unknown", status="404") == 0


async def test_sign_ins_are_counted_by_result(
    make_person: MakePerson, client: Client, database: Connection, settings: Settings
) -> None:
    anna = await make_person("anna")
    account = {"username": "anna", "password": PASSWORD}
    assert (await post(client, "/auth/token/login/", **account))[0] == 200
    await post(client, "/auth/jwt/create/", username="nobody", password=PASSWORD)
    await anna.post("/auth/users/set_password/", {"current_password": "wrong", "new_password": PASSWORD})
    for _ in range(11):
        status, _ = await post(client, "/auth/jwt/create/", username="boris", password="wrong")
    assert status == 429
    database.execute("update users set is_active = false")
    await post(client, "/auth/jwt/create/", **account)
    results = ("success", "unknown_name", "wrong_password", "limited", "refused")
    found = {result: number("sign_ins_total", result=result) for result in results}
    assert found == {"success": 2, "unknown_name": 11, "wrong_password": 0, "limited": 1, "refused": 1}
    assert number("limits_met_total", limit="account") == 1


async def test_sessions_are_counted_when_they_open_and_by_what_ends_them(anna: Person, database: Connection) -> None:
    second, third, fourth = [await anna.sign_in() for _ in range(3)]
    await second.post("/auth/jwt/blacklist/", {"refresh": second.tokens["refresh"]})
    await third.post("/auth/token/logout/")
    await fourth.delete("/auth/sessions/")
    fifth = await fourth.sign_in()
    await fifth.post("/auth/users/set_password/", {"current_password": PASSWORD, "new_password": "another good one"})
    assert number("sessions_opened_total") == 5
    causes = ("signed_out", "listed", "password", "replayed", "expired")
    found = {cause: number("sessions_ended_total", cause=cause) for cause in causes}
    assert found == {"signed_out": 2, "listed": 1, "password": 1, "replayed": 0, "expired": 0}
    assert database.execute("select count(*) as n from sessions").fetchone() == {"n": 1}


async def test_statements_and_batches_are_counted_by_the_file_of_the_statement(anna: Person) -> None:
    await anna.get("/auth/users/me/")
    assert number("batch_rows_count", statement="sessions/identify") == 1
    assert number("batch_rows_sum", statement="sessions/identify") == 1
    assert number("batch_wait_seconds_count", statement="sessions/identify") == 1
    assert number("statement_duration_seconds_count", statement="sessions/identify") == 1
    assert number("statement_duration_seconds_count", statement="sessions/open") == 1
    assert number("database_connection_wait_seconds_count") > 3


@in_mode("activation")
async def test_letters_are_counted_in_the_database_and_by_what_becomes_of_them(
    client: Client, database: Connection, letters: Letters
) -> None:
    db = client.app[DB]
    await post(client, "/auth/users/", username="anna", password=PASSWORD, email="anna@example.com")
    database.execute("update letters set queued_at = now() - interval '1 hour'")
    database.execute("insert into letters (kind, given_up_at) values ('confirmation', now())")
    await look_at_database(db)
    assert (number("letters_waiting"), number("letters_given_up")) == (1, 1)
    assert 3600 <= number("letters_oldest_seconds") < 3700
    await letters()
    await look_at_database(db)
    assert (number("letters_waiting"), number("letters_oldest_seconds")) == (0, 0)
    assert number("letters_total", result="sent") == 1
    assert number("database_reachable") == 1


async def test_letters_are_not_known_while_the_database_is_unavailable(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = client.app[DB]
    await look_at_database(db)

    async def fail(*arguments: Any) -> Any:
        raise Unavailable

    monkeypatch.setattr(db, "row", fail)
    await look_at_database(db)
    text = Exposition(lambda: [("p", os.getpid(), instruments.row_in_use())]).text()[0].decode()
    assert "frontdesk_database_reachable 0.0\n" in text
    assert "\nfrontdesk_letters_waiting" not in text


@pytest.mark.breaks_the_service
async def test_failures_of_the_database_are_counted_by_cause(client: Client, database: Connection) -> None:
    db: Database = client.app[DB]
    for code, cause in (("53100", "disk_full"), ("55P03", "timeout"), ("57P03", "unavailable")):
        with pytest.raises(Unavailable):
            async with db.transaction() as transaction:
                await transaction.connection.execute(f"do $$ begin raise 'x' using errcode = '{code}'; end $$")
        assert number("database_failures_total", cause=cause) == 1


async def test_connections_and_the_event_loop_are_watched(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    db: Database = client.app[DB]
    monkeypatch.setattr(background, "WATCH_LOOP_SECONDS", 0.0)
    async with db.transaction(), asyncio.timeout(20):
        watching = asyncio.create_task(background.watch_event_loop(db))
        while metrics.EVENT_LOOP_LAG.count() < 2:
            await asyncio.sleep(0)
        watching.cancel()
    assert number("database_connections", use="statements", state="in_use") >= 1  # a task may have another one
    assert number("database_connections_limit", use="statements") == 10


@pytest.mark.parametrize("on", [True, False])
async def test_the_service_is_watched_only_when_the_metrics_are_shown(
    settings: Settings, database: Connection, on: bool
) -> None:
    watched = create_app(dataclasses.replace(settings, metrics="127.0.0.1:0" if on else ""))
    plain = create_app(settings)
    assert len(watched.cleanup_ctx) - len(plain.cleanup_ctx) == (2 if on else 0)
