"""Statements have nothing that Citus refuses, where that costs plain PostgreSQL nothing (docs/scale.md).

The rules hold for every file of sql/, and for the migrations that no release has.
"""

import re
from collections.abc import Iterator

import pytest

from server.resources import resource, statements
from tests.database.keep_statements import RELEASED, kept_migrations

OF_ACCOUNTS = ("profiles", "sessions", "one_time_tokens", "api_tokens", "role_fields", "sign_in_networks")

# Statements that read or write rows of an account without its id as a parameter, and why.
WITHOUT_ACCOUNT = {
    "api_tokens/identify": "the token is random: its hash alone says whose it is",
    "imports/export": "a page of all",
    "imports/take": "a page of accounts that it makes, each with its rows",
    "one_time_tokens/sweep": "finds rows by time, then removes them by account and purpose",
    "profiles/find": "the path of the request has the id of a profile alone",
    "profiles/list": "a page of all",
    "profiles/name_key": "a page begins after the id of a profile",
    "profiles/of_page": "a page of all",
    "profiles/page": "a page of all",
    "profiles/page_by_name": "a page of all",
    "profiles/page_by_name_down": "a page of all",
    "profiles/page_newest": "a page of all",
    "restore/end_api_tokens": "ends all",
    "restore/end_sessions": "ends all",
    "sessions/identify": "the accounts beside the ids cost 5 to 7 % (docs/scale.md); the caller compares",
    "sessions/identify_refresh": "as sessions/identify",
    "sessions/end_any": "staff ends a session by its id alone",
    "sessions/sweep": "finds rows by time, then removes them by account and id",
    "users/credentials": "a sign-in knows the name, not yet the account",
    "users/credentials_by_email": "a sign-in knows the address, not yet the account",
    "users/sweep": "finds rows by time, then removes accounts by id",
}

# Statements that Citus refuses once their table has several shards, and why they stay.
SKIPS_LOCKED_ROWS = {
    "adopted_tokens/sweep": "processes that sweep together share the work",
    "events/clear_deleted": "processes that sweep together share the work",
    "events/sweep": "processes that sweep together share the work",
    "letters/sweep": "processes that sweep together share the work",
    "letters/take": "two workers must not send one letter; the queue is one shard",
    "limits/sweep": "processes that sweep together share the work",
    "one_time_tokens/sweep": "processes that sweep together share the work",
    "profiles/edit": "a batch must not wait for a row that somebody holds",
    "sessions/end_surplus": "a sign-in must not wait for an old session that somebody uses",
    "sessions/note_use": "notes of use must not wait for a row that somebody holds",
    "sessions/sweep": "processes that sweep together share the work",
    "users/sweep": "processes that sweep together share the work",
}


def plain(text: str) -> str:
    """A statement without comments, texts and line ends."""
    return " ".join(re.sub(r"'[^']*'", "''", re.sub("--.*", "", text)).lower().split())


def unreleased() -> Iterator[tuple[str, str]]:
    released = kept_migrations(RELEASED)
    for file in resource("migrations").iterdir():
        if file.name.endswith(".sql") and ".".join(file.name.split(".")[:2]) not in released:
            yield f"migrations/{file.name}", plain(file.read_text())


SQL = {name: plain(text) for name, text in statements().items()}
MIGRATIONS = dict(unreleased())
EVERYWHERE = SQL | MIGRATIONS


def inside(text: str, begin: int) -> str:
    """What follows `begin` up to the parenthesis or the semicolon that ends it."""
    depth = 0
    for place in range(begin, len(text)):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if depth < 0 or (depth == 0 and text[place] == ";"):
            return text[begin:place]
    return text[begin:]


def each_inside(opening: str, text: str) -> list[str]:
    """What follows each match of `opening`, up to the end of the clause or the parenthesis."""
    return [inside(text, found.end()) for found in re.finditer(opening, text)]


