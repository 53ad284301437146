"""Lists of accounts and profiles that are searched, filtered and ordered: every page walks an index (contract 2.3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import asyncpg

from server.database.database import Database
from server.database.ids import MAX_ID
from server.database.transaction import Transaction
from server.errors import FieldErrors

NEWEST = "-id"
NO_PLACE = "Must be the id of the last row of a page. It is gone: begin again without it."


class _List(NamedTuple):
    """The statements of a list: pages of ids by ordering, the key of a username by id, the rows of ids."""

    pages: Mapping[str, str]
    name_key: str
    rows: str


_ACCOUNTS = _List(
    {
        "id": "users/page",
        NEWEST: "users/page_newest",
        "username": "users/page_by_name",
        "-username": "users/page_by_name_down",
    },
    "users/name_key",
    "users/with_state",
)
_PROFILES = _List(
    {
        "id": "profiles/page",
        NEWEST: "profiles/page_newest",
        "user": "profiles/page_by_name",
        "-user": "profiles/page_by_name_down",
    },
    "profiles/name_key",
    "profiles/of_page",
)
ACCOUNT_ORDERINGS = tuple(_ACCOUNTS.pages)
PROFILE_ORDERINGS = tuple(_PROFILES.pages)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """Which rows a caller asks for. None leaves a filter out, and so does an empty search."""

    limit: int  # rows at most
    after: int = 0  # the id after which the page begins; 0: at the beginning
    ordering: str = "id"  # one of ACCOUNT_ORDERINGS or PROFILE_ORDERINGS
    search: str = ""
    role: str | None = None


async def accounts(
    db: Database,
    asked: Asked,
    *,
    is_active: bool | None = None,
    is_staff: bool | None = None,
    awaits_activation: bool | None = None,
    by_name_alone: bool = False,
) -> list[asyncpg.Record]:
    """A page of accounts with their state: at most `limit` rows and one more, which says that another page follows.

    The search looks at usernames, addresses and the texts of account fields; `by_name_alone`, for callers who do not
    see those, at usernames. Raises FieldErrors on `after`.
    """
    filters = (asked.search or None, is_active, is_staff, awaits_activation, asked.role, by_name_alone)
    return await _rows(db, _ACCOUNTS, asked, filters)


async def profiles(db: Database, asked: Asked, *, of_deactivated: bool) -> list[asyncpg.Record]:
    """A page of profiles, as `accounts`. The search looks at usernames alone: every signed-in caller may ask."""
    return await _rows(db, _PROFILES, asked, (asked.search or None, asked.role, of_deactivated))


async def _rows(db: Database, of: _List, asked: Asked, filters: Sequence[Any]) -> list[asyncpg.Record]:
    async with db.transaction() as transaction:
        await transaction.row("lists/plan_anew")
        place = await _place(transaction, of, asked)
        found = await transaction.rows(of.pages[asked.ordering], place, asked.limit + 1, *filters)
        return await transaction.rows(of.rows, [row["id"] for row in found])


async def _place(transaction: Transaction, of: _List, asked: Asked) -> int | str | None:
    """After which id or username the page begins; None: at the first username."""
    if asked.ordering == NEWEST:
        return asked.after or MAX_ID
    if asked.ordering == "id":
        return asked.after
    if not asked.after:
        return None
    row = await transaction.row(of.name_key, asked.after)
    if row is None or row["username_key"] is None:
        raise FieldErrors({"after": [NO_PLACE]})
    return str(row["username_key"])
