"""Events: each act on an account is a row in the transaction of the act, and a log line after it."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from server.accounts.events import EVENT_KINDS
from server.mail.letters import EMAIL_CHANGE, PASSWORD_RESET
from server.telemetry.logs import JsonLines, TextLines
from server.web.app_keys import DB
from tests.conftest import PASSWORD, Client, Letters, MakePerson, Person, in_mode, post
from tests.links import activated, asked_by, confirm, link
from tests.rows import Connection

ROOT = Path(__file__).parent.parent.parent


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


@pytest.mark.breaks_the_service
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


NEW = "staple gun theory"


async def test_each_act_of_an_owner_is_recorded(anna: Person, database: Connection) -> None:
    before = len(recorded(database))
    proof = {"current_password": PASSWORD}
    await anna.post("/auth/users/set_username/", proof | {"new_username": "anne"})
    await anna.patch("/auth/users/me/", {"email": "anne@example.com"})
    await anna.patch("/auth/users/me/", {"email": "ANNE@example.com"})  # another spelling is no change
    await anna.post("/auth/users/set_password/", {"current_password": "wrong", "new_password": NEW})
    await anna.post("/auth/users/set_password/", proof | {"new_password": NEW})
    await anna.post("/auth/token/logout/")
    assert recorded(database)[before:] == [
        ("username_changed", anna.id, anna.id, None),
        ("address_changed", anna.id, anna.id, None),
        ("sign_in_refused", anna.id, anna.id, {"reason": "wrong password"}),
        ("password_changed", anna.id, anna.id, None),
        ("signed_out", anna.id, anna.id, None),
    ]


async def test_a_registration_and_a_sign_out_are_recorded(anna: Person, database: Connection) -> None:
    await post(anna.client, "/auth/jwt/blacklist/", refresh=anna.tokens["refresh"])
    assert recorded(database) == [
        ("registered", anna.id, anna.id, None),
        ("signed_in", anna.id, anna.id, {"by": "session"}),
        ("signed_out", anna.id, anna.id, None),
    ]


async def test_acts_of_staff_name_the_account_that_acts(staff: Person, anna: Person, database: Connection) -> None:
    before = len(recorded(database))
    for active in (False, True):
        await staff.patch(f"/auth/users/{anna.id}/", {"is_active": active})
    await staff.delete(f"/auth/users/{anna.id}/", {"current_password": PASSWORD})
    assert recorded(database)[before:] == [
        ("deactivated", anna.id, staff.id, None),
        ("activated", anna.id, staff.id, None),
        ("deleted", anna.id, staff.id, None),
    ]


@in_mode("activation")
async def test_what_a_letter_leads_to_is_recorded(client: Client, letters: Letters, database: Connection) -> None:
    anna = await activated(client, letters)
    given = await asked_by(anna, letters, EMAIL_CHANGE)
    await confirm(client, EMAIL_CHANGE, given)
    assert await post(client, "/auth/users/reset_password/", email="new@example.com") == (204, None)
    await confirm(client, PASSWORD_RESET, await link(letters, "new@example.com"), new_password=NEW)
    assert [(kind, about, actor) for kind, about, actor, _ in recorded(database)] == [
        ("registered", anna.id, anna.id),
        ("activated", anna.id, None),
        ("signed_in", anna.id, anna.id),
        ("address_proposed", anna.id, anna.id),
        ("address_changed", anna.id, None),
        ("password_reset", anna.id, None),
    ]


async def test_people_read_their_own_events_and_staff_read_all(anna: Person, boris: Person, staff: Person) -> None:
    status, own = await anna.get("/api/events/")
    assert status == 200
    assert [(event["kind"], event["account"]) for event in own] == [("signed_in", anna.id), ("registered", anna.id)]
    assert (await anna.get(f"/api/events/?account={anna.id}"))[1] == own
    assert (await anna.get(f"/api/events/?account={boris.id}"))[0] == 403
    _, everything = await staff.get("/api/events/")
    assert {event["account"] for event in everything} == {anna.id, boris.id, staff.id}
    _, of_boris = await staff.get(f"/api/events/?account={boris.id}")
    assert {event["account"] for event in of_boris} == {boris.id}


async def test_the_owner_does_not_see_from_where_staff_acted(anna: Person, staff: Person) -> None:
    await staff.patch(f"/auth/users/{anna.id}/", {"is_active": True})
    _, (event, *_) = await anna.get("/api/events/")
    assert event["actor"] == staff.id
    assert (event["address"], event["device"], event["request_id"]) == (None, "", "")
    _, (event, *_) = await staff.get(f"/api/events/?account={anna.id}")
    assert event["address"] == "127.0.0.1"


async def test_events_are_filtered_by_kind_and_time(anna: Person, staff: Person, database: Connection) -> None:
    database.execute("update events set happened_at = '2026-01-01T00:00Z' where user_id = %s", [anna.id])
    _, found = await staff.get("/api/events/?kind=registered")
    assert {event["kind"] for event in found} == {"registered"}
    _, found = await staff.get("/api/events/?until=2026-01-02T00:00:00%2B02:00")
    assert {event["account"] for event in found} == {anna.id}
    _, found = await staff.get("/api/events/?since=2026-01-02T00:00:00Z")
    assert {event["account"] for event in found} == {staff.id}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("kind=sign", "kind"),
        ("since=yesterday", "since"),
        ("since=2026-01-02", "since"),
        ("until=2026-01-02T00:00:00", "until"),
        ("until=9999-12-31T23:59:59-14:00", "until"),
        ("since=0001-01-01T00:00:00%2B14:00", "since"),
        ("before=0", "before"),
        ("limit=1001", "limit"),
        ("account=x", "account"),
    ],
)
async def test_a_wrong_filter_is_reported(anna: Person, query: str, field: str) -> None:
    status, said = await anna.get(f"/api/events/?{query}")
    assert (status, [*said]) == (400, [field])


@pytest.mark.parametrize("time", ["9999-12-31T23:59:59Z", "1969-12-31T23:59:59Z"])
async def test_a_time_out_of_bounds_is_told_the_bounds(anna: Person, time: str) -> None:
    refused = {"until": ["Must be a time of the years 1970 to 9998."]}
    assert await anna.get(f"/api/events/?until={time}") == (400, refused)
    assert (await anna.get("/api/events/?until=9998-12-31T23:59:59-14:00"))[0] == 200


async def test_pages_of_events_are_linked_and_keep_the_filter(staff: Person, anna: Person) -> None:
    for _ in range(4):
        await anna.sign_in()
    path, seen = f"/api/events/?limit=2&kind=signed_in&account={anna.id}", []
    while path:
        async with staff.client.get(path, headers=staff.header) as response:
            page = await response.json()
            seen += [event["id"] for event in page]
            assert len(page) <= 2
            path = response.headers.get("Link", "").partition(">")[0].lstrip("<")
    assert len(seen) == 5
    assert seen == sorted(seen, reverse=True)


async def test_an_anonymous_caller_reads_no_events(client: Client) -> None:
    assert (await client.get("/api/events/")).status == 401


async def test_old_events_are_swept_and_later_ones_stay(client: Client, anna: Person, database: Connection) -> None:
    database.execute("update events set happened_at = now() - interval '181 days' where kind = 'registered'")
    db = client.app[DB]
    assert len(await db.rows("events/sweep", 1000, 180)) == 1
    assert [kind for kind, *_ in recorded(database)] == ["signed_in"]


async def test_an_event_is_one_structured_line(client: Client, anna: Person, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        body = {"username": "anna", "password": "wrong"}
        headers = {"User-Agent": 'odd\u2028 \u202e" browser'}
        await client.post("/auth/jwt/create/", json=body, headers=headers)
    (record,) = [record for record in caplog.records if record.name == "server.accounts.events"]
    text = TextLines().format(record)
    assert f"sign_in_refused account={anna.id} address=127.0.0.1 device=" in text
    assert 'reason="wrong password"' in text
    assert text.isascii()
    assert text.isprintable()
    line = json.loads(JsonLines().format(record))
    assert (line["message"], line["account"], line["reason"]) == ("sign_in_refused", anna.id, "wrong password")


def test_the_kinds_of_events_are_in_the_contract() -> None:
    contract = (ROOT / "docs" / "contract.md").read_text()
    assert [kind for kind in EVENT_KINDS if f"`{kind}`" not in contract] == []
