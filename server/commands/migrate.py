"""`migrate`: bring the schema up to date."""

import argparse

from server.commands.database import bring_up_to_date, opened
from server.process.serving import say
from server.settings.settings import Settings


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Bring the schema up to date."""
    with opened(settings) as (ready, _):
        bring_up_to_date(ready)
        say("The schema is up to date.")
