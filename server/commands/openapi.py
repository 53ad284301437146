"""`openapi`: print the OpenAPI document."""

import argparse
import dataclasses
import json
import sys

from server.app import create_app
from server.settings.settings import Settings
from server.settings.values import MIN_KEY_BYTES
from server.web.documentation.endpoints import document


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Print the OpenAPI document. Needs no database."""
    # The document needs no key; the application does not start without one.
    keyed = dataclasses.replace(settings, signing_key=settings.signing_key or "0" * MIN_KEY_BYTES)
    # As it is, whatever the form of the log: it is a document, not a line.
    sys.stdout.write(json.dumps(document(create_app(keyed)), indent=2, ensure_ascii=False) + "\n")
    sys.stdout.flush()
