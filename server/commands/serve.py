"""`serve`: serve until SIGINT or SIGTERM."""

import argparse
from collections.abc import Callable

from server.commands.database import bring_up_to_date, check_schema, opened
from server.mail.writer import VARIABLES, user_variables
from server.process import alone, open_files, serving, supervisor
from server.process.replacement import Handed
from server.settings.faults import SettingsError
from server.settings.settings import Settings
from server.templates import Templates
from server.web import traces

Run = Callable[[Settings, serving.DatabaseSource], None]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments with which the supervisor starts a worker, and a new program for itself."""
    parser.add_argument("--worker", nargs=2, default=None, help=argparse.SUPPRESS)
    parser.add_argument("--prepare", default=None, help=argparse.SUPPRESS)
    parser.add_argument("--handed", default=None, help=argparse.SUPPRESS)


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Serve until SIGINT or SIGTERM."""
    check_templates(settings)
    check_traces(settings)
    check_connections(settings)
    if options.worker:
        inherited, channel = serving.Inherited.read(options.worker[0]), int(options.worker[1])
        with opened(settings) as (ready, revive):
            serving.serve_as_worker(ready, inherited, channel, revive)
    elif options.prepare:
        Handed.read(options.prepare)
        with opened(settings) as (ready, _):
            if ready.migrate_on_start:
                bring_up_to_date(ready)
    elif options.handed:
        with opened(settings):
            supervisor.resume(Handed.read(options.handed))
    else:
        run_service(settings, alone.serve if settings.workers == 1 else supervisor.serve)


def run_service(settings: Settings, run: Run) -> None:
    """Open the database, bring its schema up to date or look at it, and run the service on it."""
    with opened(settings) as (ready, revive):
        if ready.migrate_on_start:
            bring_up_to_date(ready)
        else:
            check_schema(ready)
        name = "PostgreSQL at DATABASE_URL" if settings.database_url else f"bundled PostgreSQL in {settings.data_dir}"
        run(ready, serving.DatabaseSource(name, revive))


def check_traces(settings: Settings) -> None:
    """Report that the extra of the traces is not installed. Raises SettingsError."""
    if missing := traces.faults(settings):
        raise SettingsError(missing)


def check_connections(settings: Settings) -> None:
    """Report that MAX_CONNECTIONS needs more open files than the process may have. Raises SettingsError."""
    if faults := open_files.faults(settings):
        raise SettingsError(faults)


def check_templates(settings: Settings) -> None:
    """Report a template that cannot be used at the start, not when a request needs it. Raises SettingsError."""
    if faults := template_faults(settings):
        raise SettingsError(faults)


def template_faults(settings: Settings) -> list[str]:
    """Why templates of TEMPLATES_DIR cannot be used: one sentence each."""
    templates = Templates(settings.templates_dir)
    faults = templates.faults() or templates.unknown_names(
        "letters", VARIABLES, {"user": user_variables(settings.account)}
    )
    return [f"TEMPLATES_DIR {settings.templates_dir}: {fault}" for fault in faults]
