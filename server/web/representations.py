"""Rows of the database as the objects of the contract (section 2), with what the site file adds to them."""

from collections.abc import Mapping
from typing import Any

import orjson

from server.accounts.events import shows_source
from server.settings.account_model import AccountModel, load_account_fields
from server.settings.roles import Roles
from server.settings.settings import Settings

USER_COLUMNS = ("email", "id", "username", "role", "account_fields")
STATE_COLUMNS = (
    *("is_active", "is_staff", "awaits_activation", "pending_email"),
    *("date_joined", "last_login", "sessions"),
)


def user_object(settings: Settings, row: Mapping[str, Any], *, is_stranger: bool = False) -> dict[str, Any]:
    """The user object: members of the contract, the role on a site with roles, then the declared account fields.

    A stranger, who is neither the owner nor staff, sees only the fields that everyone may read (contract 3.5).
    """
    shown = dict(row)
    account_fields = shown.pop("account_fields")
    shown.pop("has_next", None)  # of a row of a list
    if not settings.roles:
        del shown["role"]
    account = settings.account
    if not account.has_username:
        del shown["username"]
    if account.fields:
        stored = load_account_fields(account_fields)
        seen = account.public_fields if is_stranger else account.fields
        shown |= {each.name: stored.get(each.name, each.empty) for each in seen}
    return shown


def user_object_for_staff(settings: Settings, row: Mapping[str, Any]) -> dict[str, Any]:
    """The user object, then the state of the account (contract 2.3); `row` is one of users/with_state."""
    shown = user_object(settings, {name: row[name] for name in USER_COLUMNS})
    return shown | {name: row[name] for name in STATE_COLUMNS}


def event_object(row: Mapping[str, Any], *, reader_id: int, is_staff: bool) -> dict[str, Any]:
    """The event object. Only staff see from where another account acted: its address is not the reader's business."""
    is_shown = is_staff or shows_source(row, reader_id)
    return {
        "id": row["id"],
        "kind": row["kind"],
        "happened_on": row["happened_at"],
        "account": row["user_id"],
        "actor": row["actor_id"],
        "command": row["command"],
        "address": row["address"] if is_shown else None,
        "device": row["device"] if is_shown else "",
        "request_id": row["request_id"] if is_shown else "",
        "details": orjson.loads(row["details"] or "{}"),
    }


def session_object(row: Mapping[str, Any], device: str, *, is_current: bool) -> dict[str, Any]:
    """The session object; `device` is in words."""
    return {
        "id": str(row["id"]),
        "device": device,
        "address": row["address"],
        "opened_on": row["opened_at"],
        "last_used_on": row["last_used_at"],
        "expires_on": row["expires_at"],
        "is_current": is_current,
    }


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
    if account.shown_as != "username" or account.username != "required" or account.public_fields:
        stored = load_account_fields(row["account_fields"])
        shown["user"] = account.name_of(row)
        shown |= {each.name: stored.get(each.name, each.empty) for each in account.public_fields}
    return shown
