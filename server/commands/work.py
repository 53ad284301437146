"""`work`: send waiting letters, without listening on a port."""

import argparse

from server.commands.serve import check_templates, check_traces, run_service
from server.process import serving
from server.settings.settings import Settings


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Send waiting letters, without listening on a port, until SIGINT or SIGTERM."""
    check_templates(settings)
    check_traces(settings)
    run_service(settings, serving.send_letters)
