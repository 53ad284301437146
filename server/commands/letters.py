"""`letters`: list the letters that were given up and those that wait."""

import argparse
import functools

from server.commands.database import run_on_database
from server.mail import listing
from server.process.serving import say
from server.settings.settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the option that queues letters again."""
    parser.add_argument("--again", action="store_true", help="first queue again the letters that were given up")


def run(settings: Settings, options: argparse.Namespace) -> None:
    """List the letters that were given up and those that wait."""
    run_on_database(settings, functools.partial(listing.list_letters, say=say, again=options.again))
