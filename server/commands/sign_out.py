"""`sign-out`: end the sessions of an account."""

import argparse

from server.accounts import sessions
from server.accounts.events import Source
from server.commands.accounts import act_on, add_name
from server.database.transaction import Transaction
from server.process.serving import say
from server.settings.settings import Settings

add_arguments = add_name


def run(settings: Settings, options: argparse.Namespace) -> None:
    """End every session and the API token of an account at once; it may sign in again."""

    async def act(transaction: Transaction, user_id: int) -> None:
        ended = await sessions.end_everything(transaction, user_id, source=Source(command="sign-out"))
        transaction.after_commit(lambda: say(f"Account {options.name} is signed out. Sessions ended: {ended}."))

    act_on(settings, options.name, act)
