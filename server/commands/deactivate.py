"""`deactivate`: deactivate an account."""

import argparse

from server.commands.activate import add_arguments, set_active
from server.settings.settings import Settings

__all__ = ["add_arguments", "run"]


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Deactivate an account and end all its sessions at once."""
    set_active(settings, options.name, active=False)
