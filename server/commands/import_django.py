"""`import-django`: take the users of a Django site with djoser, simplejwt or DRF's tokens."""

import argparse
from pathlib import Path

from server.commands.failures import CommandError
from server.commands.imports import add_options, run_import
from server.process import signals
from server.settings.faults import SettingsError
from server.settings.settings import Settings
from server.transfer.django_database import DjangoDatabase
from server.transfer.django_dump import DjangoDump
from server.transfer.django_users import DjangoUsers
from server.transfer.rows import Source

CANNOT_RUN_STATUS = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add where the users are."""
    parser.add_argument(
        "--from",
        dest="source",
        required=True,
        metavar="URL",
        help="postgresql://… of the Django site, or a file of its dumpdata",
    )
    parser.add_argument("--user-table", metavar="TABLE", help="where the users are, if they are not found")
    parser.add_argument("--user-model", metavar="APP.MODEL", help="model of the users in a dump, if it is not found")
    add_options(parser)


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Take the users of a Django site; again, it goes on. Status 0: all, 1: some were not taken, 2: could not run."""
    users = DjangoUsers(settings)

    async def open_source() -> Source:
        if options.source.startswith(("postgresql://", "postgres://")):
            try:
                with signals.cancelling():
                    return await DjangoDatabase.open(options.source, users, user_table=options.user_table)
            except SettingsError as failure:
                raise CommandError(f"--from {failure}") from None
        return DjangoDump(Path(options.source), users, user_model=options.user_model)

    run_import(settings, options, open_source, command="import-django", place="Row")
