"""Rules for the whole project: SQL is valid and used, settings are documented, routes and their access are listed."""

import ast
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiohttp import web
from marshmallow import Schema

from server.accounts.fields import LENGTH_CONSTRAINT
from server.accounts.uniqueness import EMAIL_CONSTRAINT, USERNAME_CONSTRAINT
from server.app import create_app
from server.resources import statements
from server.settings.settings import Settings
from server.web.endpoints import Endpoint
from tests.conftest import PASSWORD, Person

ROOT = Path(__file__).parent.parent
PYTHON = sorted((ROOT / "server").rglob("*.py"))
ROUTES = ROOT / "tests" / "routes.txt"
SQL = statements()
NAMED = {name for file in PYTHON for name in re.findall(r'"([a-z_]+/[a-z_]+)"', file.read_text()) if name in SQL}


def head_of(text: str) -> str:
    """The comments of a statement file."""
    return "\n".join(line for line in text.splitlines() if line.startswith("--"))


def endpoints_of(app: web.Application) -> Iterable[Endpoint]:
    """Every endpoint once: each has a route with a final slash and one without."""
    handlers: list[Any] = [route.handler for route in app.router.routes()]
    return {(each.endpoint.path, each.endpoint.method): each.endpoint for each in handlers}.values()


@pytest.mark.parametrize("name", sorted(SQL))
async def test_a_statement_is_valid(database_url: str, name: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.prepare(SQL[name])
    finally:
        await connection.close()


@pytest.mark.parametrize("name", sorted(SQL))
def test_a_statement_header_names_every_parameter(name: str) -> None:
    head, body = head_of(SQL[name]), SQL[name].replace(head_of(SQL[name]), "")
    assert head
    assert set(re.findall(r"\$\d+", body)) == set(re.findall(r"\$\d+", head))


def test_every_statement_is_used() -> None:
    assert set(SQL) - NAMED == set()


async def columns(connection: asyncpg.Connection, text: str) -> list[tuple[str, str]]:
    prepared = await connection.prepare(text)
    return [(column.name, column.type.name) for column in prepared.get_attributes()]


async def test_statements_with_the_same_shape_comment_return_the_same_columns(database_url: str) -> None:
    promised = {
        name: (found[1], found[2])
        for name, text in SQL.items()
        if (found := re.search(r"-- shape: (\S+)( and has_next)?\n", text))
    }
    assert promised
    connection = await asyncpg.connect(database_url)
    try:
        for name, (model, and_has_next) in promised.items():
            expected = await columns(connection, SQL[model]) + ([("has_next", "bool")] if and_has_next else [])
            assert await columns(connection, SQL[name]) == expected, name
    finally:
        await connection.close()


# The SQL that is in Python nevertheless: how many statements a module has, and why.
IN_PYTHON = {
    "server/postgres/server.py": 3,  # run before the database exists, in a protocol without parameters
    "server/postgres/unix_socket.py": 1,  # the same
    "server/database/connecting.py": 2,  # session settings, which have no parameters
    "server/database/migrate.py": 2,  # psycopg's parameters are %s, so that no file of sql/ could be prepared by a test
}
SQL_WORDS = re.compile(
    r"\s*(?:select|insert into|update|delete from|with|create|alter|drop|truncate|grant|set|lock|copy|do|call|begin)\s"
)


def test_sql_is_not_written_in_python() -> None:
    found = {}
    for file in PYTHON:
        tree = ast.parse(file.read_text())
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docstrings]
        written = [node.value for node in texts if isinstance(node.value, str) and SQL_WORDS.match(node.value)]
        found[file.relative_to(ROOT).as_posix()] = len(written)
    assert {name: count for name, count in found.items() if count} == IN_PYTHON


def test_every_constraint_that_becomes_an_error_text_exists(database: Any) -> None:
    for name in (USERNAME_CONSTRAINT, EMAIL_CONSTRAINT):
        assert database.execute("select from pg_class where relname = %s", [name]).fetchone() is not None
    assert database.execute("select from pg_constraint where conname = %s", [LENGTH_CONSTRAINT]).fetchone() is not None


