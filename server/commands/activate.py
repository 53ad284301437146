"""`activate`: activate an account."""

import argparse

from server.accounts import activation
from server.accounts.events import Source
from server.commands.accounts import act_on, add_name
from server.database.transaction import Transaction
from server.process.serving import say
from server.settings.settings import Settings

add_arguments = add_name


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Activate an account; ended sessions stay ended."""

    async def act(transaction: Transaction, user_id: int) -> None:
        await activation.set_active(transaction, user_id, active=True, source=Source(command="activate"))

    act_on(settings, options.name, act)
    say(f"Account {options.name} is active.")
