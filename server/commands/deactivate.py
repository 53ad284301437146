"""`deactivate`: deactivate an account."""

import argparse

from server.accounts import activation
from server.accounts.events import Source
from server.commands.accounts import act_on, add_last, add_name, sparing_last
from server.database.transaction import Transaction
from server.process.serving import say
from server.settings.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the name of the account."""
    add_name(parser)
    add_last(parser)


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Deactivate an account and end all its sessions at once."""

    async def act(transaction: Transaction, user_id: int) -> None:
        await activation.set_active(transaction, user_id, active=False, source=Source(command="deactivate"))

    act_on(settings, options.name, sparing_last(act, options))
    say(f"Account {options.name} is deactivated.")
