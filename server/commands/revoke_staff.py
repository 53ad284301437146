"""`revoke-staff`: make an account staff no longer."""

import argparse

from server.accounts import staff
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
    """Make an account staff no longer, in force at its next request; it stays an account."""

    async def act(transaction: Transaction, user_id: int) -> None:
        revoked = await staff.revoke(transaction, user_id, source=Source(command="revoke-staff"))
        text = f"Account {options.name} is {'no longer' if revoked else 'not'} staff."
        transaction.after_commit(lambda: say(text))

    act_on(settings, options.name, sparing_last(act, options))
