"""`openapi`: print the OpenAPI document."""

import argparse
import dataclasses
import json
import sys

from server.app import create_app
from server.settings.settings import Settings
from server.settings.values import MIN_KEY_BYTES
from server.web.documentation.endpoints import document


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare --whole."""
    parser.add_argument(
        "--whole", action="store_true", help="say also every other media type and spelling that the service accepts"
    )


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Print the OpenAPI document. Needs no database."""
    # The document needs no key; the application does not start without one.
    keyed = dataclasses.replace(settings, signing_key=settings.signing_key or "0" * MIN_KEY_BYTES)
    # As it is, whatever the form of the log: it is a document, not a line.
    described = document(create_app(keyed), is_whole=options.whole)
    sys.stdout.write(json.dumps(described, indent=2, ensure_ascii=False) + "\n")
    sys.stdout.flush()
