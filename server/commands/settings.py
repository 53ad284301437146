"""`settings`: print the settings in force."""

import argparse

from server.process.serving import say
from server.settings.settings import Settings


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Print the settings in force, secrets hidden."""
    for name, value in settings.shown().items():
        say(f"{name}={value}")
