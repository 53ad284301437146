"""The commands: serve, work, migrate, create-admin, deactivate, activate, letters, settings, openapi.

A command that cannot do its work says why in one sentence and ends with 1; settings that cannot be end with 2.
"""

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while the rest is imported shows no traceback

import argparse
import asyncio
import contextlib
import dataclasses
import functools
import getpass
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence

import asyncpg
import psycopg

from server import __version__, app
from server.auth.passwords import Passwords
from server.auth.tokens import stored_signing_key
from server.database import migrate
from server.database.database import Database
from server.errors import FieldErrors, StartError, Unavailable
from server.mail import listing
from server.postgres import bundled
from server.process import serving, signals, supervisor
from server.process.workers import NotReadyError
from server.settings.settings import Settings, SettingsError
from server.settings.values import MIN_KEY_BYTES
from server.telemetry.logs import start_logging
from server.templates import LANGUAGE, Templates


class CommandError(Exception):
    """The command cannot do its work; the text says why."""


_say = serving.say


@contextlib.contextmanager
def _database(settings: Settings) -> Iterator[tuple[Settings, serving.Revive | None]]:
    """`settings` with a database behind them, the one they name or the bundled one, and what revives the latter."""
    if settings.database_url:
        yield settings, None
        return
    cluster = bundled.attach(settings.data_dir)
    try:
        key = settings.signing_key or stored_signing_key(settings.data_dir)
        yield dataclasses.replace(settings, database_url=cluster.url(), signing_key=key), cluster.revive
    finally:
        with signals.ignored():
            cluster.release()


def _migrate(settings: Settings) -> None:
    try:
        applied = migrate.migrate(settings.database_url, unique_email=settings.unique_email)
    except migrate.DuplicateAddresses:
        raise CommandError(
            "UNIQUE_EMAIL is on, but some accounts share an e-mail address: change those, or set UNIQUE_EMAIL=false"
        ) from None
    except psycopg.Error as failure:
        raise CommandError(f"The database could not be brought up to date: {failure}") from None
    for name in applied:
        _say(f"Migration {name} applied.")


def serve(settings: Settings, options: argparse.Namespace) -> None:
    """Serve until SIGINT or SIGTERM."""
    _check_templates(settings)
    if options.worker:
        inherited, channel = serving.Inherited.read(options.worker[0]), int(options.worker[1])
        with _database(settings) as (ready, revive):
            serving.serve_as_worker(ready, inherited, channel, revive)
    else:
        _run(settings, serving.serve_alone if settings.workers == 1 else supervisor.serve)


def work(settings: Settings, options: argparse.Namespace) -> None:
    """Send the letters that wait, and listen nowhere, until SIGINT or SIGTERM."""
    _check_templates(settings)
    _run(settings, serving.send_letters)


def _check_templates(settings: Settings) -> None:
    """Tell of a template that cannot be used now, not when somebody has done what its page tells of."""
    faults = Templates(settings.templates_dir).faults()
    if faults:
        raise SettingsError([f"TEMPLATES_DIR {settings.templates_dir}: {fault}" for fault in faults])


def _run(settings: Settings, run: Callable[[Settings, serving.DatabaseSource], None]) -> None:
    with _database(settings) as (ready, revive):
        if ready.migrate_on_start:
            _migrate(ready)
        name = "PostgreSQL at DATABASE_URL" if settings.database_url else f"bundled PostgreSQL in {settings.data_dir}"
        run(ready, serving.DatabaseSource(name, revive))


def run_migrate(settings: Settings, options: argparse.Namespace) -> None:
    """Bring the schema up to date."""
    with _database(settings) as (ready, _):
        _migrate(ready)
        _say("The schema is up to date.")


def create_admin(settings: Settings, options: argparse.Namespace) -> None:
    """Make a staff account; the password comes from a prompt, or from standard input when that is no terminal."""
    if settings.login_field == "email" and not options.email:
        raise CommandError("--email is required: with LOGIN_FIELD=email people sign in with their address")
    try:
        account = app.read_registration(options.name, _read_password(), options.email)
    except FieldErrors as failure:
        faults = [f"{field}: {text}" for field, texts in failure.fields.items() for text in texts]
        raise CommandError("\n".join(faults)) from None

    async def create(db: Database) -> None:
        passwords = Passwords(settings.bcrypt_rounds)
        try:
            stored = await passwords.hash(account["password"])
            await db.row("users/register", account["username"], account["email"], stored, True, None, False, LANGUAGE)
        except asyncpg.UniqueViolationError as failure:
            what = "name" if failure.constraint_name == "users_username_key" else "e-mail address"
            raise CommandError(f"An account with that {what} exists already.") from None
        finally:
            passwords.close()

    _ask(settings, create)
    _say(f"Staff account {account['username']} made.")


