"""Lists walk indexes: a condition that no index serves would read every account (docs/decisions/search.md)."""

import re
from typing import Any

import pytest

from server.resources import statements
from tests.rows import Connection

SEARCHED = "anna"


@pytest.mark.parametrize(
    ("name", "values", "indexes"),
    [
        ("users/page", ["0", "10", SEARCHED, None, None, None, None], ["users_grams"] * 3),
        ("users/page_newest", ["9", "10", SEARCHED, None, None, None, None], ["users_grams"] * 3),
        ("users/page_by_name", [None, "10", SEARCHED, None, None, None, None], ["users_grams"] * 3),
        ("users/page_by_name_down", ["x", "10", SEARCHED, None, None, None, None], ["users_grams"] * 3),
        ("profiles/page", ["0", "10", SEARCHED, None, "true"], ["users_grams"]),
        ("profiles/page_by_name", [None, "10", SEARCHED, None, "true"], ["users_grams"]),
    ],
)
def test_a_search_is_served_by_the_index_of_grams(
    database: Connection, name: str, values: list[Any], indexes: list[str]
) -> None:
    assert re.findall("users_grams", explained(database, name, values, off=("enable_seqscan", "enable_indexscan"))) == (
        indexes
    )


@pytest.mark.parametrize(
    ("name", "values", "index"),
    [
        ("users/page", ["0", "10", None, None, None, None, None], "users_pkey"),
        ("users/page_newest", ["9", "10", None, None, None, None, None], "users_pkey"),
        ("users/page_by_name", ["x", "10", None, None, None, None, None], "users_username_key"),
        ("users/page_by_name_down", [None, "10", None, None, None, None, None], "users_username_key"),
        ("users/page", ["0", "10", None, "false", None, None, None], "users_inactive"),
        ("users/page", ["0", "10", None, None, "true", None, None], "users_staff"),
        ("users/page_newest", ["9", "10", None, None, None, "true", None], "users_awaiting"),
        ("users/page", ["0", "10", None, None, None, None, "teacher"], "users_role"),
        ("profiles/page_by_name", ["x", "10", None, None, "true"], "users_username_key"),
        ("profiles/page_newest", ["9", "10", None, None, "true"], "profiles_pkey"),
        ("users/with_state", ["{1}"], "events_signed_in"),
    ],
)
def test_a_page_walks_an_index_without_sorting(database: Connection, name: str, values: list[Any], index: str) -> None:
    plan = explained(database, name, values, off=("enable_seqscan", "enable_bitmapscan", "enable_sort"))
    assert index in plan


def explained(database: Connection, name: str, values: list[Any], *, off: tuple[str, ...]) -> str:
    """The plan of a statement for these values, without the kinds of steps that are switched off."""
    literals = ", ".join("null" if value is None else f"'{value}'" for value in values)
    with database.transaction(force_rollback=True):
        database.execute("select set_config('plan_cache_mode', 'force_custom_plan', true)")
        for each in off:
            database.execute("select set_config(%s, 'off', true)", [each])
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
