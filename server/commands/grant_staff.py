"""`grant-staff`: make an account staff."""

import argparse

from server.accounts import staff
from server.accounts.events import Source
from server.commands.accounts import act_on, add_name
from server.database.transaction import Transaction
from server.process.serving import say
from server.settings.settings import Settings

add_arguments = add_name


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Make an account staff, in force at its next request."""

    async def act(transaction: Transaction, user_id: int) -> None:
        granted = await staff.grant(transaction, user_id, source=Source(command="grant-staff"))
        text = f"Account {options.name} is {'' if granted else 'already '}staff."
        transaction.after_commit(lambda: say(text))

    act_on(settings, options.name, act)
