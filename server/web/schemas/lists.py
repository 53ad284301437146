"""Query strings of lists: which page, and what finds, filters and orders its rows (contract 2.3, 11.16)."""

import functools
from collections.abc import Sequence
from typing import Any

from marshmallow import Schema, fields, validate

from server.accounts.listing import ACCOUNT_ORDERINGS, PROFILE_ORDERINGS
from server.database.ids import MAX_ID
from server.settings.settings import Settings
from server.web.schemas.fields import Flag, Query, Text, WholeNumber, max_length

PAGE_ROWS = 100
PAGE_MAX_ROWS = 1000
SEARCH_MAX_LENGTH = 100


class PageQuery(Query):
    """Which page of a list a client asks for."""

    limit = WholeNumber(1, PAGE_MAX_ROWS, load_default=PAGE_ROWS, metadata={"description": "Rows at most."})
    after = WholeNumber(
        0,
        MAX_ID,
        load_default=0,
        metadata={"description": "The id after which the page begins.", "format": "int64"},
    )


class Search(Text):
    """A text that finds rows; an empty one finds all."""

    def __init__(self, where: str) -> None:
        description = f"Finds it in {where}, whatever its case; one or two characters find what begins with them."
        super().__init__(
            blank=True,
            load_default="",
            validate=[max_length(SEARCH_MAX_LENGTH)],
            metadata={"description": description, "maxLength": SEARCH_MAX_LENGTH, "example": "ann"},
        )


def _ordering(choices: Sequence[str]) -> fields.String:
    return fields.String(
        load_default="id",
        validate=validate.OneOf(choices, error="Must be one of {choices}."),
        metadata={"description": "The order of the rows; `-` turns it round."},
    )


def _role() -> Text:
    return Text(load_default=None, validate=[max_length(31)], metadata={"description": "Accounts of this role."})


def _staff_flag(what: str) -> Flag:
    return Flag(load_default=None, metadata={"description": f"Staff only: accounts that {what}, or do not."})


def users(settings: Settings) -> type[Schema]:
    """The query of the list of accounts."""
    return _users(settings.account.has_username, bool(settings.roles))


def profiles(settings: Settings) -> type[Schema]:
    """The query of the list of profiles. It searches usernames, so there is none where accounts have no username."""
    return _profiles(settings.account.has_username, bool(settings.roles))


@functools.cache
def _users(has_username: bool, has_roles: bool) -> type[Schema]:
    members: dict[str, Any] = {
        "search": Search("username, address and account fields; for callers who are not staff, in the username"),
        "ordering": _ordering(ACCOUNT_ORDERINGS if has_username else ACCOUNT_ORDERINGS[:2]),
        "is_active": _staff_flag("are active"),
        "is_staff": _staff_flag("are staff"),
        "awaits_activation": _staff_flag("wait for their activation"),
    }
    return _query("UsersQuery", members | ({"role": _role()} if has_roles else {}))


@functools.cache
def _profiles(has_username: bool, has_roles: bool) -> type[Schema]:
    members: dict[str, Any] = {"ordering": _ordering(PROFILE_ORDERINGS if has_username else PROFILE_ORDERINGS[:2])}
    if has_username:
        members["search"] = Search("the username")
    return _query("ProfilesQuery", members | ({"role": _role()} if has_roles else {}))


def _query(name: str, members: dict[str, Any]) -> type[Schema]:
    return type(name, (PageQuery,), {"__doc__": "Which rows a client asks for.", **members})
