"""The bundled PostgreSQL, for commands that are about it alone."""

import contextlib
from collections.abc import Iterator

from server.commands.failures import CommandError
from server.postgres import bundled
from server.postgres.bundled import BundledPostgres
from server.process import signals
from server.settings.settings import Settings


@contextlib.contextmanager
def bundled_server(settings: Settings) -> Iterator[BundledPostgres]:
    """The running bundled server, started if it does not run. Raises CommandError with DATABASE_URL."""
    if settings.database_url:
        raise CommandError(
            "DATABASE_URL is set, and this command is for the bundled PostgreSQL: use pg_dump and pg_restore of yours."
        )
    server = bundled.attach(settings.data_dir)
    try:
        yield server
    finally:
        with signals.ignored():
            server.release()
