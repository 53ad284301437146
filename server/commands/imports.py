"""What the commands that import have in common: options, the report, the exit status."""

import argparse
from collections.abc import Awaitable, Callable

import asyncpg

from server.commands.database import run_on_database
from server.commands.failures import CommandError, Interrupted, NotAllTaken
from server.commands.tables import printable
from server.database.database import Database
from server.errors import Unavailable
from server.process import signals
from server.process.serving import say
from server.settings.settings import Settings
from server.transfer import importing
from server.transfer.checks import Checks
from server.transfer.importing import Totals
from server.transfer.rows import Refused, Source, UnusableSource

OpenSource = Callable[[], Awaitable[Source]]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of every import."""
    parser.add_argument("--dry-run", action="store_true", help="report what would be taken, and change nothing")
    parser.add_argument(
        "--reset-unusable",
        action="store_true",
        help="take accounts whose password hash cannot be used; their owners reset the password by letter",
    )


def run_import(
    settings: Settings, options: argparse.Namespace, open_source: OpenSource, *, command: str, place: str
) -> None:
    """Import what `open_source` gives, and report each row that is not taken.

    Raises CommandError, NotAllTaken, Interrupted.

    `place` is what the places of rows count: "Row" or "Line".
    """
    checks = Checks(settings, reset_unusable=options.reset_unusable)
    totals = Totals()

    def report(refused: Refused) -> None:
        say(f"{place} {_reported(refused)}")

    async def work(db: Database) -> None:
        try:
            source = await open_source()
            try:
                with signals.cancelling():
                    await importing.run(
                        db, source, checks, command=command, dry_run=options.dry_run, report=report, totals=totals
                    )
            finally:
                await source.close()
        except UnusableSource as failure:
            # It may show what a file has: the names of its columns.
            raise CommandError(printable(str(failure))) from None
        except Unavailable as failure:
            if not isinstance(failure.__cause__, asyncpg.InsufficientPrivilegeError):
                raise
            raise CommandError(f"{failure.__cause__}: an import needs the role that owns the tables.") from None
        _say_totals(totals, dry_run=options.dry_run)
        if totals.not_taken:
            raise NotAllTaken(f"Rows that were not taken: {totals.not_taken:,}. The reasons are above.")

    try:
        run_on_database(settings, work)
    except SystemExit as failure:
        left = "Nothing was changed." if options.dry_run else "Run it again: it goes on."
        raise Interrupted(f"Interrupted after {totals.rows:,} rows. {left}", failure) from None


def _reported(refused: Refused) -> str:
    values = refused.row.values
    known = {"id": values.get("id"), "name": values.get("username") or values.get("email")}
    shown = ", ".join(f"{word} {printable(value)}" for word, value in known.items() if value not in (None, ""))
    return f"{refused.row.place}{f' ({shown})' if shown else ''}: {printable('; '.join(refused.reasons))}"


def _say_totals(totals: Totals, *, dry_run: bool) -> None:
    verb = "Would be taken" if dry_run else "Taken"
    say(f"{verb}: {totals.taken:,}. There already: {totals.there:,}. Not taken: {totals.not_taken:,}.")
