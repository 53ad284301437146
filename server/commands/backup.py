"""`backup`: write the bundled database to a file."""

import argparse
from pathlib import Path

import psycopg

from server.commands.bundled import bundled_server
from server.commands.failures import CommandError
from server.database import migrate
from server.postgres import backups
from server.process.serving import say
from server.settings.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the file."""
    parser.add_argument("file", metavar="FILE", type=Path, help="a new file")


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Write the bundled database to a new file, while the service serves; restore reads it."""
    with bundled_server(settings) as server:
        try:
            migrate.wait_for_migrations(server.url())  # in the midst of them the file could not be brought up to date
        except psycopg.Error as failure:
            raise CommandError(f"The database cannot be read now: {failure}") from None
        size = backups.write_backup(server, options.file)
    say(f"{options.file} has the database, {size:,} bytes. The signing key is not in it: keep {_key(settings)}, too.")


def _key(settings: Settings) -> str:
    return "SIGNING_KEY" if settings.signing_key else str(settings.data_dir / "signing_key")
