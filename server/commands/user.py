"""`user`: show an account, its last events, and why it cannot sign in."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from server.accounts import listing
from server.accounts.diagnosis import Obstacle, hints, last_events, moment, obstacles
from server.accounts.listing import NEWEST, Asked
from server.auth.passwords import format_of
from server.commands.accounts import add_name, find
from server.commands.database import run_on_database
from server.commands.failures import CommandError
from server.commands.tables import columns, printable
from server.database.database import Database
from server.database.ids import read_id
from server.process.serving import say
from server.settings.settings import Settings

SESSIONS_SHOWN = LETTERS_SHOWN = 10
ALIKE_SHOWN = 5

add_arguments = add_name


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Show an account, its sessions, letters and last events, and why it cannot sign in."""

    async def work(db: Database) -> None:
        try:
            async with db.transaction() as transaction:
                user_id = await find(transaction, options.name)
        except CommandError as failure:
            raise CommandError("\n".join([str(failure), *await _what_is_there(db, options.name)])) from None
        await _show(db, user_id, settings)

    run_on_database(settings, work)


async def _show(db: Database, user_id: int, settings: Settings) -> None:
    state = await db.row("users/with_state", [user_id])
    details = await db.row("users/details", user_id)
    if state is None or details is None:
        raise CommandError("The account was deleted just now.")
    recent = await last_events(db, user_id)
    sessions = await db.rows("sessions/list", user_id, None, None, SESSIONS_SHOWN)
    letters = await db.rows("letters/of_account", user_id, LETTERS_SHOWN)
    say(f"Account {user_id}")
    _say_lines(_facts(state, details))
    _say_part("Sessions", [_session(row) for row in sessions], state["sessions"])
    _say_part("Letters that wait or were given up", [_letter(row) for row in letters], len(letters))
    _say_part("Last events", [_event(row) for row in recent], len(recent))
    _say_verdict(await obstacles(db, state, details, settings=settings), hints(recent))


def _facts(state: Mapping[str, Any], details: Mapping[str, Any]) -> list[tuple[object, ...]]:
    joined, signed_in = (state[name] and moment(state[name]) for name in ("date_joined", "last_login"))
    is_usable = not details["password"].startswith("!")
    return [
        ("username", state["username"]),
        ("e-mail", state["email"]),
        ("e-mail that waits", state["pending_email"]),
        ("state", _state(state)),
        ("staff", "yes" if state["is_staff"] else "no"),
        ("role", state["role"]),
        ("fields", state["account_fields"]),
        ("language of letters", details["language"]),
        ("joined", joined),
        ("last sign-in", signed_in),
        ("password", (format_of(details["password"]) or "of an unknown format") if is_usable else "none"),
        ("API token", "valid" if details["has_api_token"] else "none"),
    ]


def _state(state: Mapping[str, Any]) -> str:
    if state["awaits_activation"]:
        return "waits for its activation"
    return "active" if state["is_active"] else "deactivated"


def _session(row: Mapping[str, Any]) -> tuple[object, ...]:
    times = [moment(row[name]) for name in ("opened_at", "last_used_at", "expires_at")]
    return ("opened", times[0], "used", times[1], "ends", times[2], row["address"], row["device"])


def _letter(row: Mapping[str, Any]) -> tuple[object, ...]:
    what = f"given up after {row['tries']} tries" if row["given_up_at"] else f"waits, {row['tries']} tries"
    return (moment(row["queued_at"]), row["kind"], what, row["fault"])


def _event(row: Mapping[str, Any]) -> tuple[object, ...]:
    actor = f"command {row['command']}" if row["command"] else row["actor_id"] and f"account {row['actor_id']}"
    details = ", ".join(f"{name}: {value}" for name, value in orjson.loads(row["details"] or "{}").items())
    return (moment(row["happened_at"]), row["kind"], details, row["address"], actor, row["device"])


def _say_part(title: str, rows: Sequence[Sequence[object]], count: int) -> None:
    say("")
    say(f"{title}: {count or 'none'}" if count <= len(rows) else f"{title}: {count}, of which {len(rows)}")
    _say_lines(rows)


def _say_lines(rows: Sequence[Sequence[object]]) -> None:
    for line in columns(rows) if rows else []:
        say(f"  {line}")


def _say_verdict(found: Sequence[Obstacle], hinted: Sequence[str]) -> None:
    say("")
    if found:
        say("It cannot sign in:")
        for each in found:
            say(f"  {printable(each.reason)}")
            say(f"    {printable(each.advice)}")
    else:
        say("Nothing keeps it from signing in with the right password.")
    if hinted:
        say("Refused since its last sign-in:")
    for hint in hinted:
        say(f"  {printable(hint)}")


async def _what_is_there(db: Database, name: str) -> list[str]:
    """Lines about a name without an account: what is alike, or what its events say."""
    lines = []
    if user_id := read_id(name) if name.isascii() else None:
        for event in await last_events(db, user_id, kind="deleted", rows=1):
            by = f"command {event['command']}" if event["command"] else f"account {event['actor_id']}"
            lines.append(f"Account {user_id} was deleted, {moment(event['happened_at'])}, by {by}.")
    text = name.encode(errors="replace").decode().replace("\0", "")[:50].strip()
    for attempt in (text, text.partition("@")[0], text[:3]):
        if len(attempt) < 3:
            continue
        alike = await listing.accounts(db, Asked(limit=ALIKE_SHOWN, ordering=NEWEST, search=attempt))
        if alike:
            shown = [f"{printable(row['username'])} ({printable(row['email'])})" for row in alike[:ALIKE_SHOWN]]
            return [*lines, f"Alike: {', '.join(shown)}."]
    return lines
