"""The schema: migrations go up, down and up, run once, and the rules that the database keeps by itself."""

import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yoyo

from server.database import migrate, version
from server.errors import StartError
from server.resources import resource

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def url(make_database: Callable[[str], str]) -> str:
    """An empty database."""
    return make_database("migrations")


@pytest.fixture
def connection(url: str) -> Iterator[Any]:
    with psycopg.connect(url, autocommit=True) as connected:
        yield connected


def schema_of(connection: Any) -> set[str]:
    """The schema: tables, columns, constraints, indexes, triggers and functions, those of yoyo left out."""
    rows = connection.execute(
        "select relname::text from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'f')"
        " union select concat_ws(' ', proname, prosrc, proconfig::text) from pg_proc"
        " where pronamespace = 'public'::regnamespace"
        " union select table_name || '.' || column_name || ' ' || data_type || ' ' || coalesce(column_default, '')"
        " from information_schema.columns where table_schema = 'public'"
        " union select conname || ' ' || pg_get_constraintdef(oid) from pg_constraint"
        " where connamespace = 'public'::regnamespace"
        " union select indexdef from pg_indexes where schemaname = 'public'"
        " union select pg_get_triggerdef(oid) from pg_trigger where not tgisinternal"
    ).fetchall()
    return {name for (name,) in rows if "yoyo" not in name}


def test_each_migration_goes_up_down_and_up(url: str, connection: Any) -> None:
    backend = yoyo.get_backend("postgresql+psycopg://" + url.split("://")[1])
    before = schema_of(connection)
    for migration in yoyo.read_migrations(str(resource("migrations"))):
        states = []
        for step in (backend.apply_one, backend.rollback_one, backend.apply_one):
            step(migration)
            states.append(schema_of(connection))
        assert states[1] == before, migration.id
        assert states[0] == states[2] != before, migration.id
        before = states[2]
    backend.connection.close()


def test_all_migrations_go_up_down_and_up_and_then_nothing_is_left(url: str, connection: Any) -> None:
    assert migrate.migrate(url) == migrate.names()
    assert migrate.migrate(url) == []
    migrate.roll_back(url)
    assert schema_of(connection) == set()
    assert migrate.migrate(url) == migrate.names()


def test_processes_that_start_at_the_same_time_migrate_once(url: str) -> None:
    code = f"from server.database import migrate; print(*migrate.migrate({url!r}))"
    started = [
        subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(4)
    ]
    printed = [process.communicate(timeout=60)[0].split() for process in started]
    assert [process.returncode for process in started] == [0] * 4
    assert sorted(printed) == [[], [], [], migrate.names()]


def test_the_lock_of_a_killed_process_does_not_block_the_next(url: str, connection: Any) -> None:
    migrate.migrate(url)
    connection.execute("insert into yoyo_lock (locked, ctime, pid) values (1, now(), 1)")
    assert migrate.migrate(url) == []


def test_unique_email_can_be_switched_off_and_on(url: str, connection: Any) -> None:
    def insert(name: str) -> None:
        connection.execute("insert into users (username, email) values (%s, 'Anna@Example.com')", [name])

    migrate.migrate(url)
    insert("anna")
    with pytest.raises(psycopg.errors.UniqueViolation):
        insert("boris")
    migrate.migrate(url, unique_email=False)
    insert("boris")
    ids = connection.execute("select string_agg(id::text, ', ' order by id) from users").fetchone()
    with pytest.raises(migrate.DuplicateAddresses, match=f"^{ids[0]}$"):
        migrate.migrate(url)
    connection.execute("delete from users where username = 'boris'")
    migrate.migrate(url)
    with pytest.raises(psycopg.errors.UniqueViolation):
        insert("clara")


def test_addresses_that_become_one_stop_the_migration_with_their_ids(url: str, connection: Any) -> None:
    backend = yoyo.get_backend("postgresql+psycopg://" + url.split("://")[1])
    before = [each for each in yoyo.read_migrations(str(resource("migrations"))) if each.id < "0009"]
    backend.apply_migrations(yoyo.migrations.MigrationList(before))
    backend.connection.close()
    for place, domain in enumerate(("münchen.example", "a.example", "xn--mnchen-3ya.example", "ａ.example"), start=1):
        address = f"anna@{domain}"
        connection.execute("insert into users (id, username, email) values (%s, %s, %s)", [place, place, address])
    with pytest.raises(migrate.DuplicateAddresses, match=r"^1, 3; 2, 4$"):
        migrate.migrate(url)
    connection.execute("update users set email = '' where id > 2")
    assert "0009.addresses" in migrate.migrate(url)