def subcommands(text: str) -> list[int]:
    """How many subcommands each `alter table` has."""
    counts = []
    for body in each_inside(r"\balter table ", text):
        outside = body
        while (shorter := re.sub(r"\([^()]*\)", "", outside)) != outside:
            outside = shorter
        counts.append(outside.count(",") + 1)
    return counts


def has_subselect_in_returning(text: str) -> bool:
    """Whether a `returning` computes something with a `select`."""
    return any(re.search(r"\(select\b", clause) for clause in each_inside(r"\breturning ", text))


def has_time_in_returning(text: str) -> bool:
    """Whether a `returning` computes something with the time."""
    return any("now()" in clause for clause in each_inside(r"\breturning ", text))


def names_account(text: str) -> bool:
    """Whether the id of the account is a parameter."""
    own_id = r"\b(user_id|u\.id|users\.id) = (any ?\()?\$\d|\bfrom users( u)? where id = \$\d"
    inserted = r"\binsert into \w+ \(user_id\b[^)]*\) values \(\$1\b"
    paired = r"\bas used \(id, user_id\)|\bas g \(id, (place|seconds)\)( \) as a)? join users\b"
    return re.search(rf"{own_id}|{inserted}|{paired}", text) is not None


def is_of_accounts(text: str) -> bool:
    """Whether a statement reads or writes a table whose rows belong to accounts."""
    return re.search(rf"\b(from|join|into|update) ({'|'.join(OF_ACCOUNTS)})\b", text) is not None


@pytest.mark.parametrize("name", sorted(EVERYWHERE))
def test_a_statement_has_nothing_that_citus_refuses(name: str) -> None:
    text = EVERYWHERE[name]
    assert not re.search(r"\bselect from\b", text), "write: exists (select 1 from …)"
    assert not re.search(r"\bcase (?!when\b)", text), "write: case when x = …"
    assert not has_subselect_in_returning(text), "return columns; read the rest in a `with` or a second statement"
    assert not has_time_in_returning(text), "return columns; compute in a `with`"


@pytest.mark.parametrize("name", sorted(MIGRATIONS))
def test_an_alter_table_of_a_migration_does_one_thing(name: str) -> None:
    assert set(subcommands(MIGRATIONS[name])) <= {1}, "write an `alter table` for each subcommand"


def test_a_statement_about_rows_of_an_account_names_the_account() -> None:
    found = {name for name, text in SQL.items() if is_of_accounts(text) and not names_account(text)}
    assert sorted(found - set(WITHOUT_ACCOUNT)) == [], "give them the account's id, or say in WITHOUT_ACCOUNT why not"
    assert sorted(set(WITHOUT_ACCOUNT) - found) == [], "these are no exceptions: remove them from WITHOUT_ACCOUNT"


def test_a_statement_that_skips_locked_rows_says_why() -> None:
    found = {name for name, text in SQL.items() if "skip locked" in text}
    assert sorted(found) == sorted(SKIPS_LOCKED_ROWS)


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (has_subselect_in_returning, "insert into t values (1) returning id, (select 1)"),
        (has_subselect_in_returning, "with a as (delete from t returning (select x from y)) select id from a"),
        (has_time_in_returning, "update t set a = 1 returning id, now() - made_at"),
        (names_account, "select 1 from sessions where user_id = $1"),
        (is_of_accounts, "delete from sessions where id = $1"),
    ],
)
def test_the_rules_find_what_breaks_them(check: object, text: str) -> None:
    assert callable(check)
    assert check(text)


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (has_subselect_in_returning, "with a as (delete from t returning id) select id, (select 1) from a"),
        (names_account, "select 1 from sessions s where s.user_id = s.id and s.id = $1"),
        (is_of_accounts, "select id from users"),
    ],
)
def test_the_rules_let_the_rest_be(check: object, text: str) -> None:
    assert callable(check)
    assert not check(text)


def test_subcommands_are_counted() -> None:
    text = "alter table a add b int, add c int; alter table a add constraint d check (e in (1, 2)); select 1, 2"
    assert subcommands(text) == [2, 1]
