"""import-django: users of sites with djoser, from their database and from their dump.

The sites are recorded ones. `python -m tests.move` builds them anew, and moves 50,000 users.
"""

import asyncio
import dataclasses
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import psycopg
import pytest

from server.settings import site
from server.settings.faults import SettingsError
from server.settings.settings import Settings
from server.transfer import django_database, django_dump
from server.web.app_keys import DB
from tests.commands.conftest import Run
from tests.conftest import PASSWORD, Client, post
from tests.rows import Connection, count, only_row
from tests.transfer.recorded_sites import HASHERS, PEOPLE_FILE, SETTINGS, dump_of, held_by, load, objects_of

pytestmark = pytest.mark.slow

NOT_TAKEN = [
    "Row 12 (id 12, name SAME): username: is that of account 11",
    "Row 13 (id 13, name twice): email: is that of account 11",
    "Row 14 (id 14, name odd): password_hash: of no format that can be checked, or too costly",
]

SourceOf = Callable[[str], str]
"""What `--from` takes for a recorded site."""


@pytest.fixture(params=["database", "dump", "dump of lines"])
def source_of(
    request: pytest.FixtureRequest, make_database: Callable[[str], str], tmp_path: Path
) -> Callable[[str], str]:
    """Each way to read a site."""

    def source(users: str) -> str:
        if request.param != "database":
            return str(dump_of(users, tmp_path, is_list=request.param == "dump"))
        url = make_database(f"site_{users}")
        with psycopg.connect(url, autocommit=True, row_factory=psycopg.rows.dict_row) as connection:
            load(connection, users)
        return url

    return source


def test_users_with_their_profiles_and_tokens_are_taken(
    run: Run, database: Connection, source_of: SourceOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (django_database, django_dump):
        monkeypatch.setattr(module, "PAGE_ROWS", 3)
    source = source_of("stock")
    status, out, _ = run("import-django", "--from", source)
    assert (status, out.splitlines()) == (1, [*NOT_TAKEN, "Taken: 11. There already: 0. Not taken: 3."])
    users = [each for each in objects_of("stock", "auth.user") if each["pk"] not in (12, 13, 14)]
    rows = database.execute(
        "select u.*, p.id as profile_id, p.description, p.location, p.is_creator, p.date_joined as profile_joined,"
        " p.updated_on from users u join profiles p on p.user_id = u.id order by u.id"
    ).fetchall()
    profiles = {each["fields"]["user"]: each for each in objects_of("stock", "profiles.userprofile")}
    assert len(rows) == len(users)
    for row, user in zip(rows, users, strict=True):
        there, profile = user["fields"], profiles[user["pk"]]
        assert row["id"] == user["pk"]
        assert (row["username"], row["email"]) == (there["username"], there["email"])
        # Of an unusable password only that it is one.
        assert row["password"] == ("!" if there["password"].startswith("!") else there["password"])
        assert (row["is_active"], row["is_staff"]) == (there["is_active"], there["is_superuser"])
        assert row["adopts_tokens"] is there["is_active"]
        for column, name, text in [
            ("date_joined", "date_joined", there),
            ("last_login", "last_login", there),
            ("profile_joined", "date_joined", profile["fields"]),
            ("updated_on", "updated_on", profile["fields"]),
        ]:
            assert is_at(row[column], text[name]), column
        assert (row["profile_id"], row["description"], row["location"], row["is_creator"]) == (
            *(profile["pk"], profile["fields"]["description"], profile["fields"]["location"]),
            profile["fields"]["is_creator"],
        )
    assert (count(database, "api_tokens"), count(database, "adopted_tokens")) == (len(HASHERS), len(HASHERS))
    assert run("import-django", "--from", source)[1].splitlines()[-1] == "Taken: 0. There already: 11. Not taken: 3."
    made = only_row(database, "insert into users (username) values ('new') returning id")["id"]
    assert made > 14


def is_at(moment: datetime | None, text: str | None) -> bool:
    """Whether a time is the one that dumpdata writes, in milliseconds."""
    if moment is None or text is None:
        return moment is None and text is None
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000) == datetime.fromisoformat(text)


async def test_every_hash_signs_in_and_is_rewritten_and_tokens_go_on(
    run_process: Run, client: Client, database: Connection, tmp_path: Path
) -> None:
    assert run_process("import-django", "--from", str(dump_of("stock", tmp_path)))[0] == 1
    for held, hasher in zip(held_by("stock"), HASHERS, strict=True):
        name, key = f"by_{hasher}", {"Authorization": f"Token {held['token']}"}
        assert only_row(database, "select password from users where username = %s", name)["password"].startswith(hasher)
        assert (await post(client, "/auth/jwt/create/", username=name, password="wrong"))[0] == 401
        assert (await post(client, "/auth/jwt/create/", username=name, password=PASSWORD))[0] == 200
        row = only_row(database, "select password from users where username = %s", name)
        assert row["password"].startswith("bcrypt_sha256$$2b$04$")
        assert (await client.get("/auth/users/me/", headers=key)).status == 200
        # The own token of the account does not end the one that it brought; what ends the one ends both.
        _, own = await post(client, "/auth/token/login/", username=name, password=PASSWORD)
        assert own["auth_token"] != held["token"]
        assert (await client.get("/auth/users/me/", headers=key)).status == 200
        assert (await client.post("/auth/token/logout/", headers=key)).status == 204
        for token in (held["token"], own["auth_token"]):
            response = await client.get("/auth/users/me/", headers={"Authorization": f"Token {token}"})
            assert response.status == 401


