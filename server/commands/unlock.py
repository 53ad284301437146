"""`unlock`: let an account, or a network, sign in again after too many wrong passwords."""

import argparse
import ipaddress
import re

from server.accounts import limits
from server.accounts.events import Source
from server.accounts.limits import network_of
from server.commands.accounts import BY_ID, find
from server.commands.database import run_on_database
from server.commands.failures import CommandError
from server.database.database import Database
from server.database.transaction import Transaction
from server.process.serving import say
from server.settings.settings import Settings

_WITH_PORT = re.compile(r"\[(.+)\](?::[0-9]+)?|([0-9.]+):[0-9]+")  # as logs of proxies show an address


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the name of the account or network."""
    parser.add_argument(
        "name", metavar="NAME", help="username, e-mail address or id; or IP address, or the network that an event has"
    )


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Forget the wrong passwords of an account or of a network, so that it may sign in at once."""
    name, source = options.name, Source(command="unlock")
    network = _network(name)

    async def work(db: Database) -> None:
        async with db.transaction() as transaction:
            if network:
                await _refuse_name(transaction, name, network)
                await limits.unlock_network(transaction, network, source=source)
            else:
                await limits.unlock_account(transaction, await find(transaction, name), source=source)

    run_on_database(settings, work)
    say(f"{'Network ' + network if network else 'Account ' + name} may sign in again.")


async def _refuse_name(transaction: Transaction, name: str, network: str) -> None:
    """Raises CommandError when the address `name` is an account's name, too: neither wins, as in `find`."""
    for each in [] if "/" in name else await transaction.rows("users/by_name", name):
        raise CommandError(
            f"{name} is the {each['of']} of account {each['id']}, and an IP address: write {BY_ID}{each['id']} for the"
            f" account, or {network} for the network."
        )


def _network(name: str) -> str | None:
    """The network of an IP address or network in any spelling; None: it is neither. Raises CommandError."""
    with_port = _WITH_PORT.fullmatch(name)
    try:
        named = ipaddress.ip_network((with_port[1] or with_port[2]) if with_port else name, strict=False)
    except ValueError:
        return None
    network = network_of(str(named.network_address))
    if network is None or network_of(str(named.broadcast_address)) != network:
        raise CommandError(
            f"{name} is wider than the networks that wrong passwords are counted for, which are one IPv4 address or the"
            " /64 of an IPv6 address: name an address."
        )
    return network
