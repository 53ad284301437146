"""`unlock`: let an account, or a network, sign in again after too many wrong passwords."""

import argparse
import ipaddress

from server.accounts import limits
from server.accounts.events import Source
from server.accounts.limits import network_of
from server.commands.accounts import find
from server.commands.database import run_on_database
from server.database.database import Database
from server.process.serving import say
from server.settings.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the name of the account or network."""
    parser.add_argument("name", metavar="NAME", help="username, e-mail address or id, or IP address of a network")


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Forget the wrong passwords of an account or of a network, so that it may sign in at once."""
    name, source = options.name, Source(command="unlock")
    network = _network(name)

    async def work(db: Database) -> None:
        async with db.transaction() as transaction:
            if network:
                await limits.unlock_network(transaction, network, source=source)
            else:
                await limits.unlock_account(transaction, await find(transaction, name), source=source)

    run_on_database(settings, work)
    say(f"{'Network ' + network if network else 'Account ' + name} may sign in again.")


def _network(name: str) -> str | None:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return None
    return network_of(name)