async def test_two_api_tokens_of_one_account_are_identified_at_the_same_moment(
    run_process: Run, client: Client, database: Connection, tmp_path: Path
) -> None:
    run_process("import-django", "--from", str(dump_of("stock", tmp_path)))
    database.execute("update api_tokens set hash = 'own' where user_id = 1")
    row = only_row(database, "select imported_hash from api_tokens where user_id = 1")
    keys = (b"own", row["imported_hash"])
    found = await asyncio.gather(*(client.app[DB].find("api_tokens/identify", key) for key in keys))
    assert [row and row["id"] for row in found] == [1, 1]


def test_a_second_import_revives_no_token_that_was_ended(run: Run, database: Connection, tmp_path: Path) -> None:
    source = str(dump_of("stock", tmp_path))
    run("import-django", "--from", source)
    run("sign-out", "id=1")
    run("import-django", "--from", source)
    ended = only_row(
        database, "select generation, adopts_tokens from api_tokens join users on id = user_id where id = 1"
    )
    assert ended == {"generation": 1, "adopts_tokens": False}


def test_a_custom_user_model_without_usernames_brings_its_columns(
    run: Run, database: Connection, source_of: SourceOf
) -> None:
    status, out, _ = run("import-django", "--from", source_of("people"), **SETTINGS["people"])
    assert (status, out) == (0, "Taken: 10. There already: 0. Not taken: 0.\n")
    row = only_row(
        database,
        "select username, account_fields, u.date_joined = p.date_joined as joined from users u"
        " join profiles p on p.user_id = u.id where email = 'boss@example.com'",
    )
    fields = {"first_name": "Boss", "last_name": "Álvarez", "phone": "+351 50"}
    # The site has no profiles: that of the account has the date of the user.
    assert row == {"username": None, "account_fields": fields, "joined": True}


def test_uuid_ids_are_refused_with_what_to_do(run: Run, database: Connection, source_of: SourceOf) -> None:
    status, out, told = run("import-django", "--from", source_of("strangers"), **SETTINGS["strangers"])
    assert (status, out) == (2, "")
    assert "accounts have whole numbers as ids" in told
    assert "import-users" in told
    assert count(database, "users") == 0


def test_what_the_site_file_asks_for_and_the_site_does_not_have_is_said(
    run: Run, database: Connection, source_of: SourceOf, tmp_path: Path
) -> None:
    file = tmp_path / "site.toml"
    file.write_text(PEOPLE_FILE.read_text().replace("phone_number", "telephone"))
    status, _, told = run("import-django", "--from", source_of("people"), LOGIN_FIELD="email", SITE_FILE=str(file))
    assert status == 2
    assert "telephone: [import.django] of SITE_FILE says which" in told


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[]", "has no users"),
        ("[1]", "is no file of dumpdata"),
        ('[{"model": "auth.user", "pk": 1', "cannot be read"),
        ("\xff", "cannot be read"),
        (
            json.dumps([{"pk": None, "model": "x", "fields": {"password": "", "last_login": None, "is_active": 1}}]),
            "natural",
        ),
        (
            2 * '{"pk": 1, "model": "x", "fields": {"password": "", "last_login": null, "is_active": 1}}\n',
            "object twice",
        ),
    ],
)
def test_a_dump_that_cannot_be_used_ends_with_status_2(
    run: Run, database: Connection, tmp_path: Path, text: str, says: str
) -> None:
    (tmp_path / "dump.json").write_text(text, encoding="latin-1")
    status, out, told = run("import-django", "--from", str(tmp_path / "dump.json"))
    assert (status, out) == (2, "")
    assert says in told


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://nobody@127.0.0.1:1/none", "cannot be reached"),
        ("postgresql://nobody@/none?bad=1", "--from"),
        ("/nowhere/dump.json", "No such file"),
    ],
)
def test_a_source_that_cannot_be_reached_ends_with_status_2(
    run: Run, database: Connection, url: str, says: str
) -> None:
    status, out, told = run("import-django", "--from", url)
    assert (status, out) == (2, "")
    assert says in told


def test_a_database_without_users_asks_for_their_table(
    run: Run, database: Connection, make_database: Callable[[str], str]
) -> None:
    url = make_database("site_none")
    assert "name it with --user-table" in run("import-django", "--from", url)[2]
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute('create table "Strange People" ("Key" int primary key, username text, password text)')
        connection.execute("insert into \"Strange People\" values (3, 'anna', '!')")
    assert run("import-django", "--from", url, "--user-table", '"Strange People"')[0] == 0
    assert only_row(database, "select id, username from users") == {"id": 3, "username": "anna"}


@pytest.mark.parametrize(
    ("section", "fault"),
    [
        ("[import]\nother = 1", "import.other: is unknown"),
        ("[import]\ndjango = 1", "import: is not a table"),
        ("[import.django]\nnone = 'x'", "import.django.none: is no field of the account; it is one of"),
        ("[import.django]\nphone = 1", "import.django.phone: is not the name of a column"),
    ],
)
def test_every_fault_of_the_mapping_stops_the_start(tmp_path: Path, section: str, fault: str) -> None:
    file = tmp_path / "site.toml"
    file.write_text(PEOPLE_FILE.read_text().partition("[import.django]")[0] + section)
    with pytest.raises(SettingsError) as raised:
        site.read(str(file))
    assert any(text.startswith(fault) for text in raised.value.faults), raised.value.faults


def test_a_role_may_come_from_a_column(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_text("[import.django]\nrole = 'kind'\n")
    read = site.read(str(file))
    assert dataclasses.replace(settings, site_file=read).site_file.django_columns["role"] == "kind"
