"""Rules for the whole project: SQL is valid and used, settings are documented, routes and their access are listed."""

import ast
import itertools
import re
from collections.abc import Iterable, Iterator
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
from server.settings import site
from server.settings.account_model import RESERVED_NAMES
from server.settings.settings import Settings
from server.settings.values import OWN_PATHS, is_below
from server.web.endpoints import Endpoint
from tests.conftest import PASSWORD, Person

ROOT = Path(__file__).parent.parent
PYTHON = sorted((ROOT / "server").rglob("*.py"))
ROUTES = ROOT / "tests" / "routes.txt"
SQL = statements()
NAMED = {name for file in PYTHON for name in re.findall(r'"([\w-]+/[\w-]+)"', file.read_text())}
CALLS = {"row", "rows", "find", "change", "share"}  # the methods that take the name of a statement first


def head_of(text: str) -> str:
    """The comment at the top of a statement file."""
    return "\n".join(itertools.takewhile(lambda line: line.startswith("--"), text.splitlines()))


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
    head, body = head_of(SQL[name]), re.sub("--.*", "", SQL[name])
    assert head, f"sql/{name}.sql begins with a comment: what comes back, and what $1 is"
    in_body, in_head = set(re.findall(r"\$\d+", body)), set(re.findall(r"\$\d+", head))
    assert in_head == in_body, f"the comment at the top of sql/{name}.sql says what each $1, $2, … of the statement is"


def test_every_statement_is_used() -> None:
    unused = sorted(set(SQL) - NAMED)
    assert unused == [], "no module of server/ names these statements: remove the files in sql/, or use them"


def test_every_statement_that_a_module_names_has_a_file() -> None:
    folders = {name.partition("/")[0] for name in SQL}
    in_calls = {
        (file.relative_to(ROOT).as_posix(), node.args[0].value)
        for file in PYTHON
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CALLS
        if node.args and isinstance(node.args[0], ast.Constant) and isinstance(node.args[0].value, str)
        if "/" in node.args[0].value
    }
    assert len(in_calls) > 50
    wrong = {f"{file}: {name}" for file, name in in_calls if name not in SQL}
    wrong |= {name for name in NAMED if name.partition("/")[0] in folders and name not in SQL}
    assert sorted(wrong) == [], "sql/ has no file of this name"


def test_every_file_of_sql_is_one_statement_in_the_folder_of_its_noun() -> None:
    found = {file.relative_to(ROOT / "sql").as_posix() for file in (ROOT / "sql").rglob("*") if file.is_file()}
    misplaced = sorted(found - {f"{name}.sql" for name in SQL})
    assert misplaced == [], "not read as statements: a statement is sql/NOUN/NAME.sql, neither deeper nor beside NOUN/"


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
    "server/commands/check_database.py": 1,  # advice to the operator: "REINDEX each"
    "server/database/connecting.py": 4,  # session settings, which have no parameters, and begin, for a pooler
    "server/postgres/unix_socket.py": 1,  # as in server.py
    "server/postgres/server.py": 3,  # run before the database exists, in a protocol without parameters
    "server/transfer/django_database.py": 4,  # the tables of another site, whose names are not known before
    "server/transfer/django_dump.py": 9,  # SQLite's
    "server/database/migrate.py": 2,  # psycopg's parameters are %s, so that no file of sql/ could be prepared by a test
}
SQL_WORDS = re.compile(
    r"(?:\s|\(|--[^\n]*\n|/\*.*?\*/)*"
    r"(?:(?:select|insert|update|delete|merge|values|table|with|explain|analyze|vacuum|reindex|cluster|create|alter|drop"
    r"|truncate|grant|revoke|comment\s+on|set|reset|lock|copy|call|begin|commit|rollback|prepare|execute|deallocate"
    r"|declare|fetch|listen|notify)[\s;({]|do\s+(?:\$|'|language)).*\S",
    re.IGNORECASE | re.DOTALL,
)


