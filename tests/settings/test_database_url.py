"""DATABASE_URL is read once, as libpq reads it, for all three libraries."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import asyncpg
import psycopg
import pytest
from psycopg import sql

from server.database import migrate
from server.database.database import Database
from server.postgres.bundled import BundledPostgres
from server.settings.database_url import for_asyncpg, for_psycopg, session_settings
from server.settings.faults import SettingsError
from server.settings.settings import Settings
from tests.conftest import KEY

ODD_PASSWORDS = ["a b", "a+b", "p@ss:w/rd?#[]", "50%", "&=;", "'\"\\", "ünï¢ødé", "%2B", "+", "a%20b"]


def read(url: str) -> str:
    return Settings.read({"DATABASE_URL": url, "SIGNING_KEY": KEY}).database_url


def faults(url: str) -> list[str]:
    with pytest.raises(SettingsError) as raised:
        read(url)
    return list(raised.value.faults)


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("postgresql://anna:p%40ss+w@db.example:5433/shop", ("db.example", "5433", "anna", "p@ss+w", "shop")),
        ("postgres://anna@[2001:db8::1]:5433/shop", ("2001:db8::1", "5433", "anna", None, "shop")),
        ("postgresql://anna@%2Fvar%2Frun%2Fpostgresql/shop", ("/var/run/postgresql", None, "anna", None, "shop")),
        ("postgresql:///shop?host=/tmp&port=5433&user=anna", ("/tmp", "5433", "anna", None, "shop")),
        ("postgresql://a:1,b:2/shop", ("a,b", "1,2", None, None, "shop")),
        ("postgresql://h/a%2Fb", ("h", None, None, None, "a/b")),
        ("postgresql://h/shop\n", ("h", None, None, None, "shop")),
    ],
)
def test_the_parts_of_a_url_are_those_of_libpq(url: str, parts: tuple[str | None, ...]) -> None:
    parameters = for_psycopg(read(url))
    assert tuple(parameters.get(name) for name in ("host", "port", "user", "password", "dbname")) == parts


@pytest.mark.parametrize(
    ("url", "keywords"),
    [
        ("postgresql://anna:p%2Bq@h/d", {"host": ["h"], "port": [5432], "user": "anna", "password": "p+q"}),
        ("postgresql://a,b:2/d", {"host": ["a", "b"], "port": [5432, 2]}),
        ("postgresql://a,b/d?port=7", {"host": ["a", "b"], "port": [7, 7]}),
        (
            "postgresql://a/d?target_session_attrs=read-write",
            {"host": ["a"], "port": [5432], "target_session_attrs": "read-write"},
        ),
        (
            "postgresql://a/d?sslmode=verify-full&sslrootcert=/a+b%20c.pem&connect_timeout=5&application_name=x",
            {
                "host": ["a"],
                "port": [5432],
                "dsn": "postgresql://?sslmode=verify-full&sslrootcert=%2Fa%2Bb%20c.pem",
            },
        ),
    ],
)
def test_asyncpg_gets_the_same_parts(url: str, keywords: dict[str, Any]) -> None:
    assert for_asyncpg(read(url)) == {"dsn": "postgresql://", "database": "d"} | keywords


def test_the_url_sets_the_session_of_the_server() -> None:
    url = "postgresql://h/d?application_name=shop&options=-c%20search_path%3Dshop&keepalives=1"
    assert session_settings(url) == {"application_name": "shop", "options": "-c search_path=shop"}


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("mysql://h/d", "begins with postgresql://"),
        ("postgresql://h/d?foo=1&bar=2", "has parameters that the service does not support: bar, foo"),
        ("postgresql://h/d?service=shop", "has parameters that the service does not support: service"),
        ("postgresql://u:secret%zz@h/d", "cannot be read"),
        ("postgresql://u:se\ncret@h/d", "has white space or a line break inside"),
        ("postgresql://u:se cret@h/d", "has white space or a line break inside"),
        ("postgresql://u:secret/x@h/d", "has a port that is no number"),
        ("postgresql://h:0/d", "has a port that is no number"),
        ("postgresql://h:65536/d", "has a port that is no number"),
        ("postgresql://a,b,c/d?port=1,2", "has another number of ports than of hosts"),
        ("postgresql://h/d?sslmode=on", "has an sslmode that is none of"),
        ("postgresql://h/d?target_session_attrs=master", "has target_session_attrs that are none of"),
    ],
)
def test_what_is_wrong_is_named_and_the_password_is_not_repeated(url: str, fault: str) -> None:
    (said,) = faults(url)
    assert said.startswith(f"DATABASE_URL {fault}")
    assert "secret" not in said
    assert "cret" not in said


@pytest.fixture
def role(postgres: BundledPostgres, worker_id: str) -> Iterator[str]:
    """A role that may sign in with a password, whatever the authentication of the server."""
    name = f"odd {worker_id}"
    with psycopg.connect(postgres.url("postgres", user="postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("create role {} login").format(sql.Identifier(name)))
        yield name
        connection.execute(sql.SQL("drop owned by {}").format(sql.Identifier(name)))
        connection.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


@pytest.mark.parametrize("password", ODD_PASSWORDS)
def test_an_odd_password_reaches_both_libraries_unchanged(password: str) -> None:
    url = read(f"postgresql://anna:{quote(password, safe='')}@h/d")
    assert for_psycopg(url)["password"] == for_asyncpg(url)["password"] == password


async def test_all_libraries_connect_through_a_socket_folder_as_an_odd_role(
    postgres: BundledPostgres, role: str, database_url: str
) -> None:
    own = for_psycopg(database_url)
    for place in (f"@{quote(own['host'], safe='')}/", f"@/?host={quote(own['host'])}&dbname="):
        url = read(f"postgresql://{quote(role)}:any{place}{own['dbname']}")
        with psycopg.connect(**for_psycopg(url)) as connection:  # type: ignore[arg-type]
            assert connection.execute("select current_user").fetchone() == (role,)
        other = await asyncpg.connect(**for_asyncpg(url))
        assert await other.fetchval("select current_user") == role
        await other.close()


async def test_of_several_hosts_the_one_that_answers_is_used(database_url: str) -> None:
    own = for_psycopg(database_url)
    hosts = f"{quote('/nowhere', safe='')},{quote(own['host'], safe='')}"
    url = read(f"postgresql://{own['user']}@{hosts}/{own['dbname']}?target_session_attrs=read-write")
    assert migrate.migrate(url) == []
    db = await Database.connect(url)
    assert await db.rows("schema/applied") != []
    await db.close()


async def test_a_session_has_the_name_that_the_url_gives(database_url: str) -> None:
    db = await Database.connect(f"{database_url}{'&' if '?' in database_url else '?'}application_name=shop")
    async with db.transaction() as transaction:
        assert await transaction.connection.fetchval("show application_name") == "shop"
        assert await transaction.connection.fetchval("show jit") == "off"
    await db.close()


def test_a_role_that_may_not_create_is_told_the_grant(make_database: Any, postgres: BundledPostgres, role: str) -> None:
    own = for_psycopg(make_database("privileges"))
    url = f"postgresql://{quote(role)}@/{own['dbname']}?host={quote(own['host'])}"
    with pytest.raises(migrate.MayNotCreate) as raised:
        migrate.migrate(url)
    statement = str(raised.value)
    assert statement == f'GRANT CREATE ON SCHEMA public TO "{role}";'
    with psycopg.connect(postgres.url(own["dbname"], user="postgres"), autocommit=True) as connection:
        connection.execute(statement)
        assert migrate.migrate(url) == migrate.names()
        migrate.roll_back(url)
        connection.execute(sql.SQL("drop owned by {}").format(sql.Identifier(role)))
