"""Lists walk indexes: a condition that no index serves would read every account (docs/decisions/search.md)."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from server.resources import statements
from tests.rows import Connection

SEARCHED = "anna"


@pytest.fixture
def accounts(database: Connection) -> Iterator[None]:
    """Enough accounts for PostgreSQL to prefer an index; nothing of them is committed."""
    with database.transaction(force_rollback=True):
        database.execute(
            "insert into users (username, email, is_staff, is_active, awaits_activation, role)"
            " select 'p' || n, n || '@x.example', n % 500 = 0, n % 500 <> 1, n % 500 = 1,"
            " case when n % 500 = 0 then 'teacher' end"
            " from generate_series(1, 3000) n"
        )
        database.execute(
            "insert into events (kind, user_id)"
            " select case when n = 1 then 'signed_in' else 'sign_in_refused' end, (select max(id) from users)"
            " from generate_series(1, 2000) n"
        )
        database.execute("analyze users, profiles, events")
        yield


ANY = (None, None, None, None, False)


@pytest.mark.parametrize(
    ("name", "values", "number"),
    [
        ("users/page", [0, 10, SEARCHED, *ANY], 3),
        ("users/page_newest", [9999999, 10, SEARCHED, *ANY], 3),
        ("users/page_by_name", [None, 10, SEARCHED, *ANY], 3),
        ("users/page_by_name_down", ["x", 10, SEARCHED, *ANY], 3),
        ("profiles/page", [0, 10, SEARCHED, None, True], 1),
        ("profiles/page_newest", [9999999, 10, SEARCHED, None, True], 1),
        ("profiles/page_by_name", [None, 10, SEARCHED, None, True], 1),
        ("profiles/page_by_name_down", [None, 10, SEARCHED, None, True], 1),
    ],
)
def test_a_search_is_served_by_the_index_of_grams(
    accounts: None, database: Connection, name: str, values: list[Any], number: int
) -> None:
    assert explained(database, name, values).count("on users_grams") == number


@pytest.mark.parametrize(
    ("name", "values", "index"),
    [
        ("users/page", [0, 10, None, *ANY], "users_pkey"),
        ("users/page_newest", [9999999, 10, None, *ANY], "users_pkey"),
        ("users/page_by_name", ["x", 10, None, *ANY], "users_username_key"),
        ("users/page_by_name_down", [None, 10, None, *ANY], "users_username_key"),
        ("users/page", [0, 10, None, False, None, None, None, False], "users_inactive"),
        ("users/page", [0, 10, None, None, True, None, None, False], "users_staff"),
        ("users/page_newest", [9999999, 10, None, None, None, True, None, False], "users_awaiting"),
        ("users/page", [0, 10, None, None, None, None, "teacher", False], "users_role"),
        ("profiles/page_by_name", ["p", 10, None, None, True], "users_username_key"),
        ("profiles/page_newest", [9999999, 10, None, None, True], "profiles_pkey"),
        ("users/with_state", ["{1}"], "events_signed_in"),
    ],
)
def test_a_page_walks_an_index(accounts: None, database: Connection, name: str, values: list[Any], index: str) -> None:
    plan = explained(database, name, values)
    assert index in plan
    assert not re.search("Seq Scan on (users|profiles|events)", plan)  # sessions are few here


def explained(database: Connection, name: str, values: list[Any]) -> str:
    """The plan of a statement for these values."""
    literals = ", ".join("null" if value is None else f"'{value}'" for value in values)
    database.execute("set local plan_cache_mode = force_custom_plan")
    database.execute(f"prepare asked as {statements()[name]}".encode())
    try:
        lines = database.execute(f"explain execute asked({literals})".encode()).fetchall()
    finally:
        database.execute("deallocate asked")
    return "\n".join(str(line["QUERY PLAN"]) for line in lines)


def test_the_grams_of_an_account_have_those_of_every_term_that_finds_it(database: Connection) -> None:
    for text in ("a", "ab", "anna", "мария", "王小", "aaa", "x" * 254, "a_b%c"):
        for begin in range(len(text)):
            for end in range(begin + 1, len(text) + 1 if len(text) < 20 else begin + 5):
                term = text[begin:end]
                if end - begin < 3 and begin:
                    continue  # a short term finds beginnings
                query = "select account_grams(%s, '', null) @> term_grams('u', %s) and finds(%s, %s) as found"
                assert database.execute(query, [text, term, term, text]).fetchone() == {"found": True}, term


def test_an_index_of_grams_can_be_rebuilt(database: Connection) -> None:
    database.execute("insert into users (username, account_fields) values ('anna', '{\"name\": \"Anna\"}')")
    database.execute("reindex index users_grams")  # with a search_path of its own
