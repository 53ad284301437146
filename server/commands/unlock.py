"""`unlock`: let an account, or a network, sign in again after too many wrong passwords."""

import argparse
import ipaddress

import asyncpg

from server.accounts import limits
from server.accounts.events import Source
from server.accounts.limits import network_of
from server.commands.database import run_on_database
from server.commands.failures import CommandError
from server.database.database import Database
from server.process.serving import say
from server.settings.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the name of the account or network."""
    parser.add_argument("name", metavar="NAME", help="username, e-mail address, or IP address of a network")


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Forget the wrong passwords of an account or of a network, so that it may sign in at once."""
    name, source = options.name, Source(command="unlock")
    network = _network(name)

    async def work(db: Database) -> None:
        try:
            async with db.transaction() as transaction:
                if network:
                    found = await limits.unlock_network(transaction, network, source=source)
                else:
                    found = await limits.unlock_account(transaction, name, source=source)
        except asyncpg.DataError:  # the name has bytes that are not UTF-8
            found = False
        if not found and not network:
            raise CommandError(f"There is no account named {name}.")

    run_on_database(settings, work)
    say(f"{'Network ' + network if network else 'Account ' + name} may sign in again.")


def _network(name: str) -> str | None:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return None
    return network_of(name)