def _read_password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Password, once more: ") != password:
        raise CommandError("The two passwords differ.")
    return password


def deactivate(settings: Settings, options: argparse.Namespace) -> None:
    """Deactivate an account, which ends every session of it at once."""
    _switch(settings, options.name, active=False)


def activate(settings: Settings, options: argparse.Namespace) -> None:
    """Activate an account; sessions that ended stay ended."""
    _switch(settings, options.name, active=True)


def _switch(settings: Settings, name: str, *, active: bool) -> None:
    async def switch(db: Database) -> None:
        try:
            found = await db.row("users/switch", name, active)
        except asyncpg.DataError:  # bytes of a command line that are no text
            found = None
        if found is None:
            raise CommandError(f"There is no account named {name}.")

    _ask(settings, switch)
    _say(f"Account {name} is {'active' if active else 'deactivated'}.")


def _ask(settings: Settings, work: Callable[[Database], Awaitable[None]]) -> None:
    """Run `work` on the database, its schema up to date."""

    async def ask(url: str) -> None:
        db = await Database.connect(url)
        try:
            await work(db)
        finally:
            await db.close()

    with _database(settings) as (ready, _):
        if ready.migrate_on_start:
            _migrate(ready)
        asyncio.run(ask(ready.database_url))


def letters(settings: Settings, options: argparse.Namespace) -> None:
    """List the letters that were given up and those that wait."""
    _ask(settings, functools.partial(listing.tell, say=_say, again=options.again))


def show_settings(settings: Settings, options: argparse.Namespace) -> None:
    """Print the settings in force, secrets hidden."""
    for name, value in settings.shown().items():
        _say(f"{name}={value}")


def openapi(settings: Settings, options: argparse.Namespace) -> None:
    """Print the OpenAPI document. Asks no database."""
    keyed = dataclasses.replace(settings, signing_key=settings.signing_key or "0" * MIN_KEY_BYTES)
    _say(json.dumps(app.document(app.create_app(keyed)), indent=2, ensure_ascii=False))


COMMANDS: dict[str, Callable[[Settings, argparse.Namespace], None]] = {
    "serve": serve,
    "work": work,
    "migrate": run_migrate,
    "create-admin": create_admin,
    "deactivate": deactivate,
    "activate": activate,
    "letters": letters,
    "settings": show_settings,
    "openapi": openapi,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m server", description="Frontdesk: accounts and sign-in.")
    parser.add_argument("--version", action="version", version=f"Frontdesk {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    parser.set_defaults(command="serve", worker=None)
    for name, command in COMMANDS.items():
        each = commands.add_parser(name, help=(command.__doc__ or "").partition("\n")[0], description=command.__doc__)
        if name == "serve":  # said by `supervisor.py` alone
            each.add_argument("--worker", nargs=2, default=None, help=argparse.SUPPRESS)
        if name in ("create-admin", "deactivate", "activate"):
            each.add_argument("name", metavar="NAME", help="username")
        if name == "create-admin":
            each.add_argument("--email", default="", help="e-mail address")
        if name == "letters":
            each.add_argument("--again", action="store_true", help="queue those that were given up anew, before")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    options = _parser().parse_args(arguments)
    try:
        settings = Settings.read(os.environ)
        start_logging(settings.log_format)
        with signals.raised():
            COMMANDS[options.command](settings, options)
    except SettingsError as failure:
        print(*failure.faults, sep="\n", file=sys.stderr)
        return 2
    except (CommandError, StartError, app.CannotListen, bundled.BundledPostgresError, NotReadyError) as failure:
        print(failure, file=sys.stderr)
        return 1
    except Unavailable as failure:
        print(f"The database cannot be reached: {failure.__cause__ or failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
