"""Both libraries reach the database that DATABASE_URL names, with every sign in a password, and with its parameters."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

import asyncpg
import psycopg
import pytest
import trustme
from psycopg import sql

from server.database import migrate
from server.database.connecting import Connector
from server.database.database import Database
from server.database.failures import reason_of
from server.errors import StartError
from server.postgres.bundled import BundledPostgres
from server.settings.database_url import DatabaseUrl
from tests.database.startup import Startups, startups

if TYPE_CHECKING:
    Superuser: TypeAlias = psycopg.Connection[Any]

SIGNS = "@:/?#%+ &=;,'\"\\`$[]{}|<>~^!*()ü€ 語"
WHO = "select concat(current_user, ' ', current_database(), ' ', current_setting('application_name'))"


async def asked_by_asyncpg(url: DatabaseUrl, statement: str = WHO) -> str:
    """The first value of a statement."""
    connection = await Connector(url, command_timeout=10).opener({})()
    try:
        return str(await connection.fetchval(statement))
    finally:
        await connection.close()


def asked_by_psycopg(url: DatabaseUrl, statement: str = WHO) -> str:
    """The first value of a statement."""
    with psycopg.connect(**url.for_libpq()) as connection:
        row = connection.execute(statement).fetchone()
        assert row is not None
        return str(row[0])


def asked_by_yoyo(url: DatabaseUrl, statement: str = WHO) -> str:
    """The first value of a statement, on a connection of the library that migrates."""
    backend = migrate.connect_yoyo(url)
    with closing(backend.connection):
        return str(backend.execute(statement).fetchone()[0])


@pytest.fixture
def superuser(postgres: BundledPostgres) -> "Iterator[Superuser]":
    with psycopg.connect(postgres.url("postgres", user="postgres"), autocommit=True) as connection:
        yield connection


@pytest.fixture
def make_role(superuser: "Superuser", postgres: BundledPostgres, worker_id: str) -> "Iterator[Callable[..., str]]":
    """Makes a role whose password the server asks for, and a database of the same name; returns the name."""
    made = []
    access = postgres.data_dir / "postgres" / "pg_hba.conf"
    rule = "local all /^asked_ scram-sha-256\n"
    if not (text := access.read_text()).startswith(rule):
        access.write_text(rule + text)
        superuser.execute("select pg_reload_conf()")

    def make(name: str, password: str) -> str:
        name = f"asked_{worker_id}_{name}"
        made.append(name)
        role = sql.Identifier(name)
        superuser.execute(sql.SQL("create role {} login password {}").format(role, password))
        superuser.execute(sql.SQL("create database {} owner {}").format(role, role))
        return name

    yield make
    for name in made:
        superuser.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
        superuser.execute(sql.SQL("drop role if exists {}").format(sql.Identifier(name)))


@pytest.mark.parametrize("sign", ["", *SIGNS])
async def test_every_sign_in_a_name_and_a_password_reaches_the_server(
    make_role: Callable[..., str], postgres: BundledPostgres, sign: str
) -> None:
    password = f"{sign}a{sign}{sign}b{sign}" if sign else SIGNS
    name = make_role(f"x{sign}y" if sign not in ",%" else "xy", password)
    user, secret, folder = (quote(part, safe="") for part in (name, password, str(postgres.socket_dir)))
    for url in (
        f"postgresql://{user}:{secret}@{folder}/{user}",
        f"postgres://{user}:{secret}@/{user}?host={folder}&application_name=frontdesk",
        f"postgresql:///?user={user}&password={secret}&host={folder}&dbname={user}&port=5432",
    ):
        read = DatabaseUrl.read(url)
        said = [asked_by_psycopg(read), asked_by_yoyo(read), await asked_by_asyncpg(read)]
        assert said == [f"{name} {name} frontdesk"] * 3


async def test_a_plus_in_a_password_need_not_be_encoded(
    make_role: Callable[..., str], postgres: BundledPostgres
) -> None:
    name = make_role("plus", "a+b")
    folder = quote(str(postgres.socket_dir), safe="")
    read = DatabaseUrl.read(f"postgresql://{name}:a+b@{folder}/{name}")
    assert {asked_by_psycopg(read), asked_by_yoyo(read), await asked_by_asyncpg(read)} == {f"{name} {name} frontdesk"}


async def test_a_wrong_password_stops_the_start_and_is_not_shown(
    make_role: Callable[..., str], postgres: BundledPostgres
) -> None:
    name = make_role("wrong", "right")
    folder = quote(str(postgres.socket_dir), safe="")
    url = f"postgresql://{name}:hush@{folder}/{name}"
    with pytest.raises(StartError, match="password authentication failed") as at_start:
        await Database.connect(url)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed") as at_migration:
        migrate.migrate(url)
    assert "hush" not in f"{at_start.value} {at_migration.value}"


async def test_a_password_comes_from_a_password_file(
    make_role: Callable[..., str], postgres: BundledPostgres, tmp_path: Path
) -> None:
    name = make_role("filed", "from a file")
    file = tmp_path / "pgpass"
    file.write_text(f"*:*:*:{name}:from a file\n")
    file.chmod(0o600)
    folder = quote(str(postgres.socket_dir), safe="")
    read = DatabaseUrl.read(f"postgresql://{name}@{folder}/{name}?passfile={file}")
    assert {asked_by_psycopg(read), asked_by_yoyo(read), await asked_by_asyncpg(read)} == {f"{name} {name} frontdesk"}


async def test_parameters_of_the_session_reach_both_libraries(database_url: str) -> None:
    read = DatabaseUrl.read(
        f"{database_url}&application_name=a%20b&options=-c%20geqo%3Doff%20-c%20search_path%3Dpublic"
    )
    statement = "select concat(current_setting('application_name'), current_setting('geqo'), current_schemas(false))"
    said = {asked_by_psycopg(read, statement), asked_by_yoyo(read, statement), await asked_by_asyncpg(read, statement)}
    assert said == {"a boff{public}"}


async def test_a_session_has_the_name_that_the_url_gives(database_url: str) -> None:
    db = await Database.connect(f"{database_url}&application_name=shop")
    async with db.transaction() as transaction:
        names = [await transaction.connection.fetchval(f"show {name}") for name in ("application_name", "jit")]
    assert names == ["shop", "off"]
    await db.close()


async def test_settings_of_the_service_win_over_options(database_url: str) -> None:
    read = DatabaseUrl.read(f"{database_url}&options=-c%20timezone%3DEurope/Lisbon%20-c%20geqo%3Doff")
    connection = await Connector(read, command_timeout=10).opener({"timezone": "UTC"})()
    row = await connection.fetchrow("select current_setting('timezone'), current_setting('geqo')")
    await connection.close()
    assert tuple(row or ()) == ("UTC", "off")


async def test_a_host_that_cannot_be_used_gives_way_to_the_next(
    make_role: Callable[..., str], postgres: BundledPostgres, tmp_path: Path
) -> None:
    name = make_role("next", "x")
    with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts connections and says nothing
        places = [str(tmp_path), "127.0.0.1", str(postgres.socket_dir)]
        ports = f"5432,{silent.getsockname()[1]},5432"
        more = f"host={quote(','.join(places), safe='')}&port={ports}&connect_timeout=1"
        read = DatabaseUrl.read(f"postgresql://{name}:x@/{name}?{more}")
        assert await asyncio.to_thread(asked_by_psycopg, read) == f"{name} {name} frontdesk"
        assert await asyncio.to_thread(asked_by_yoyo, read) == f"{name} {name} frontdesk"
        assert await asked_by_asyncpg(read) == f"{name} {name} frontdesk"


async def test_of_several_hosts_none_is_used_that_cannot_be_written_to(
    make_role: Callable[..., str], superuser: "Superuser", postgres: BundledPostgres
) -> None:
    name = make_role("reader", "x")
    superuser.execute(sql.SQL("alter role {} set default_transaction_read_only = on").format(sql.Identifier(name)))
    folder = quote(str(postgres.socket_dir), safe="")
    read = DatabaseUrl.read(f"postgresql://{name}:x@{folder},{folder}/{name}")
    with pytest.raises(psycopg.OperationalError, match="read-only"):
        asked_by_psycopg(read)
    with pytest.raises(asyncpg.TargetServerAttributeNotMatched) as raised:
        await asked_by_asyncpg(read)
    assert reason_of(raised.value) == "none of the hosts can be written to"
    anyone = DatabaseUrl.read(f"postgresql://{name}:x@{folder},{folder}/{name}?target_session_attrs=any")
    assert await asked_by_asyncpg(anyone) == asked_by_psycopg(anyone)


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secured(authority: trustme.CA) -> Iterator[Startups]:
    """A server with a certificate for 127.0.0.1, that asks for one of the client."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_OPTIONAL
    with startups(context) as found:
        yield found


