"""`deactivate`: switch an account off."""

import argparse

from server.commands.activate import add_arguments, switch
from server.settings.settings import Settings

__all__ = ["add_arguments", "run"]


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Deactivate an account, which ends every session of it at once."""
    switch(settings, options.name, active=False)
