"""`openapi`: print the OpenAPI document."""

import argparse
import dataclasses
import json

from server.app import create_app
from server.process.serving import say
from server.settings.settings import Settings
from server.settings.values import MIN_KEY_BYTES
from server.web.documentation.endpoints import document


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Print the OpenAPI document. Needs no database."""
    # The document needs no key; the application does not start without one.
    keyed = dataclasses.replace(settings, signing_key=settings.signing_key or "0" * MIN_KEY_BYTES)
    say(json.dumps(document(create_app(keyed)), indent=2, ensure_ascii=False))
