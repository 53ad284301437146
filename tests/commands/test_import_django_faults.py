"""import-django: sources that are lost or broken, and users that are no accounts here."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest

from server.resources import statements
from server.settings.settings import Settings
from server.transfer import django_database, django_dump
from server.transfer.django_dump import DjangoDump
from server.transfer.django_users import DjangoUsers
from server.transfer.rows import UnusableSource
from tests.commands.conftest import Run
from tests.rows import Connection, count, only_row

pytestmark = pytest.mark.slow


def user(key: Any, name: str, **fields: Any) -> dict[str, Any]:
    """A user as dumpdata writes it."""
    own = {"username": name, "email": "", "password": "!", "last_login": None, "is_active": True}
    return {"model": "auth.user", "pk": key, "fields": own | fields}


def imported(run: Run, path: Path, content: bytes) -> tuple[int, list[str]]:
    """The exit status of an import of a dump, and the lines of its report; what is told has no traceback."""
    path.write_bytes(content)
    status, out, told = run("import-django", "--from", str(path))
    assert len(told.splitlines()) == (status > 0), told
    return status, out.splitlines()


def dumped(*objects: dict[str, Any]) -> bytes:
    return "".join(f"{json.dumps(each)}\n" for each in objects).encode()


@pytest.mark.parametrize("lead", [b"", b"\xef\xbb\xbf", b"\xef\xbb\xbf \r\n"])
@pytest.mark.parametrize("is_list", [True, False])
def test_a_dump_may_have_a_byte_order_mark(
    run: Run, database: Connection, tmp_path: Path, lead: bytes, is_list: bool
) -> None:
    content = json.dumps([user(1, "anna")]).encode() if is_list else dumped(user(1, "anna"))
    assert imported(run, tmp_path / "dump.json", lead + content)[0] == 0
    assert only_row(database, "select username from users") == {"username": "anna"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (dumped(user(1, "anna")).replace(b"anna", b"ann\xe4"), "byte 60 is not UTF-8"),
        (b'{"a": "' + b"x" * 70000 + b"\xff", "byte 70008 is not UTF-8"),
        ("[]".encode("utf-16"), "byte 1 is not UTF-8"),
        (dumped(user(1, "anna"))[:-2], "it ends in the middle of an object or of the list"),
        (b"[" + dumped(user(1, "anna")), "it ends in the middle of an object or of the list"),
        (dumped(user(1, "secret")) + b"}", "it is not JSON (parse error: unallowed token at this point in JSON text)"),
        (b'{"a": NaN}', "it is not JSON (lexical error: invalid char in json text)"),
        (b'{"a": 1e9999999999999999999}', "it has a number of too many digits"),
    ],
)
def test_a_broken_dump_is_told_in_one_sentence(
    run: Run, database: Connection, tmp_path: Path, content: bytes, says: str
) -> None:
    file = tmp_path / "dump.json"
    file.write_bytes(content)
    assert run("import-django", "--from", str(file)) == (2, "", f"{file} cannot be read: {says}.\n")


def test_an_empty_dump_has_no_users(run: Run, database: Connection, tmp_path: Path) -> None:
    (tmp_path / "dump.json").write_text("\n")
    assert "has no users" in run("import-django", "--from", str(tmp_path / "dump.json"))[2]


def test_a_user_with_another_key_is_named_and_the_others_are_taken(
    run: Run, database: Connection, tmp_path: Path
) -> None:
    profile = {"description": "d", "location": "", "is_creator": False}
    objects = [
        user("ab-cd", "odd"),
        user(7, "anna"),
        user(2**64, "large"),
        user(-1, "minus"),
        user(8, "big", date_joined=2**70),
        user(9, "deep", first_name="@"),
        user(2**60, "high"),
        user(10, "profiled"),
        {"model": "p.profile", "pk": 1, "fields": profile | {"user": "ab-cd"}},
        {"model": "p.profile", "pk": "x", "fields": profile | {"user": 10}},
        {"model": "p.profile", "pk": 2**61, "fields": profile | {"user": 7, "extra": 1.5}},
        {"model": "authtoken.token", "pk": "0" * 40, "fields": {"user": "ab-cd"}},
    ]
    # More digits than Python reads as a whole number.
    content = dumped(*objects).replace(b'"@"', b"[" + b"9" * 5000 + b", 1.5]")
    status, lines = imported(run, tmp_path / "dump.json", content)
    number = "is not a whole number from 1 to 9007199254740991"
    assert (status, lines) == (
        1,
        [
            f"Row 1 (id 7, name anna): profile.id: {number}",
            "Row 2 (id 8, name big): date_joined: has a number outside 64 bits",
            "Row 3 (id 9, name deep): first_name: has a number outside 64 bits",
            f"Row 4 (id 10, name profiled): profile.id: {number}",
            f"Row 5 (id {2**60}, name high): id: {number}",
            "Row 6 (id ab-cd, name odd): pk: is not a whole number",
            f"Row 7 (id {2**64}, name large): pk: is not a whole number",
            "Row 8 (id -1, name minus): pk: is not a whole number",
            "Taken: 0. There already: 0. Not taken: 8.",
        ],
    )
    # Ids that are not taken are not those that new accounts come after: every client reads 2**53 exactly.
    made = only_row(database, "insert into users (username) values ('new') returning id")["id"]
    assert made < 2**53


def test_a_revoked_token_with_another_key_ends_the_import(run: Run, database: Connection, tmp_path: Path) -> None:
    token = {"model": "token_blacklist.blacklistedtoken", "pk": 1, "fields": {"token": "x"}}
    file = tmp_path / "dump.json"
    file.write_bytes(dumped(user(1, "anna"), token))
    told = f"{file}: token_blacklist.blacklistedtoken 1 has an id that is not a whole number.\n"
    assert run("import-django", "--from", str(file)) == (2, "", told)


def test_a_temporary_file_without_room_is_told_in_one_sentence(
    run: Run, database: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(django_dump, "TABLES", f"pragma max_page_count = 20; {django_dump.TABLES}")
    file = tmp_path / "dump.json"
    file.write_bytes(dumped(*(user(number, "x" * 1000) for number in range(1, 200))))
    status, out, told = run("import-django", "--from", str(file))
    assert (status, out) == (2, "")
    assert told.endswith(
        "cannot be used: database or disk is full. It needs as much room as they have there, in the folder of TMPDIR.\n"
    )


async def test_a_temporary_file_that_fails_while_it_is_read_is_told_too(tmp_path: Path) -> None:
    file = tmp_path / "dump.json"
    file.write_bytes(dumped(user(1, "anna")))
    source = DjangoDump(file, DjangoUsers(Settings()), user_model=None)
    await source.close()  # from now on each statement fails
    for rows in (source.pages(), source.revoked()):
        with pytest.raises(UnusableSource, match="cannot be used: Cannot operate on a closed database"):
            await anext(rows)


@pytest.mark.parametrize(
    "failure",
    [
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation"),
        asyncpg.InternalClientError("got result for unknown protocol state 3"),
        ConnectionResetError(104, "Connection reset by peer"),
        TimeoutError(),
    ],
)
def test_a_connection_that_is_lost_at_the_first_look_ends_with_one_sentence(
    run: Run,
    database: Connection,
    make_database: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
    failure: Exception,
) -> None:
    async def fail(*_: Any) -> None:
        raise failure

    url = make_database("site_lost")
    monkeypatch.setattr(django_database.DjangoDatabase, "_look", fail)
    status, out, told = run("import-django", "--from", url)
    assert (status, out) == (2, "")
    assert told.startswith("The database of --from cannot be read: ")
    assert not told.endswith(": .\n")
    assert told.count("\n") == 1


def test_a_server_that_ends_the_connection_at_the_first_look_is_told_in_one_sentence(
    run: Run, database: Connection, make_database: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = {"imports/source_tables": "select pg_terminate_backend(pg_backend_pid()), $1::text"}
    monkeypatch.setattr(django_database, "statements", lambda: statements() | ends)
    status, out, told = run("import-django", "--from", make_database("site_ended"))
    assert (status, out) == (2, "")
    assert told.startswith("The database of --from cannot be read: ")
    assert told.count("\n") == 1


def test_an_id_above_those_that_are_taken_moves_no_sequence(
    run: Run, database: Connection, make_database: Callable[[str], str]
) -> None:
    url = make_database("site_high")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table people (id bigint primary key, username text, password text)")
        connection.execute("insert into people values (3, 'anna', '!'), (%s, 'high', '!')", [2**62])
    status, out, _ = run("import-django", "--from", url, "--user-table", "people")
    assert status == 1
    assert f"(id {2**62}, name high): id: is not a whole number" in out
    assert only_row(database, "insert into users (username) values ('new') returning id")["id"] < 2**53
    assert count(database, "users") == 2
