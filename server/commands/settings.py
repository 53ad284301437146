"""`settings`: print the settings in force."""

import argparse
import os

from server.process.serving import say
from server.settings import environment
from server.settings.settings import Settings


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Print the settings in force, secrets hidden, and the files that secrets were read from."""
    for name, value in settings.shown().items():
        say(f"{name}={value}")
    for name, path in environment.files(os.environ, settings.secrets()).items():
        say(f"{name}={path}")
