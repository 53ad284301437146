"""A role that may not make tables is told the statement that gives it the right."""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql

from server.commands.database import check_schema
from server.database import migrate
from server.postgres.bundled import BundledPostgres
from server.settings.database_url import DatabaseUrl
from server.settings.settings import Settings
from tests.commands.conftest import Run

NAME = 'rights"\u00fc'


@pytest.fixture
def url(postgres: BundledPostgres, make_database: Callable[[str], str], worker_id: str) -> Iterator[str]:
    """An empty database, for a role that owns nothing there."""
    name = f"{NAME}_{worker_id}"
    role = sql.Identifier(name)
    database = make_database("rights")
    with psycopg.connect(postgres.url("postgres", user="postgres"), autocommit=True) as superuser:
        superuser.execute(sql.SQL("create role {} login").format(role))
        yield database.replace("//frontdesk@", f"//{quote(name, safe='')}@")
        superuser.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(f"rights_{worker_id}")))
        superuser.execute(sql.SQL("drop role {}").format(role))


@pytest.mark.parametrize("command", ["migrate", "serve", "work"])
@pytest.mark.parametrize("right", ["create", "usage"])
def test_a_role_without_the_right_is_told_the_statement_that_gives_it(
    run: Run, url: str, postgres: BundledPostgres, worker_id: str, command: str, right: str
) -> None:
    name = f"{NAME}_{worker_id}"
    with psycopg.connect(postgres.url(f"rights_{worker_id}"), autocommit=True) as owner:
        if right == "usage":
            owner.execute("revoke usage on schema public from public")
    status, said, told = run(command, DATABASE_URL=url)
    statement = f'GRANT USAGE, CREATE ON SCHEMA public TO "rights""ü_{worker_id}";'
    assert (status, said) == (1, "")
    where = f"The role {name} may not create tables in the database rights_{worker_id}."
    assert told == f"{where} Run there, as its owner or a superuser: {statement}\n"
    with psycopg.connect(postgres.url(f"rights_{worker_id}"), autocommit=True) as owner:
        owner.execute(statement.encode())
    assert run("migrate", DATABASE_URL=url)[0] == 0


def test_without_the_right_a_schema_that_is_up_to_date_is_served(url: str, postgres: BundledPostgres, run: Run) -> None:
    read = DatabaseUrl.read(url)
    with psycopg.connect(postgres.url(read.database), autocommit=True) as owner:
        owner.execute("grant create on schema public to public")
        migrate.migrate(url)
        owner.execute("revoke create on schema public from public")
    assert run("migrate", DATABASE_URL=url) == (0, "The schema is up to date.\n", "")


def test_another_missing_right_is_told_as_postgresql_tells_it(url: str, postgres: BundledPostgres, run: Run) -> None:
    read = DatabaseUrl.read(url)
    migrate.migrate(postgres.url(read.database))
    with psycopg.connect(postgres.url(read.database), autocommit=True) as owner:
        owner.execute("grant create on schema public to public")
    status, _, told = run("migrate", DATABASE_URL=url)
    assert status == 1
    assert told.startswith("The database could not be brought up to date: permission denied for table ")


@pytest.mark.parametrize("command", ["serve", "work"])
def test_a_role_that_may_not_use_the_tables_is_told_the_statement_that_lets_it(
    run: Run, url: str, postgres: BundledPostgres, worker_id: str, command: str
) -> None:
    read = DatabaseUrl.read(url)
    migrate.migrate(postgres.url(read.database))
    status, said, told = run(command, DATABASE_URL=url, MIGRATE_ON_START="false")
    assert (status, said) == (1, "")
    role = f'"rights""ü_{worker_id}"'
    statement = f"GRANT USAGE ON SCHEMA public TO {role}; "
    statement += f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role};"
    where = f"The role {read.user} may not use the tables in the database {read.database}."
    assert told == f"{where} Run there, as their owner or a superuser: {statement}\n"
    with psycopg.connect(postgres.url(read.database), autocommit=True) as owner:
        owner.execute(statement.encode())
    assert migrate.check(url) == []


