"""A statement that takes some rows and leaves locked ones takes no more than it may, whatever plan PostgreSQL chooses.

A subselect of `in` may be run once for each row of the table. With `for update skip locked` and a limit each run
finds other rows.
"""

import re

import pytest

from server.resources import statements
from tests.rows import Connection

ROWS = 12
EXPIRED = {
    "letters/take": ("letters (kind, user_id)", "'confirmation', {user}", ["3", "60"]),
    "letters/sweep": ("letters (kind, user_id, given_up_at)", "'confirmation', {user}, '2020-01-01'", ["1", "3"]),
    "limits/sweep": ("limits (key, drained_at)", "'key ' || n, '2020-01-01'", ["3"]),
    "events/sweep": ("events (kind, happened_at)", "'registered', '2020-01-01'", ["3", "1"]),
    "adopted_tokens/sweep": ("adopted_tokens (jti, expires_at)", "'token ' || n, '2020-01-01'", ["3"]),
    "sessions/end_surplus": (
        "sessions (user_id, expires_at)",
        "{user}, 'infinity'",
        ["{user}", "'00000000-0000-0000-0000-000000000000'", "0", "3"],
    ),
    "sessions/sweep": ("sessions (user_id, expires_at)", "{user}, '2020-01-01'", ["3"]),
}
LOCKING = {name for name, text in statements().items() if "skip locked" in text and re.search(r"limit \$", text)}
# Each of their rows needs an account of its own: the last test alone looks at them.
OTHERS = {"one_time_tokens/sweep", "users/sweep"}


def test_every_such_statement_is_tried() -> None:
    assert {*EXPIRED, *OTHERS} == LOCKING


@pytest.mark.parametrize("name", sorted(EXPIRED))
def test_no_plan_takes_more_rows_than_the_statement_may(database: Connection, name: str) -> None:
    table, values, arguments = EXPIRED[name]
    user = database.execute("insert into users (username) values ('anna') returning id").fetchone()
    assert user is not None
    rows = values.format(user=user["id"])
    with database.transaction(force_rollback=True):
        database.execute(f"insert into {table} select {rows} from generate_series(1, {ROWS}) n".encode())
        for plan in ("enable_hashjoin", "enable_mergejoin", "enable_hashagg", "enable_sort", "enable_material"):
            database.execute("select set_config(%s, 'off', true)", [plan])
        database.execute(f"prepare taking as {statements()[name]}".encode())
        try:
            taken = database.execute(
                f"execute taking({', '.join(arguments)})".format(user=user["id"]).encode()
            ).fetchall()
        finally:
            database.execute("deallocate taking")
    assert len(taken) == 3


@pytest.mark.parametrize("name", sorted(LOCKING))
def test_rows_are_chosen_in_a_part_of_their_own(name: str) -> None:
    assert re.search(r"\bin \(\s*select", statements()[name]) is None, "choose the rows in a `with`"
