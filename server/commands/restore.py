"""`restore`: put a backup in the place of the bundled database."""

import argparse
import contextlib
import dataclasses
import logging
from pathlib import Path

import psycopg

from server.commands.bundled import bundled_server
from server.commands.database import bring_up_to_date
from server.commands.failures import CommandError
from server.commands.typed import confirm
from server.database import migrate, restoring
from server.postgres import backups
from server.postgres.bundled import BundledPostgres
from server.process import signals
from server.process.serving import say
from server.settings.settings import Settings

log = logging.getLogger(__name__)

NAMED_AT_MOST = 5  # of the parts that a damaged backup lacks


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the file, and what happens to sessions."""
    parser.add_argument("file", metavar="FILE", type=Path, help="a file that backup wrote")
    parser.add_argument("--end-sessions", action="store_true", help="end all sessions")
    parser.add_argument("--yes", action="store_true", help="without a question")


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Put a backup in the place of the bundled database, also while the service serves."""
    with bundled_server(settings) as server:
        has_digest = backups.check_backup(server, options.file)
        if not has_digest:
            log.warning("%s has no digest: whether all rows are in it cannot be known", options.file)
        if not options.yes:
            question = f"This puts {options.file} in the place of all accounts. Type yes:"
            confirm("restore", question, answer="yes", otherwise="Nothing is changed.")
        try:
            with backups.restore_lock(server):
                _restore(server, settings, options, has_digest=has_digest)
        except psycopg.Error as failure:
            raise CommandError(f"The backup could not be restored: {failure}") from None
    say(f"{options.file} is in force. What was before is the database {restoring.REPLACED}, until the next restore.")
    if not options.end_sessions:
        say("Sessions and passwords are those of the backup: what was ended or changed since then is valid again.")


def _restore(server: BundledPostgres, settings: Settings, options: argparse.Namespace, *, has_digest: bool) -> None:
    beside = server.url("postgres", user="postgres")  # a superuser: it must end the connections of every role
    fresh = server.url(restoring.RESTORING)
    ready = dataclasses.replace(settings, database_url=fresh)
    restoring.run(beside, "restore/drop_unfinished", "restore/make")
    try:
        expected = _objects_of_migrations(ready)
        restoring.run(beside, "restore/drop_unfinished", "restore/make")
        backups.read_backup(server, options.file, restoring.RESTORING)
        _check_schema(fresh)
        bring_up_to_date(ready)
        _check_objects(fresh, expected, has_digest=has_digest)
        if options.end_sessions:
            restoring.run(fresh, "restore/end_adoption", "restore/end_sessions", "restore/end_api_tokens")
        restoring.run(fresh, "restore/analyze")
        restoring.put_in_force(beside)
    finally:
        with signals.ignored(), contextlib.suppress(psycopg.Error):
            restoring.run(beside, "restore/drop_unfinished")


def _check_schema(url: str) -> None:
    applied = restoring.applied_migrations(url)
    if not applied:
        raise CommandError("The file is not a backup of this service.")
    unknown = sorted(set(applied) - set(migrate.names()))
    if unknown:
        raise CommandError(
            f"The backup is of a newer version, with the migrations {', '.join(unknown)}: install that one."
        )


def _objects_of_migrations(settings: Settings) -> set[str]:
    """The parts of the schema that the migrations make in an empty database."""
    url = settings.database_url
    migrate.migrate(url, unique_email=settings.unique_email, unique_logins=settings.login_field == "either")
    return restoring.objects(url)


def _check_objects(url: str, expected: set[str], *, has_digest: bool) -> None:
    """Raises CommandError when the restored database lacks a part. An operator may have added others.

    With a digest the database that was saved lacked it, too: a warning, so that it can be put in force.
    """
    missing = sorted(expected - restoring.objects(url))
    named = ", ".join(missing[:NAMED_AT_MOST])
    if len(missing) > NAMED_AT_MOST:
        named += f" and {len(missing) - NAMED_AT_MOST} more"
    if missing and not has_digest:
        raise CommandError(f"The backup is damaged, it lacks: {named}. Nothing is changed.")
    if missing:
        log.warning("the database that was saved lacked: %s", named)