async def refused_by(url: DatabaseUrl) -> tuple[str, str]:
    """The texts with which both libraries end."""
    with pytest.raises((OSError, asyncpg.PostgresError)) as by_asyncpg:
        await asked_by_asyncpg(url)
    with pytest.raises(psycopg.OperationalError) as by_psycopg:
        await asyncio.to_thread(asked_by_psycopg, url)
    return str(by_asyncpg.value), str(by_psycopg.value)


async def test_parameters_of_tls_reach_both_libraries(authority: trustme.CA, secured: Startups, tmp_path: Path) -> None:
    authority.cert_pem.write_to_path(tmp_path / "root.pem")
    certificate = authority.issue_cert("client.example", common_name="the client")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    (tmp_path / "key.pem").chmod(0o600)
    for each in certificate.cert_chain_pems:
        each.write_to_path(tmp_path / "cert.pem", append=True)
    files = f"sslrootcert={tmp_path}/root.pem&sslcert={tmp_path}/cert.pem&sslkey={tmp_path}/key.pem"
    for more, tls in {
        "sslmode=disable": "none",
        "sslmode=require": "without a certificate",
        f"sslmode=verify-full&{files}": "the client",
    }.items():
        secured.seen.clear()
        texts = await refused_by(DatabaseUrl.read(f"postgresql://u@127.0.0.1:{secured.port}/d?{more}"))
        assert [("refused by the test" in text) for text in texts] == [True, True]
        sent = [(each["tls"], each["user"], each["database"], each["application_name"]) for each in secured.seen]
        assert sent == [(tls, "u", "d", "frontdesk")] * 2


