"""`activate`: activate an account."""

import argparse

import asyncpg

from server.accounts.activation import set_active_by_name
from server.accounts.events import Source
from server.commands.database import run_on_database
from server.commands.failures import CommandError
from server.database.database import Database
from server.process.serving import say
from server.settings.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the name of the account."""
    parser.add_argument("name", metavar="NAME", help="username or e-mail address")


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Activate an account; ended sessions stay ended."""
    set_active(settings, options.name, active=True)


def set_active(settings: Settings, name: str, *, active: bool) -> None:
    """Activate or deactivate the account of a username. Raises CommandError when there is none."""
    source = Source(command="activate" if active else "deactivate")

    async def work(db: Database) -> None:
        try:
            async with db.transaction() as transaction:
                found = await set_active_by_name(transaction, name, active=active, source=source)
        except asyncpg.DataError:  # the name has bytes that are not UTF-8
            found = False
        if not found:
            raise CommandError(f"There is no account named {name}.")

    run_on_database(settings, work)
    say(f"Account {name} is {'active' if active else 'deactivated'}.")
