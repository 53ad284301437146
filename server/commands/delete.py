"""`delete`: delete an account."""

import argparse

from server.accounts import deletion
from server.accounts.events import Source
from server.commands.accounts import act_on, add_last, add_name, sparing_last
from server.commands.typed import confirm
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
        question = f"This deletes the account {options.name} and everything that belongs to it. Type its name again:"
        confirm("delete", question, answer=options.name, otherwise="The names differ: nothing is deleted.")

    async def act(transaction: Transaction, user_id: int) -> None:
        await deletion.delete(transaction, user_id, source=Source(command="delete"))

    act_on(settings, options.name, sparing_last(act, options))
    say(f"Account {options.name} is deleted.")
