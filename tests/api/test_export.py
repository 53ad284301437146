"""The export of an account: all that is held about the caller, bounded in memory, and limited (contract 2.4)."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from server.accounts import export
from server.accounts.events import Source
from server.settings import site
from server.settings.rates import Rate
from server.settings.settings import Settings
from server.web.app_keys import DB
from tests.api.test_limits import PROXIED
from tests.conftest import PASSWORD, Client, Letters, MakePerson, Person, post
from tests.rows import Connection, only_row
from tests.web.connections import opened, server_side, until

EXPORT = "/auth/users/me/export/"
DECLARED = """
[account.fields]
type = "object"
properties.phone = { type = "string" }
[roles.teacher]
title = "Teacher"
registration = true
[roles.teacher.fields]
type = "object"
properties.school = { type = "string" }
"""


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    (tmp_path / "site.toml").write_text(DECLARED)
    declared = site.read(str(tmp_path / "site.toml"))
    return dataclasses.replace(settings, site_file=declared, limit_exports_account=Rate(2, 900), **PROXIED)


@pytest.fixture
async def tess(make_person: MakePerson) -> Person:
    """A teacher with a value in everything that an account can hold."""
    profile = {"description": "Runs the film club", "location": "Lisbon", "fields": {"school": "Lyceum"}}
    return await make_person("tess", email="tess@example.com", phone="+351 123", role="teacher", profile=profile)


def add_events(database: Connection, user_id: int, count: int) -> None:
    """Add sign-ins to the events of an account."""
    insert = "insert into events (kind, user_id) select 'signed_in', %s from generate_series(1, %s)"
    database.execute(insert, [user_id, count])


async def test_the_export_has_all_that_is_held_about_the_caller(tess: Person, boris: Person) -> None:
    await tess.patch("/auth/users/me/", {"email": "new@example.com"})
    status, found = await tess.get(EXPORT)
    assert status == 200
    assert (found["id"], found["username"], found["email"]) == (tess.id, "tess", "new@example.com")
    assert (found["account_fields"], found["role"]) == ({"phone": "+351 123"}, "teacher")
    assert (found["profile"]["description"], found["profile"]["location"]) == ("Runs the film club", "Lisbon")
    assert found["role_fields"] == {"teacher": {"school": "Lyceum"}}
    assert [each["address"] for each in found["sessions"]] == ["127.0.0.1"]
    assert [each["network"] for each in found["networks"]] == ["127.0.0.1"]
    assert [each["kind"] for each in found["events"]] == ["exported", "address_changed", "signed_in", "registered"]
    assert {each["user_id"] for each in found["events"]} == {tess.id}
    assert [each["kind"] for each in found["letters"]] == ["email_changed"]
    assert "boris" not in json.dumps(found)
    assert not {"password", "hash", "nonce"} & {key for part in [found, *found["letters"]] for key in part}


async def test_the_export_is_a_file_that_no_cache_keeps(anna: Person) -> None:
    async with anna.client.get(EXPORT, headers=anna.header) as response:
        assert response.headers["Content-Disposition"] == f'attachment; filename="account-{anna.id}.json"'
        assert (response.content_type, response.headers["Cache-Control"]) == ("application/json", "no-store")
        assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_the_export_needs_a_caller_who_is_signed_in(client: Client, anna: Person, staff: Person) -> None:
    assert (await client.get(EXPORT)).status == 401
    # Not even staff export others: the operator has the command (docs/decisions/export.md).
    assert (await staff.get(f"/auth/users/{anna.id}/export/"))[0] == 404


async def test_sessions_and_events_are_exported_page_by_page_and_none_is_left_out(
    anna: Person, database: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "ROWS_AT_ONCE", 3)
    for _ in range(4):
        await anna.sign_in()
    # Sessions that one statement opened have the same time.
    insert = "insert into sessions (user_id, expires_at) select %s, now() from generate_series(1, 5)"
    database.execute(insert, [anna.id])
    _, found = await anna.get(EXPORT)
    assert len({each["id"] for each in found["sessions"]}) == 10
    ids = [each["id"] for each in found["events"]]
    assert len(ids) == 7
    assert ids == sorted(ids, reverse=True)


async def test_an_export_reads_no_page_and_keeps_no_connection_before_the_client_has_taken_the_last_one(
    anna: Person, database: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "ROWS_AT_ONCE", 10)
    add_events(database, anna.id, 100)
    db = anna.client.app[DB]
    pieces = await export.export(db, anna.id, source=Source())
    assert pieces is not None
    sizes = []
    read: list[str] = []
    rows = db.rows

    async def counted(name: str, *arguments: Any) -> Any:
        read.append(name)
        return await rows(name, *arguments)

    monkeypatch.setattr(db, "rows", counted)
    async for piece in pieces:
        sizes.append(len(piece))
        assert db.connection_counts()["statements", "in_use"] == 0
        assert read.count("events/list") <= max(
            0, len(sizes) - 3
        )  # the account, its sessions, the beginning of the list
    assert read.count("events/list") == 12  # 103 events, and the page that is empty
    assert max(sizes) < 5000


async def test_a_session_that_ends_while_its_export_is_read_gets_no_further_page(
    anna: Person, database: Connection
) -> None:
    add_events(database, anna.id, 20_000)
    request = f"GET {EXPORT} HTTP/1.1\r\nHost: x\r\nAuthorization: {anna.header['Authorization']}\r\n\r\n"
    async with opened(anna.client, request.encode()) as (reader, _):
        first = await reader.read(1000)
        assert first.startswith(b"HTTP/1.1 200 ")
        await post(anna.client, "/auth/jwt/blacklist/", refresh=anna.tokens["refresh"])
        rest = await reader.read(-1)
    assert not rest.endswith(b"0\r\n\r\n")  # the last chunk: the client knows that the body is not complete
    await until(lambda: len(server_side(anna.client)) <= 1)


async def test_an_account_exports_itself_a_few_times_a_day_only(
    anna: Person, boris: Person, database: Connection
) -> None:
    assert [(await anna.get(EXPORT))[0] for _ in range(3)] == [200, 200, 429]
    async with anna.client.get(EXPORT, headers=anna.header) as refused:
        assert refused.headers["RateLimit-Policy"] == '"exports";q=2;w=900'
    assert (await boris.get(EXPORT))[0] == 200
    query = "select kind, details from events where user_id = %s order by id desc limit 1"
    assert only_row(database, query, anna.id) == {"kind": "limit_met", "details": {"limit": "exports"}}


async def test_after_the_deletion_no_column_of_any_table_has_what_names_the_person(
    client: Client, staff: Person, letters: Letters, database: Connection
) -> None:
    headers = {"X-Forwarded-For": "192.0.2.77", "User-Agent": "a green telephone", "X-Request-ID": "request-17"}
    person = Person(client, "theresa")

    async def ask(method: str, path: str, **body: Any) -> Any:
        credentials = person.header if person.tokens else {}
        async with client.request(method, path, json=body or None, headers=headers | credentials) as response:
            assert response.status in (200, 201, 204, 400, 401), path
            return await response.json() if await response.read() else None

    profile = {"description": "Runs the film club", "location": "Lisbon", "fields": {"school": "Lyceum"}}
    account = {"username": "theresa", "email": "first@example.com", "phone": "+351 123", "password": PASSWORD}
    user = await ask("POST", "/auth/users/", **account, role="teacher", profile=profile)
    person.tokens = await ask("POST", "/auth/jwt/create/", username="theresa", password=PASSWORD)
    await ask("POST", "/auth/jwt/create/", username="theresa", password="a wrong guess")
    await ask("POST", "/auth/token/login/", username="theresa", password=PASSWORD)
    await ask("POST", "/auth/users/set_username/", new_username="tessa", current_password=PASSWORD)
    await ask("PATCH", "/auth/users/me/", email="second@example.com", phone="+351 456")
    await ask("POST", "/auth/users/reset_password/", email="second@example.com")
    await ask("GET", EXPORT)
    await staff.patch(f"/auth/users/{user['id']}/", {"is_active": True}, headers=headers)
    database.execute("update users set pending_email = 'third@example.com' where id = %s", [user["id"]])
    texts = {"tessa", "second@example.com", "third@example.com", "+351 456", "film club", "Lisbon", "Lyceum"}
    texts |= {"192.0.2.77", "green telephone", "request-17"}
    assert {text for _, _, text in found_anywhere(database, texts)} == texts
    texts |= {"theresa", "first@example.com", "+351 123"}

    await ask("DELETE", "/auth/users/me/", current_password=PASSWORD)
    await letters()  # requests for letters, which are no rows of an account, are done within a second
    # A limit of a network names no account. Deleting an account must not give its network new tries.
    assert found_anywhere(database, texts) == {("limits", "key", "192.0.2.77")}
    keys = [row["key"] for row in database.execute("select key from limits").fetchall()]
    assert [key for key in keys if "account" in key and "192.0.2.77" in key] == []
    events = database.execute("select * from events where user_id = %s", [user["id"]]).fetchall()
    assert len(events) > 8
    assert {row["details"] for row in events if row["kind"] != "deleted"} == {None}


def found_anywhere(database: Connection, texts: set[str]) -> set[tuple[str, str, str]]:
    """Table, column and text of each of `texts` that any row of any table holds."""
    columns = database.execute(
        "select table_name, column_name from information_schema.columns join information_schema.tables"
        " using (table_schema, table_name) where table_schema = 'public' and table_type = 'BASE TABLE'"
    ).fetchall()
    found = set()
    for table, column in (row.values() for row in columns):
        values = database.execute(f'select "{column}"::text as value from "{table}"').fetchall()
        held = "\n".join(row["value"] or "" for row in values)
        found |= {(table, column, text) for text in texts if text in held}
    return found
