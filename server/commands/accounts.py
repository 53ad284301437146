"""The account that a command is about: how the operator names it, and how the command acts on it."""

import argparse
from collections.abc import Awaitable, Callable

import asyncpg

from server.accounts.staff import LastStaff, refuse_last
from server.commands.database import run_on_database
from server.commands.failures import CommandError
from server.database.database import Database
from server.database.transaction import Transaction
from server.settings.settings import Settings

BY_ID = "id="  # before a NAME that is an id and nothing else

Act = Callable[[Transaction, int], Awaitable[None]]


def add_name(parser: argparse.ArgumentParser) -> None:
    """Add the argument NAME."""
    parser.add_argument("name", metavar="NAME", help="username, e-mail address or id")


def add_last(parser: argparse.ArgumentParser) -> None:
    """Add the option with which an act may take away the last staff account."""
    parser.add_argument("--last", action="store_true", help="also if it is the last active staff account")


async def find(transaction: Transaction, name: str) -> int:
    """The id of the account of a username, an address or an id. Raises CommandError when it is none, or several.

    Several: a caller may choose a username that is another account's address or id, so that neither wins.
    """
    text = name.removeprefix(BY_ID)
    try:
        accounts = await transaction.rows("users/by_name", text)
    except asyncpg.DataError:  # the name has bytes that are not UTF-8
        accounts = []
    if text != name:
        accounts = [each for each in accounts if str(each["id"]) == text]
    if not accounts:
        raise CommandError(f"There is no account named {name}.")
    if len(accounts) > 1:
        meant = ", ".join(f"the {each['of']} of account {each['id']}" for each in accounts)
        raise CommandError(f"{name} is {meant}: write {BY_ID} and the id of the one that is meant.")
    return int(accounts[0]["id"])


def act_on(settings: Settings, name: str, act: Act) -> None:
    """Run `act` with the account NAME, in one transaction. Raises CommandError."""

    async def work(db: Database) -> None:
        async with db.transaction() as transaction:
            await act(transaction, await find(transaction, name))

    run_on_database(settings, work)


def sparing_last(act: Act, options: argparse.Namespace) -> Act:
    """`act`, refused for the last active staff account, unless the option --last is there."""

    async def spared(transaction: Transaction, user_id: int) -> None:
        if not options.last:
            try:
                await refuse_last(transaction, user_id)
            except LastStaff:
                raise CommandError(
                    f"{options.name} is the last active staff account: none is left to look after the others."
                    " Make another one staff first (grant-staff, create-admin), or add --last."
                ) from None
        await act(transaction, user_id)

    return spared