def test_a_server_that_is_too_old_is_refused_before_anything_is_made(
    url: str, connection: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(version, "MIN_POSTGRES", 99)
    with pytest.raises(StartError, match=r"^DATABASE_URL: .* is needed; this one is 1"):
        migrate.migrate(url)
    assert schema_of(connection) == set()


@pytest.mark.parametrize("unique_email", [True, False])
def test_a_start_with_nothing_to_migrate_waits_for_no_transaction(
    url: str, connection: Any, monkeypatch: pytest.MonkeyPatch, unique_email: bool
) -> None:
    migrate.migrate(url, unique_email=unique_email)
    monkeypatch.setattr(migrate, "LOCK_SECONDS", 1)
    with psycopg.connect(url) as busy:
        busy.execute("insert into users (username) values ('anna')")
        assert migrate.migrate(url, unique_email=unique_email) == []


def test_an_account_that_psql_inserts_has_a_profile(database: Any) -> None:
    user = database.execute("insert into users (username) values ('anna') returning id").fetchone()
    profile = database.execute("select * from profiles").fetchone()
    assert (profile["user_id"], profile["description"], profile["location"], profile["is_creator"]) == (
        user["id"],
        None,
        "",
        False,
    )


def test_a_change_of_a_profile_sets_updated_on(database: Any) -> None:
    database.execute("insert into users (username) values ('anna')")
    before = database.execute("select * from profiles").fetchone()
    after = database.execute("update profiles set location = 'Rome' returning *").fetchone()
    assert after["date_joined"] == before["date_joined"]
    assert after["updated_on"] > before["updated_on"]


def test_deleting_an_account_deletes_everything_that_belongs_to_it(database: Any) -> None:
    database.execute("insert into users (username, role) values ('anna', 'teacher'), ('boris', 'teacher')")
    database.execute("insert into sessions (user_id, expires_at) select id, now() from users")
    database.execute("insert into api_tokens (user_id) select id from users")
    database.execute(
        "insert into one_time_tokens (user_id, purpose, hash, expires_at)"
        " select id, 'activation', 'x', now() from users"
    )
    database.execute("insert into letters (kind, user_id) select 'confirmation', id from users")
    database.execute("insert into sign_in_keys (key, user_id) select sign_in_key(username), id from users")
    database.execute("insert into sign_in_networks (user_id, network) select id, '192.0.2.1' from users")
    database.execute("delete from users where username = 'anna'")
    of_users = database.execute(
        "select conrelid::regclass::text as name from pg_constraint where confrelid = 'users'::regclass"
    ).fetchall()
    assert {row["name"] for row in of_users} == {
        *("profiles", "role_fields", "sessions", "api_tokens", "one_time_tokens", "letters"),
        *("sign_in_keys", "sign_in_networks"),
    }
    for row in of_users:
        assert len(database.execute(f"select * from {row['name']}").fetchall()) == 1


@pytest.mark.parametrize("other", ["MARIO", "ｍａｒｉｏ", "Mario"])
def test_the_database_refuses_a_taken_name_that_psql_inserts(database: Any, other: str) -> None:
    database.execute("insert into users (username) values ('mario')")
    with pytest.raises(psycopg.errors.UniqueViolation):
        database.execute("insert into users (username) values (%s)", [other])


def test_all_cases_of_each_letter_of_a_name_have_the_same_key(database: Any) -> None:
    letters = {unicodedata.normalize("NFKC", chr(number)) for number in range(0x110000) if chr(number).isprintable()}
    pairs = [
        (letter, cased)
        for letter in sorted(letters)
        if re.fullmatch(r"[\w.@+-]+", letter)
        for cased in {letter.upper(), letter.lower(), letter.title(), letter.casefold()}
        if cased != letter and re.fullmatch(r"[\w.@+-]+", unicodedata.normalize("NFKC", cased))
    ]
    assert len(pairs) > 3000
    differing = database.execute(
        "select letter, cased from unnest(%s::text[], %s::text[]) as pair (letter, cased)"
        " where username_key(letter) <> username_key(cased)",
        [[letter for letter, _ in pairs], [cased for _, cased in pairs]],
    ).fetchall()
    assert differing == []
