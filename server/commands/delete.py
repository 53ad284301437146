"""`delete`: delete an account."""

import argparse
import sys

from server.accounts import deletion
from server.accounts.events import Source
from server.commands.accounts import act_on, add_last, add_name, sparing_last
from server.commands.failures import CommandError
from server.database.transaction import Transaction
from server.process.serving import say
from server.settings.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the name of the account, and the option that asks nothing."""
    add_name(parser)
    add_last(parser)
    parser.add_argument("--yes", action="store_true", help="without a question")


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Delete an account and everything that belongs to it. It cannot be undone."""
    if not options.yes:
        _confirm(options.name)

    async def act(transaction: Transaction, user_id: int) -> None:
        await deletion.delete(transaction, user_id, source=Source(command="delete"))

    act_on(settings, options.name, sparing_last(act, options))
    say(f"Account {options.name} is deleted.")


def _confirm(name: str) -> None:
    if not sys.stdin.isatty():
        raise CommandError("Without a terminal to ask at, delete needs --yes.")
    say(f"This deletes the account {name} and everything that belongs to it. Type its name again:")
    if sys.stdin.readline().strip() != name:
        raise CommandError("The names differ: nothing is deleted.")
