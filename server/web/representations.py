"""Rows of the database as the objects of the contract (section 2), with what the site file adds to them."""

from collections.abc import Mapping
from typing import Any

import orjson

from server.settings.account_model import AccountModel, load_account_fields
from server.settings.roles import Roles
from server.settings.settings import Settings


def user_object(settings: Settings, row: Mapping[str, Any]) -> dict[str, Any]:
    """The user object: members of the contract, the role on a site with roles, then the declared account fields."""
    shown = dict(row)
    account_fields = shown.pop("account_fields")
    if not settings.roles:
        del shown["role"]
    account = settings.account
    if not account.has_username:
        del shown["username"]
    if account.fields:
        stored = load_account_fields(account_fields)
        shown |= {each.name: stored.get(each.name, each.empty) for each in account.fields}
    return shown


def profile_object(account: AccountModel, roles: Roles, row: Mapping[str, Any]) -> dict[str, Any]:
    """The profile object: `user` shows the owner as the site declares, public account fields follow.

    The owner's id, address and other account fields are for guards, not for the response.
    """
    shown = {
        "id": row["id"],
        "user": row["username"],
        "description": row["description"],
        "location": row["location"],
        "date_joined": row["date_joined"],
        "updated_on": row["updated_on"],
        "is_creator": row["is_creator"],
    }
    if roles:
        shown |= {"role": row["role"], "fields": orjson.loads(row["fields"] or "{}")}
    if account.shown_as != "username" or account.public_fields:
        stored = load_account_fields(row["account_fields"])
        shown["user"] = account.name_of(row)
        shown |= {each.name: stored.get(each.name, each.empty) for each in account.public_fields}
    return shown
