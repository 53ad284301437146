"""The house keeps its rules: SQL is valid, used, of its promised shape; settings are documented; doors are known."""

import ast
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiohttp import web
from marshmallow import Schema

from server.api.users import CONSTRAINTS
from server.app import create_app
from server.database.database import statements
from server.settings.settings import Settings
from server.web.endpoints import Endpoint
from tests.conftest import PASSWORD, Person

ROOT = Path(__file__).parent.parent
PYTHON = sorted((ROOT / "server").rglob("*.py"))
ROUTES = ROOT / "tests" / "routes.txt"
SQL = statements()
NAMED = {name for file in PYTHON for name in re.findall(r'"([a-z_]+/[a-z_]+)"', file.read_text()) if name in SQL}


def head_of(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if line.startswith("--"))


def endpoints_of(app: web.Application) -> Iterable[Endpoint]:
    found = {(each.handler.endpoint.path, each.handler.endpoint.method): each for each in app.router.routes()}
    return [route.handler.endpoint for route in found.values()]


@pytest.mark.parametrize("name", sorted(SQL))
async def test_a_statement_is_valid(database_url: str, name: str) -> None:
    connection = await asyncpg.connect(database_url)
    try:
        await connection.prepare(SQL[name])
    finally:
        await connection.close()


@pytest.mark.parametrize("name", sorted(SQL))
def test_a_statement_says_what_comes_back_and_what_goes_in(name: str) -> None:
    head, body = head_of(SQL[name]), SQL[name].replace(head_of(SQL[name]), "")
    assert head
    assert set(re.findall(r"\$\d", body)) == set(re.findall(r"\$\d", head))


def test_every_statement_is_used() -> None:
    assert set(SQL) - NAMED == set()


async def shape(connection: asyncpg.Connection, text: str) -> list[tuple[str, str]]:
    prepared = await connection.prepare(text)
    return [(column.name, column.type.name) for column in prepared.get_attributes()]


async def test_statements_of_one_shape_return_the_same_columns(database_url: str) -> None:
    promised = {name: found[1] for name, text in SQL.items() if (found := re.search("-- shape: (.*)", text))}
    assert promised
    connection = await asyncpg.connect(database_url)
    try:
        for name, model in promised.items():
            assert await shape(connection, SQL[name]) == await shape(connection, SQL[model]), name
    finally:
        await connection.close()


# What stands in Python all the same, and why.
IN_PYTHON = {
    "server.py": 4,  # run before the database exists, in a protocol without parameters
    "migrate.py": 2,  # psycopg's parameters are %s, so that no file of sql/ could be prepared by a test
}
SQL_WORDS = re.compile(
    r"\s*(?:select|insert into|update|delete from|with|create|alter|drop|truncate|grant|set|lock|copy|do|call|begin)\s"
)


def test_python_writes_no_sql() -> None:
    found = {}
    for file in PYTHON:
        tree = ast.parse(file.read_text())
        prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
        texts = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in prose]
        written = [node.value for node in texts if isinstance(node.value, str) and SQL_WORDS.match(node.value)]
        found[file.name] = len(written)
    assert {name: count for name, count in found.items() if count} == IN_PYTHON


def test_every_constraint_that_callers_may_meet_exists(database: Any) -> None:
    for name in CONSTRAINTS:
        assert database.execute("select from pg_class where relname = %s", [name]).fetchone() is not None


def test_every_constraint_and_index_has_a_name_of_ours(database: Any) -> None:
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
    says = {name.upper(): each.metadata["says"] for name, each in Settings.__dataclass_fields__.items()}
    assert {name: default for name, default, _ in table} == shown
    assert {name: text for name, _, text in table} == says


def test_the_routes_and_who_may_enter_are_as_agreed(settings: Settings) -> None:
    app = create_app(settings)
    lines = sorted(f"{each.path} {each.method} {each.access.name}" for each in endpoints_of(app))
    found = "\n".join(lines) + "\n"
    renewed = ROOT / ".cache" / "routes.txt"
    renewed.write_text(found)
    assert found == ROUTES.read_text(), f"if the change is meant: mv {renewed.relative_to(ROOT)} tests/routes.txt"


async def test_what_an_endpoint_sends_is_what_its_schema_says(anna: Person, staff: Person, settings: Settings) -> None:
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
    return set(schema().fields)


def test_rooms_are_small_and_named_by_what_is_in_them() -> None:
    for file in PYTHON:
        assert len(file.read_text().splitlines()) <= 300, file
        assert not re.search("util|helper|service_|repositor|manager", file.name), file
