"""`export`: print everything that is stored about an account."""

import argparse
import sys

from server.accounts.events import Source
from server.accounts.export import export
from server.commands.accounts import add_name, find
from server.commands.database import run_on_database
from server.database.database import Database
from server.settings.settings import Settings

add_arguments = add_name


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Print everything that is stored about an account, its events included, as JSON; no hash and no token."""

    async def work(db: Database) -> None:
        async with db.transaction() as transaction:
            user_id = await find(transaction, options.name)
        pieces = await export(db, user_id, source=Source(command="export"))
        assert pieces is not None
        async for piece in pieces:
            sys.stdout.write(piece.decode())
        sys.stdout.write("\n")
        sys.stdout.flush()

    run_on_database(settings, work)
