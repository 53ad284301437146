"""`import-users`: take the accounts of a file."""

import argparse
from pathlib import Path

from server.commands.imports import add_options, run_import
from server.settings.settings import Settings
from server.transfer.files import FileSource
from server.transfer.rows import Source

CANNOT_RUN_STATUS = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the file."""
    parser.add_argument(
        "file", metavar="FILE", type=Path, help="CSV with a head (.csv), or a JSON object a line (.jsonl)"
    )
    add_options(parser)


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Take the accounts of a file; again, it goes on. Status 0: all, 1: some were not taken, 2: it could not run."""

    async def open_source() -> Source:
        return FileSource(options.file, settings.account)

    run_import(settings, options, open_source, command="import-users", place="Line")
