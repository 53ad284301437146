"""What the operator types: a password, an answer."""

import getpass
import sys

from server.commands.failures import CommandError
from server.process.serving import say


def confirm(command: str, question: str, *, answer: str, otherwise: str) -> None:
    """Ask the operator a question. Raises CommandError, which says `otherwise`, for another answer."""
    if sys.stdin is None or not sys.stdin.isatty():
        raise CommandError(f"Without a terminal to ask at, {command} needs --yes.")
    say(question)
    if sys.stdin.readline().strip() != answer:
        raise CommandError(otherwise)


def read_password() -> str:
    """A password, typed twice at a terminal, or a line of standard input. Raises CommandError when the two differ."""
    if sys.stdin is None:
        raise CommandError("Standard input is closed, so no password can be read: give it there, or at a terminal.")
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Repeat the password: ") != password:
        raise CommandError("The two passwords differ.")
    return password
