"""`export`: print everything that is stored about an account."""

import argparse
from typing import Any

import orjson

from server.accounts import export
from server.accounts.events import Source
from server.commands.accounts import add_name, find
from server.commands.database import run_on_database
from server.database.database import Database
from server.process.serving import say
from server.settings.settings import Settings

add_arguments = add_name


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Print everything that is stored about an account, its events included, as JSON; no hash and no token."""

    async def work(db: Database) -> None:
        async with db.transaction() as transaction:
            user_id = await find(transaction, options.name)
            found: dict[str, Any] = await export.collect(transaction, user_id, source=Source(command="export"))
        say(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())

    run_on_database(settings, work)