@pytest.mark.parametrize("command", [("users",), ("user", "anna"), ("letters",), ("export", "anna")])
def test_a_command_that_may_not_use_the_tables_tells_the_statement_that_lets_it(
    run: Run, url: str, postgres: BundledPostgres, worker_id: str, command: tuple[str, ...]
) -> None:
    read = DatabaseUrl.read(url)
    migrate.migrate(postgres.url(read.database))
    status, said, told = run(*command, DATABASE_URL=url, MIGRATE_ON_START="false")
    assert (status, said) == (1, "")
    assert told.startswith(f"The role {read.user} may not use the tables in the database {read.database}. Run there")
    assert told.count("\n") == 1


def test_a_check_names_the_right_that_is_missing(run: Run, url: str, postgres: BundledPostgres, worker_id: str) -> None:
    read = DatabaseUrl.read(url)
    migrate.migrate(postgres.url(read.database))
    name, quoted = read.user, f'"rights""ü_{worker_id}"'
    said = run("check", DATABASE_URL=url, MIGRATE_ON_START="false")[1].splitlines()
    assert f"FAULT   rights: the role {name} lacks SELECT on _yoyo_migration" in said
    assert f"        GRANT SELECT ON _yoyo_migration TO {quoted}" in said
    assert f"FAULT   rights: the role {name} lacks DELETE, INSERT, SELECT, UPDATE on users" in said
    assert f"        GRANT DELETE, INSERT, SELECT, UPDATE ON users TO {quoted}" in said
    assert [line for line in said if "cannot be reached" in line] == []


def test_a_check_names_the_schema_that_may_not_be_used(
    run: Run, url: str, postgres: BundledPostgres, worker_id: str
) -> None:
    read = DatabaseUrl.read(url)
    migrate.migrate(postgres.url(read.database))
    with psycopg.connect(postgres.url(read.database), autocommit=True) as owner:
        owner.execute("revoke usage on schema public from public")
    status, said, _ = run("check", DATABASE_URL=url, MIGRATE_ON_START="false")
    assert status == 1
    assert f"FAULT   rights: the role {read.user} may not use the tables of the schema" in said
    assert f'GRANT USAGE ON SCHEMA public TO "rights""ü_{worker_id}";' in said
    assert "the schema is empty" not in said


def test_an_empty_database_that_is_not_migrated_is_told_once(
    make_database: Callable[[str], str], caplog: pytest.LogCaptureFixture
) -> None:
    check_schema(Settings(database_url=make_database("empty")))
    (line,) = [record.getMessage() for record in caplog.records]
    assert line == (
        "the database lacks migrations, and MIGRATE_ON_START is false: 503 until `migrate` has run: "
        + ", ".join(migrate.names())
    )


@pytest.mark.parametrize("migrates", ["true", "false"])
def test_a_database_that_does_not_exist_is_told_in_one_line(run: Run, postgres: BundledPostgres, migrates: str) -> None:
    status, _, told = run("serve", DATABASE_URL=postgres.url("nowhere"), MIGRATE_ON_START=migrates)
    assert status == 1
    assert 'database "nowhere" does not exist' in told
    assert told.count("\n") == 1


def test_an_import_says_that_it_needs_the_role_that_owns_the_tables(
    url: str, postgres: BundledPostgres, run: Run, tmp_path: Path
) -> None:
    with psycopg.connect(postgres.url(DatabaseUrl.read(url).database), autocommit=True) as owner:
        migrate.migrate(postgres.url(DatabaseUrl.read(url).database))
        owner.execute("grant select, insert, update, delete on all tables in schema public to public")
    (tmp_path / "users.jsonl").write_text('{"username": "anna"}\n')
    status, said, told = run("import-users", str(tmp_path / "users.jsonl"), DATABASE_URL=url, MIGRATE_ON_START="false")
    assert (status, said) == (2, "")
    assert told.endswith("an import needs the role that owns the tables.\n")