async def test_a_server_that_another_authority_certified_is_refused_by_both_libraries(
    secured: Startups, tmp_path: Path
) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "root.pem")
    more = f"sslmode=verify-full&sslrootcert={tmp_path}/root.pem"
    texts = await refused_by(DatabaseUrl.read(f"postgresql://u@127.0.0.1:{secured.port}/d?{more}"))
    assert ["certificate verify failed" in text for text in texts] == [True, True]
    assert secured.seen == []


async def test_certificates_that_are_missing_stop_the_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(StartError, match=r"root certificate file .* does not exist"):
        await Database.connect("postgresql://u@127.0.0.1:1/d?sslmode=verify-full")


async def test_a_server_without_tls_is_refused_by_both_libraries_when_tls_is_required() -> None:
    with startups() as plain:
        url = DatabaseUrl.read(f"postgresql://u@127.0.0.1:{plain.port}/d?sslmode=require")
        await refused_by(url)
        assert plain.seen == []
        await refused_by(DatabaseUrl.read(f"postgresql://u@127.0.0.1:{plain.port}/d"))
        assert [each["tls"] for each in plain.seen] == ["none", "none"]


def test_yoyo_gets_every_parameter_as_psycopg_does() -> None:
    url = DatabaseUrl.read(
        f"postgresql://u:{quote(SIGNS, safe='')}@H,[::1]:7/d?application_name={quote(SIGNS, safe='')}"
    )
    with startups() as plain:
        more = f"application_name={quote(SIGNS, safe='')}"
        url = DatabaseUrl.read(f"postgresql://u:{quote(SIGNS, safe='')}@127.0.0.1:{plain.port}/d?{more}")
        for ask in (asked_by_psycopg, asked_by_yoyo):
            with pytest.raises(psycopg.OperationalError, match="refused by the test"):
                ask(url)
        assert plain.seen[0] == plain.seen[1]
        assert plain.seen[0]["application_name"] == SIGNS
