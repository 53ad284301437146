"""Events: each act on an account is a row in the transaction of the act, and a log line after it."""

import logging
from typing import Any

import pytest

from tests.conftest import PASSWORD, Client, MakePerson, Person, post
from tests.rows import Connection


def recorded(database: Connection) -> list[tuple[Any, ...]]:
    """Kind, account, actor and details of each event, the oldest first."""
    rows = database.execute("select kind, user_id, actor_id, details from events order by id").fetchall()
    return [tuple(row.values()) for row in rows]


async def test_a_sign_in_is_recorded_with_the_account_that_acts(anna: Person, database: Connection) -> None:
    assert recorded(database)[-1] == ("signed_in", anna.id, anna.id, {"by": "session"})


async def test_a_refused_sign_in_is_recorded_with_its_reason(
    client: Client, anna: Person, database: Connection
) -> None:
    before = len(recorded(database))
    await post(client, "/auth/jwt/create/", username="anna", password="wrong")
    await post(client, "/auth/token/login/", username="unknown", password=PASSWORD)
    assert recorded(database)[before:] == [
        ("sign_in_refused", anna.id, None, {"reason": "wrong password"}),
        ("sign_in_refused", None, None, {"reason": "unknown name"}),
    ]


async def test_what_was_typed_is_in_no_row_and_no_log_line(
    client: Client, anna: Person, database: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        await post(client, "/auth/jwt/create/", username="my secret by mistake", password="another secret")
    events = str(database.execute("select * from events").fetchall())
    assert "secret" not in events + caplog.text + str([record.__dict__ for record in caplog.records])


async def test_an_event_of_an_act_that_is_rolled_back_is_neither_row_nor_line(
    client: Client, anna: Person, database: Connection, caplog: pytest.LogCaptureFixture
) -> None:
    database.execute("create function refuse() returns trigger language plpgsql as 'begin raise exception ''no''; end'")
    database.execute(
        "create constraint trigger refuse after insert on sessions deferrable initially deferred"
        " for each row execute function refuse()"
    )
    try:
        with caplog.at_level(logging.INFO):
            status, _ = await post(client, "/auth/jwt/create/", username="anna", password=PASSWORD)
    finally:
        database.execute("drop function refuse() cascade")
    assert status == 500
    assert recorded(database)[-1] == ("signed_in", anna.id, anna.id, {"by": "session"})  # of the fixture
    assert [record for record in caplog.records if record.name == "server.accounts.events"] == []


async def test_an_event_carries_address_program_and_request_id(
    client: Client, anna: Person, database: Connection
) -> None:
    body = {"username": "anna", "password": PASSWORD}
    headers = {"User-Agent": "curl/8.5", "X-Request-ID": "r-17"}
    async with client.post("/auth/jwt/create/", json=body, headers=headers) as response:
        assert response.status == 200
    query = "select host(address) as address, device, request_id from events order by id desc limit 1"
    row = database.execute(query).fetchone()
    assert row == {"address": "127.0.0.1", "device": "curl/8.5", "request_id": "r-17"}


async def test_after_the_deletion_of_an_account_its_events_name_no_person(
    make_person: MakePerson, database: Connection
) -> None:
    dora = await make_person("dora")
    status, _ = await dora.delete("/auth/users/me/", {"current_password": PASSWORD})
    assert status == 204
    query = "select host(address) as address, device, request_id, details from events where user_id = %s"
    for row in database.execute(query, [dora.id]).fetchall():
        assert row == {"address": None, "device": "", "request_id": "", "details": None}
