"""`work`: send the letters that wait, and listen nowhere."""

import argparse

from server.commands.serve import check_templates, run_service
from server.process import serving
from server.settings.settings import Settings


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Send the letters that wait, and listen nowhere, until SIGINT or SIGTERM."""
    check_templates(settings)
    run_service(settings, serving.send_letters)
