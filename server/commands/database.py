"""The database that a command works on: the one of DATABASE_URL, or the bundled one, started for the command."""

import asyncio
import contextlib
import dataclasses
import logging
from collections.abc import Awaitable, Callable, Iterator

import asyncpg
import psycopg

from server.auth.tokens import stored_signing_key
from server.commands.failures import CommandError
from server.database import migrate
from server.database.database import Database
from server.errors import Unavailable
from server.postgres import bundled
from server.process import signals
from server.process.serving import Revive, say
from server.settings.connections import to_bundled
from server.settings.database_url import DatabaseUrl
from server.settings.settings import Settings

log = logging.getLogger(__name__)

COMMAND_CONNECTIONS = 2  # a command runs one statement after another


@contextlib.contextmanager
def opened(settings: Settings) -> Iterator[tuple[Settings, Revive | None]]:
    """`settings` with `database_url` and `signing_key` set, and what restarts the bundled database, if it is used."""
    if settings.database_url:
        yield settings, None
        return
    server = bundled.attach(settings.data_dir)
    try:
        key = settings.signing_key or stored_signing_key(settings.data_dir)
        connections = to_bundled(settings.database_connections, settings.workers)
        ready = dataclasses.replace(
            settings, database_url=server.url(), database_connections=connections, signing_key=key
        )
        yield ready, server.revive
    finally:
        with signals.ignored():
            server.release()


def bring_up_to_date(settings: Settings) -> None:
    """Apply the migrations that the database lacks. Raises CommandError."""
    try:
        applied = migrate.migrate(
            settings.database_url,
            unique_email=settings.unique_email,
            unique_logins=settings.login_field == "either",
        )
    except migrate.DuplicateAddresses as failure:
        raise CommandError(
            "UNIQUE_EMAIL is on, but some accounts share an e-mail address: change those, or set UNIQUE_EMAIL=false."
            f" Their ids: {failure}"
        ) from None
    except migrate.DuplicateLogins as failure:
        raise CommandError(
            "LOGIN_FIELD is either, but some usernames are the address of another account: change those, or set"
            f" LOGIN_FIELD=username. Their ids: {failure}"
        ) from None
    except migrate.MayNotCreate as failure:
        url = DatabaseUrl.read(settings.database_url)
        raise CommandError(
            f"The role {url.user} may not create tables in the database {url.database}. Run there, as its owner or a"
            f" superuser: {failure}"
        ) from None
    except migrate.OnlyReads:
        raise CommandError(
            "The schema is not up to date, and the database only reads: name the primary in DATABASE_URL, or wait until"
            " it can be written to."
        ) from None
    except psycopg.Error as failure:
        raise CommandError(f"The database could not be brought up to date: {_in_one_line(failure)}") from None
    for name in applied:
        say(f"Migration {name} applied.")


def check_schema(settings: Settings) -> None:
    """Warn of migrations that the database lacks. Raises CommandError when the role may not use the tables."""
    try:
        pending = migrate.check(settings.database_url)
    except migrate.MayNotUse as failure:
        url = DatabaseUrl.read(settings.database_url)
        raise CommandError(
            f"The role {url.user} may not use the tables in the database {url.database}. Run there, as their owner or a"
            f" superuser: {failure}"
        ) from None
    except psycopg.Error:  # it cannot be reached or used, which connecting reports
        return
    if pending:
        log.warning(
            "the database lacks migrations, and MIGRATE_ON_START is false: 503 until `migrate` has run: %s",
            ", ".join(pending),
        )


def _in_one_line(failure: Exception) -> str:
    return " ".join(str(failure).split())


async def connect(settings: Settings) -> Database:
    """The database of the settings, for a command. Raises StartError, Unavailable."""
    return await Database.connect(
        settings.database_url, connections=COMMAND_CONNECTIONS, pooler=settings.database_pooler
    )


def run_on_database(settings: Settings, work: Callable[[Database], Awaitable[None]]) -> None:
    """Run `work` on the database, its schema up to date unless MIGRATE_ON_START=false."""

    async def run(ready: Settings) -> None:
        db = await connect(ready)
        try:
            await work(db)
        finally:
            await db.close()

    with opened(settings) as (ready, _):
        if ready.migrate_on_start:
            bring_up_to_date(ready)
        try:
            asyncio.run(run(ready))
        except Unavailable as failure:
            if isinstance(failure.__cause__, asyncpg.InsufficientPrivilegeError):
                check_schema(ready)
            raise
