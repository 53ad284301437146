"""`users`: list accounts."""

import argparse

from server.accounts import listing
from server.accounts.diagnosis import moment
from server.accounts.listing import NEWEST, Asked
from server.commands.database import run_on_database
from server.commands.failures import CommandError
from server.commands.tables import columns
from server.database.database import Database
from server.process.serving import say
from server.settings.settings import Settings
from server.web.schemas.lists import PAGE_MAX_ROWS, SEARCH_MAX_LENGTH

HEAD = ("id", "username", "e-mail", "state", "joined", "last sign-in")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what finds and filters accounts."""
    parser.add_argument("--search", default="", metavar="TEXT", help="in username, address and account fields")
    parser.add_argument("--staff", action="store_true", help="staff accounts")
    parser.add_argument("--inactive", action="store_true", help="accounts that cannot sign in")
    parser.add_argument("--waiting", action="store_true", help="accounts that wait for their activation")
    parser.add_argument("--after", type=int, default=0, metavar="ID", help="go on after this id")
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="lines at most, 50 without it")


def run(settings: Settings, options: argparse.Namespace) -> None:
    """List accounts, the newest first."""
    if len(options.search) > SEARCH_MAX_LENGTH:
        raise CommandError(f"--search has more than {SEARCH_MAX_LENGTH} characters")
    if not 1 <= options.limit <= PAGE_MAX_ROWS or not 0 <= options.after < 2**63:
        raise CommandError(f"--limit is from 1 to {PAGE_MAX_ROWS}, --after an id")

    async def work(db: Database) -> None:
        search = options.search.encode(errors="replace").decode().replace("\0", "")
        asked = Asked(limit=options.limit, after=options.after, ordering=NEWEST, search=search.strip())
        rows = await listing.accounts(
            db,
            asked,
            is_active=False if options.inactive else None,
            is_staff=True if options.staff else None,
            awaits_activation=True if options.waiting else None,
        )
        shown = [_cells(row) for row in rows[: options.limit]]
        for line in columns([HEAD, *shown]):
            say(line)
        if len(rows) > options.limit:
            say(f"There are more: add --after {rows[options.limit - 1]['id']}.")
        elif not rows:
            say("No account.")

    run_on_database(settings, work)


def _cells(row: object) -> tuple[object, ...]:
    user = dict(row)  # type: ignore[call-overload]
    words = {
        "waits for activation": user["awaits_activation"],
        "deactivated": not user["is_active"] and not user["awaits_activation"],
        "staff": user["is_staff"],
    }
    times = [moment(user[name]) if user[name] else None for name in ("date_joined", "last_login")]
    state = ", ".join(word for word, holds in words.items() if holds) or "active"
    return (user["id"], user["username"], user["email"], state, *times)