def texts_of(tree: ast.AST) -> Iterator[str]:
    """Every text of a module but docstrings; the values of an f-string are `{}`."""
    nodes = [*ast.walk(tree)]
    left_out = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    left_out |= {id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in left_out:
            yield node.value


@pytest.mark.parametrize(
    "code",
    [
        *("'select 1'", "'SELECT id FROM users'", "' \\n select 1'", "'-- why\\nselect 1'", "'(select 1)'"),
        *("'/* why */ Select(1)'", "f'select * from {x}'", "'values (1)'"),
        *("'explain select 1'", "'merge into x'", "'VACUUM users'", "'insert into x values (1)'", "'do $$ begin'"),
    ],
)
def test_sql_in_python_is_found_however_it_is_written(code: str) -> None:
    assert [text for text in texts_of(ast.parse(f"y = {code}")) if SQL_WORDS.match(text)]


def test_sql_is_not_written_in_python() -> None:
    found = {
        file.relative_to(ROOT).as_posix(): [
            text for text in texts_of(ast.parse(file.read_text())) if SQL_WORDS.match(text)
        ]
        for file in PYTHON
    }
    counted = {name: len(texts) for name, texts in found.items() if texts}
    unknown = {name: texts for name, texts in found.items() if len(texts) != IN_PYTHON.get(name, 0)}
    assert counted == IN_PYTHON, f"move these statements into files of sql/: {unknown}"


def test_every_constraint_that_becomes_an_error_text_exists(database: Any) -> None:
    for name in (USERNAME_CONSTRAINT, EMAIL_CONSTRAINT):
        assert database.execute("select from pg_class where relname = %s", [name]).fetchone() is not None
    assert database.execute("select from pg_constraint where conname = %s", [LENGTH_CONSTRAINT]).fetchone() is not None


def test_migrations_name_every_constraint_and_index(database: Any) -> None:
    # A rollback names what the migration made, also what it did not name itself.
    up = [file for file in (ROOT / "migrations").glob("*.sql") if not file.name.endswith(".rollback.sql")]
    written = {word for file in up for word in re.findall(r"\w+", re.sub("--.*", "", file.read_text()))}
    rows = database.execute(
        "select conname as name from pg_constraint where connamespace = 'public'::regnamespace and contype <> 'n'"
        " union select indexname from pg_indexes where schemaname = 'public'"
    ).fetchall()
    names = {row["name"] for row in rows if "yoyo" not in row["name"]}
    assert len(names) > 10
    unnamed = sorted(names - written)
    assert unnamed == [], "PostgreSQL chose these names: name each constraint and index in its migration"


def test_readme_documents_every_setting_with_its_default() -> None:
    table = re.findall(r"^\| `([A-Z_]+)` \| (?:`(.*?)`)? *\| (.*) \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    shown = Settings().shown()
    says = {name.upper(): each.metadata["description"] for name, each in Settings.__dataclass_fields__.items()}
    in_readme = {name: (default, text) for name, default, text in table}
    in_code = {name: (default, says[name]) for name, default in shown.items()}
    differing = [name for name in in_code | in_readme if in_code.get(name) != in_readme.get(name)]
    rows = [
        f"| `{name}` | {f'`{in_code[name][0]}`' if in_code[name][0] else ''} | {in_code[name][1]} |"
        for name in differing
        if name in in_code
    ]
    assert differing == [], "these rows of README's table differ from Settings, which would write:\n" + "\n".join(rows)


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
    listed = ROUTES.read_text().splitlines()
    added, removed = (
        [f"+ {each}" for each in lines if each not in listed],
        [f"- {each}" for each in listed if each not in lines],
    )
    difference = "\n".join([*added, *removed])
    if found != ROUTES.read_text():
        pytest.fail(
            f"The routes or their access are not those of tests/routes.txt:\n{difference}\n"
            f"If this is intended: mv {renewed.relative_to(ROOT)} tests/routes.txt",
            pytrace=False,
        )


def test_no_setting_can_move_the_contract_onto_a_path_of_the_service_itself(settings: Settings) -> None:
    moved = replace(settings, auth_path="/moved", accounts_path="/moved", login_field="email")
    own = {each.path.rstrip("/") for each in endpoints_of(create_app(moved)) if not is_below(each.path, "/moved")}
    unlisted = {path for path in own if path and not any(is_below(path, each) for each in OWN_PATHS)}
    assert unlisted == set(), "AUTH_PATH could cover these: put where they begin into OWN_PATHS of settings/values.py"
    unused = {path for path in OWN_PATHS if not any(is_below(each, path) for each in own)}
    assert unused == set(), "OWN_PATHS of settings/values.py lists paths that no endpoint has"


SITE_WITH_ONE_FIELD = """
[account]
fields = { type = "object", properties.declared = { type = "string" } }
read_by.declared = "everyone"
"""


@pytest.mark.parametrize("login_field", ["username", "email"])
def test_a_declared_field_cannot_have_a_name_that_stands_beside_it(
    settings: Settings, tmp_path: Path, login_field: Any
) -> None:
    (tmp_path / "site.toml").write_text(SITE_WITH_ONE_FIELD + (ROOT / "tests" / "school.toml").read_text())
    site_file = site.read(str(tmp_path / "site.toml"))
    switched = replace(settings, site_file=site_file, login_field=login_field, user_create_password_retype=True)
    schemas = {schema for each in endpoints_of(create_app(switched)) for schema in (each.body, each.response) if schema}
    beside = set().union(*(keys(each) for each in schemas if "declared" in keys(each))) - {"declared"}
    assert len(beside) > 10
    assert beside - RESERVED_NAMES == set()


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
            assert set(one) == keys(endpoint.response, only_required=True), endpoint.path
        if endpoint.path.startswith("/auth/users/") and endpoint.method == "GET" and "/me/" not in endpoint.path:
            _, sent = await staff.get(path)  # staff see more
            assert set(sent[0] if endpoint.many else sent) == keys(endpoint.response), endpoint.path
        checked += 1
    assert checked >= 18


def keys(schema: type[Schema], *, only_required: bool = False) -> set[str]:
    """The names of the fields of a schema: of all, or of those that are always there."""
    return {name for name, each in schema().fields.items() if each.required or not only_required}


def test_a_module_has_at_most_300_lines() -> None:
    long = [file.relative_to(ROOT).as_posix() for file in PYTHON if len(file.read_text().splitlines()) > 300]
    assert long == [], "split these modules by noun"


def test_a_module_is_named_after_what_it_holds() -> None:
    names = [part for file in PYTHON for part in file.relative_to(ROOT).with_suffix("").parts]
    assert [name for name in names if re.search("util|helper|services$|service_|repositor|manager", name)] == []
