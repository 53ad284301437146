"""Why an account cannot sign in, for the person on call: every reason that the service can see, and what to do."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from server.accounts import events
from server.accounts.limits import network_of, used_up
from server.auth.passwords import format_of
from server.database.database import Database
from server.database.ids import MAX_ID
from server.settings.settings import Settings

RECENT_EVENTS = 20  # whose networks are looked at


class Obstacle(NamedTuple):
    """What keeps an account from signing in, and what the operator can do about it."""

    reason: str
    advice: str


async def last_events(db: Database, user_id: int, *, kind: str | None = None, rows: int = RECENT_EVENTS) -> list[Any]:
    """The last events of an account, the newest first."""
    return await db.rows("events/list", MAX_ID, user_id, kind, None, None, rows)


async def obstacles(
    db: Database, state: Mapping[str, Any], details: Mapping[str, Any], *, settings: Settings
) -> list[Obstacle]:
    """Everything that keeps an account from signing in now. `state` and `details` are its rows."""
    found = []
    name = state["username"] or state["email"]
    if state["awaits_activation"]:
        found.append(await _waits(db, state, details, name))
    elif not state["is_active"]:
        found.append(await _is_deactivated(db, state["id"], name))
    found += _password(details["password"], name)
    found += _name(state, settings)
    found += await _limits(db, state["id"], name, settings)
    return found


def hints(recent: Sequence[Mapping[str, Any]]) -> list[str]:
    """What recent events, the newest first, say about tries that failed since the last sign-in."""
    reasons: dict[str, int] = {}
    for event in recent:
        if event["kind"] == events.SIGNED_IN:
            break
        if event["kind"] == events.SIGN_IN_REFUSED:
            reason = str(orjson.loads(event["details"] or "{}").get("reason", "refused"))
            reasons[reason] = reasons.get(reason, 0) + 1
    return [f"{reason}: {times} of the last {len(recent)} events" for reason, times in reasons.items()]


async def _waits(db: Database, state: Mapping[str, Any], details: Mapping[str, Any], name: str) -> Obstacle:
    letters = await db.rows("letters/of_account", state["id"], 1)
    if letters and letters[0]["given_up_at"]:
        sent = f"the letter was given up: {letters[0]['fault']}"
    elif letters:
        sent = f"the letter waits: {letters[0]['fault'] or 'it is sent soon'}"
    elif details["link_expires_at"] is None:
        sent = "it has no valid link"
    else:
        word = "expired" if details["is_link_expired"] else "is valid until"
        sent = f"the letter was sent, its link {word} {moment(details['link_expires_at'])}"
    return Obstacle(
        f"it waits for its activation: {sent}",
        f"activate {name}; or the person asks for another letter (resend_activation)",
    )


async def _is_deactivated(db: Database, user_id: int, name: str) -> Obstacle:
    by = ""
    for event in await last_events(db, user_id, kind=events.DEACTIVATED, rows=1):
        actor = f"command {event['command']}" if event["command"] else f"account {event['actor_id']}"
        by = f", since {moment(event['happened_at'])}, by {actor}"
    return Obstacle(f"it is deactivated{by}", f"activate {name}")


def _password(stored: str, name: str) -> list[Obstacle]:
    if stored.startswith("!") or not stored:
        return [Obstacle("it has no password, and gets no letter to reset one", f"set-password {name}")]
    if format_of(stored) is None:
        kind = stored.partition("$")[0]
        argon2 = "install the extra argon2, or " if kind == "argon2" else ""
        reason = f"no password fits its hash ({kind[:20]}): it is damaged, too costly or of an unknown format"
        return [Obstacle(reason, f"{argon2}set-password {name}, or the person resets it by letter")]
    return []


def _name(state: Mapping[str, Any], settings: Settings) -> list[Obstacle]:
    """People sign in with a name that the account must have."""
    if settings.login_field == "email" and not state["email"]:
        return [
            Obstacle("people sign in with their address (LOGIN_FIELD=email), and it has none", "give it an address")
        ]
    if settings.login_field == "username" and not state["username"]:
        return [
            Obstacle("people sign in with their username (LOGIN_FIELD=username), and it has none", "LOGIN_FIELD=email")
        ]
    return []


async def _limits(db: Database, user_id: int, name: str, settings: Settings) -> list[Obstacle]:
    recent = await last_events(db, user_id)
    networks = {network for event in recent if (network := network_of(event["address"]))}
    found = []
    for each in await used_up(db, user_id, sorted(networks), settings):
        wait = f"for {each.seconds:.0f} s more" if each.seconds < 120 else f"for {each.seconds / 60:.0f} minutes more"
        if each.is_of_account:
            where = f"from {each.network}" if each.network else "from networks that it did not sign in from before"
            found.append(Obstacle(f"too many wrong passwords {where}: refused {wait}", f"unlock {name}"))
        else:
            address = str(each.network).partition("/")[0]
            found.append(
                Obstacle(f"too many wrong passwords of its network {each.network}: refused {wait}", f"unlock {address}")
            )
    return found


def moment(time: datetime) -> str:
    """A time for the operator, in UTC."""
    return f"{time:%Y-%m-%d %H:%M:%SZ}"
