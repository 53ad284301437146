"""Reads the command line and runs one command.

The exit status is 0 when the command did its work, 1 when it could not (one sentence says why), 2 for wrong
settings (each fault is named) and for a wrong command line. Of a command with CANNOT_RUN_STATUS, 1 says that it did
its work, but not for every row. It is 141 when the reader of standard output has ended, and 128 with the number of the
signal, such as 130 for Ctrl-C, when a signal has ended the command.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import NoReturn

from server import __version__
from server.commands import (
    activate,
    backup,
    check,
    create_admin,
    deactivate,
    delete,
    export,
    export_users,
    grant_staff,
    import_django,
    import_users,
    letters,
    migrate,
    openapi,
    output,
    restore,
    revoke_staff,
    serve,
    set_password,
    settings,
    sign_out,
    test_mail,
    unlock,
    user,
    users,
    work,
)
from server.commands.failures import CommandError, Interrupted, NotAllTaken, sentence_of
from server.errors import StartError, Unavailable
from server.postgres.bundled import BundledPostgresError
from server.process import signals
from server.process.http_server import CannotListen
from server.process.workers import NotReadyError
from server.settings import environment
from server.settings.faults import SettingsError
from server.settings.settings import Settings
from server.telemetry.logs import form_of, line_of, start_logging

log = logging.getLogger(__name__)

COMMANDS: dict[str, ModuleType] = {
    "serve": serve,
    "work": work,
    "migrate": migrate,
    "create-admin": create_admin,
    "users": users,
    "user": user,
    "deactivate": deactivate,
    "activate": activate,
    "set-password": set_password,
    "grant-staff": grant_staff,
    "revoke-staff": revoke_staff,
    "sign-out": sign_out,
    "unlock": unlock,
    "export": export,
    "import-django": import_django,
    "import-users": import_users,
    "export-users": export_users,
    "delete": delete,
    "backup": backup,
    "restore": restore,
    "letters": letters,
    "test-mail": test_mail,
    "check": check,
    "settings": settings,
    "openapi": openapi,
}
SILENT = ("serve", "work")  # they run without an operator who reads standard output


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command: the exit status."""
    start_logging(form_of(os.environ, (f"{environment.PREFIX}LOG_FORMAT", "LOG_FORMAT")))
    try:
        with output.standard_output():
            return _run(command_line().parse_args(arguments))
    except output.OutputFailed as failure:
        if text := str(failure):
            _complain(text)
        return failure.status


def _run(options: argparse.Namespace) -> int:
    try:
        read = Settings.read(os.environ)
        start_logging(read.log_format)
        if not options.worker:  # the supervisor has logged it already
            for text in environment.misspelt(os.environ, [*Settings.names(), *Settings.names_of_files()]):
                log.warning("%s", text)
        if options.command not in SILENT:
            output.check_output()
        with signals.raised():
            COMMANDS[options.command].run(read, options)
    except SettingsError as failure:
        _complain(*failure.faults)
        return 2
    except NotAllTaken as failure:
        _complain(str(failure))
        return 1
    except Interrupted as failure:
        _complain(str(failure))
        return failure.status
    except (CommandError, StartError, CannotListen, BundledPostgresError, NotReadyError) as failure:
        _complain(str(failure))
        return _failed(options)
    except Unavailable as failure:
        _complain(sentence_of(failure))
        return _failed(options)
    return 0


def _failed(options: argparse.Namespace) -> int:
    """The status of a command that could not do its work. Of an import 1 says that it did, but not for every row."""
    return int(getattr(COMMANDS[options.command], "CANNOT_RUN_STATUS", 1))


def _complain(*texts: str) -> None:
    """Write why the command cannot do its work to standard error, in the form of the log."""
    for text in texts:
        print(line_of(text, logging.ERROR), file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    """Reports a wrong command line in the form of the log."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and exit with status 2."""
        _complain(f"{self.format_usage()}{self.prog}: error: {message}")
        self.exit(2)


def command_line() -> argparse.ArgumentParser:
    """The command line: one parser for each command."""
    parser = _Parser(prog=_program(), description="Frontdesk: accounts and sign-in.")
    parser.add_argument("--version", action="version", version=f"Frontdesk {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    parser.set_defaults(command="serve", worker=None, prepare=None, handed=None)
    for name, command in COMMANDS.items():
        summary = command.run.__doc__ or ""
        each = commands.add_parser(name, help=summary.partition("\n")[0], description=summary)
        if hasattr(command, "add_arguments"):
            command.add_arguments(each)
    return parser


def _program() -> str:
    """How the operator calls the program: as the console script, or as a module."""
    return "frontdesk" if Path(sys.argv[0]).name == "frontdesk" else "python -m server"