def test_migrations_name_every_constraint_and_index(database: Any) -> None:
    written = "".join(file.read_text() for file in (ROOT / "migrations").glob("*.sql"))
    rows = database.execute(
        "select conname as name from pg_constraint where connamespace = 'public'::regnamespace and contype <> 'n'"
        " union select indexname from pg_indexes where schemaname = 'public'"
    ).fetchall()
    names = {row["name"] for row in rows if "yoyo" not in row["name"]}
    assert len(names) > 10
    assert [name for name in names if name not in written] == []


def test_readme_documents_every_setting_with_its_default() -> None:
    table = re.findall(r"^\| `([A-Z_]+)` \| (?:`(.*?)`)? *\| (.*) \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    shown = Settings().shown()
    says = {name.upper(): each.metadata["description"] for name, each in Settings.__dataclass_fields__.items()}
    assert {name: default for name, default, _ in table} == shown
    assert {name: text for name, _, text in table} == says


def routes(app: web.Application) -> set[str]:
    """Path, method and access of each endpoint of a site."""
    return {f"{each.path} {each.method} {each.access.name}" for each in endpoints_of(app)}


def test_the_routes_and_their_access_are_those_of_routes_txt(settings: Settings) -> None:
    usual, by_email = (routes(create_app(each)) for each in (settings, replace(settings, login_field="email")))
    assert usual <= by_email
    lines = sorted([*usual, *(f"{line} LOGIN_FIELD=email" for line in by_email - usual)])
    found = "\n".join(lines) + "\n"
    renewed = ROOT / ".cache" / "routes.txt"
    renewed.write_text(found)
    assert found == ROUTES.read_text(), f"if this is intended: mv {renewed.relative_to(ROOT)} tests/routes.txt"


async def test_a_response_has_the_fields_of_the_schema_of_its_endpoint(
    anna: Person, staff: Person, settings: Settings
) -> None:
    profile = (await anna.profile())["id"]
    given: dict[tuple[str, str], dict[str, Any]] = {
        ("/auth/users/", "POST"): {"username": "clara", "password": PASSWORD},
        ("/auth/jwt/create/", "POST"): {"username": "anna", "password": PASSWORD},
        ("/auth/token/login/", "POST"): {"username": "anna", "password": PASSWORD},
        ("/auth/jwt/refresh/", "POST"): {"refresh": anna.tokens["refresh"]},
        ("/auth/jwt/verify/", "POST"): {"token": anna.tokens["access"]},
        ("/auth/jwt/blacklist/", "POST"): {"refresh": (await anna.sign_in()).tokens["refresh"]},
    }
    checked = 0
    app = create_app(settings)
    for endpoint in sorted(endpoints_of(app), key=lambda each: (each.method == "DELETE", each.path, each.method)):
        if not endpoint.response or not endpoint.in_document:
            continue
        path = endpoint.path.replace("{id}", str(profile if "profile" in endpoint.path else anna.id))
        if (path, endpoint.method) == ("/api/accounts/all-profiles", "POST"):
            await anna.delete(f"/api/accounts/profile/{profile}")
            body: dict[str, Any] = {}
        else:
            body = given.get((endpoint.path, endpoint.method), {})
        status, sent = await anna.ask(endpoint.method, path, json=body)
        assert status == endpoint.status, (endpoint.path, endpoint.method, sent)
        profile = sent["id"] if path == "/api/accounts/all-profiles" and endpoint.method == "POST" else profile
        for one in sent if endpoint.many else [sent]:
            assert set(one) == keys(endpoint.response), endpoint.path
        checked += 1
    assert checked >= 18


def keys(schema: type[Schema]) -> set[str]:
    """The names of the fields of a schema."""
    return set(schema().fields)


def test_a_module_has_at_most_300_lines() -> None:
    assert [file for file in PYTHON if len(file.read_text().splitlines()) > 300] == []


def test_a_module_is_named_after_what_it_holds() -> None:
    names = [part for file in PYTHON for part in file.relative_to(ROOT).with_suffix("").parts]
    assert [name for name in names if re.search("util|helper|services$|service_|repositor|manager", name)] == []
