"""Events: one row and one log line for each act on an account (contract 2.1).

The row is inserted in the transaction of the act, so that the two commit together; the line is written after that.
Neither has a password, a token, a link, or the text that a stranger typed as a name.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from server.database.transaction import Transaction

log = logging.getLogger(__name__)

DEVICE_MAX_LENGTH = 256  # characters kept of a User-Agent header

REGISTERED = "registered"
ACTIVATED = "activated"
DEACTIVATED = "deactivated"
DELETED = "deleted"
SIGNED_IN = "signed_in"
SIGN_IN_REFUSED = "sign_in_refused"
SIGNED_OUT = "signed_out"
SESSION_ENDED = "session_ended"  # by its owner from a list of sessions, or by staff
REFRESH_REPLAYED = "refresh_replayed"  # a used refresh token ended its session
PASSWORD_CHANGED = "password_changed"  # noqa: S105  a kind of event, no password
PASSWORD_RESET = "password_reset"  # noqa: S105
ADDRESS_PROPOSED = "address_proposed"
ADDRESS_CHANGED = "address_changed"
USERNAME_CHANGED = "username_changed"
FIELDS_CHANGED = "fields_changed"
ROLE_CHANGED = "role_changed"
STAFF_GRANTED = "staff_granted"
STAFF_REVOKED = "staff_revoked"
EXPORTED = (
    "exported"  # all that is stored about the account, by its owner or the operator; without one: of all accounts
)
IMPORTED = "imported"  # by a command; sql/imports/take.sql records it
SESSION_ADOPTED = "session_adopted"  # a refresh token of another site opened a session (ADOPT_SIMPLEJWT)
LIMIT_MET = "limit_met"
UNLOCKED = "unlocked"

# Each kind with what happened, for the reference of the documentation.
EVENT_KINDS = {
    REGISTERED: "The account was made: by registration, by staff or by a command.",
    ACTIVATED: "The account became active: by the link of its letter, by staff or by a command.",
    DEACTIVATED: "The account became inactive; its sessions ended.",
    DELETED: "The account was deleted. Its other events keep kind, time and number.",
    SIGNED_IN: "A sign-in succeeded; `by` says whether it opened a session or gave an API token.",
    SIGN_IN_REFUSED: "A sign-in failed; `reason` says why.",
    SIGNED_OUT: "The owner signed out: a session or the API token ended.",
    SESSION_ENDED: "A session was ended from a list of sessions, by its owner or by staff.",
    REFRESH_REPLAYED: "A refresh token was used again after its successor was in use; its session ended.",
    LIMIT_MET: "A limit refused a request; one event in each window of the limit.",
    UNLOCKED: "The operator ended the wait of an account or a network.",
    PASSWORD_CHANGED: "The password was changed by its owner or by a command.",
    PASSWORD_RESET: "The password was reset by the link of a letter.",
    ADDRESS_PROPOSED: "A new address waits for the link of its letter.",
    ADDRESS_CHANGED: "A new address is in force.",
    USERNAME_CHANGED: "The username was changed.",
    FIELDS_CHANGED: "Declared fields were changed; `fields` names them.",
    ROLE_CHANGED: "Staff gave the account another role, or none.",
    STAFF_GRANTED: "A command made the account staff.",
    STAFF_REVOKED: "A command made the account staff no longer.",
    EXPORTED: "All that is stored about the account was exported, by its owner or by a command.",
    IMPORTED: "A command imported the account.",
    SESSION_ADOPTED: "A refresh token of the site that the account was imported from opened a session.",
}


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where an act comes from."""

    actor_id: int | None = None  # the account that acts; None for a caller who is not signed in, and for a command
    command: str | None = None  # the command of the operator that acts
    address: str | None = None  # IP address of the client
    device: str = ""  # User-Agent header of the client, at most DEVICE_MAX_LENGTH characters
    request_id: str = ""


async def record(
    transaction: Transaction,
    kind: str,
    user_id: int | None,
    source: Source,
    details: Mapping[str, str | int | bool | None] | None = None,
    *,
    actor_id: int | None = None,
) -> None:
    """Record an event of a kind of EVENT_KINDS about the account `user_id`; None: no account is known.

    `actor_id` replaces that of `source`, for an act that proves who the caller is. `details` never hold a secret.
    """
    actor_id = source.actor_id if actor_id is None else actor_id
    await transaction.row(
        "events/record",
        kind,
        user_id,
        actor_id,
        source.command,
        source.address,
        source.device,
        source.request_id,
        orjson.dumps(details).decode() if details else None,
    )
    fields = {
        "account": user_id,
        "actor": source.command or actor_id,
        "address": source.address,
        "device": source.device or None,
        **(details or {}),
    }
    transaction.after_commit(lambda: log.info("%s", kind, extra={"fields": fields}))


def shows_source(event: Mapping[str, Any], user_id: int) -> bool:
    """Whether the account `user_id` may see where an event of it comes from: not when another account acted."""
    return event["actor_id"] in (None, user_id)
