"""`test-mail`: send a test letter."""

import argparse
import asyncio

from server.commands.failures import CommandError
from server.mail.delivery import DeliveryFailed, delivery_for
from server.mail.writer import CannotWriteLetter, LetterWriter
from server.process.serving import say
from server.settings.settings import Settings
from server.templates import Templates


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the address."""
    parser.add_argument("address", metavar="ADDRESS", help="e-mail address that the letter goes to")


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Send a test letter to an address at once, as letters to people are sent. Needs no database."""
    try:
        letter = LetterWriter(settings, Templates(settings.templates_dir)).write_test(options.address)
    except CannotWriteLetter as failure:
        raise CommandError(f"No letter can go to {options.address}: {failure}.") from None
    try:
        asyncio.run(delivery_for(settings).deliver(letter, "test"))
    except DeliveryFailed as failure:
        raise CommandError(f"The letter was not delivered: {failure}") from None
    if settings.smtp_url:
        say(f"The mail server has accepted the letter for {options.address}.")
    else:
        say(f"SMTP_URL is not set: the letter for {options.address} is a file in {settings.letters_dir}.")
