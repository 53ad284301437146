"""What the operator types: a password."""

import getpass
import sys

from server.commands.failures import CommandError


def read_password() -> str:
    """A password, typed twice at a terminal, or a line of standard input. Raises CommandError when the two differ."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Repeat the password: ") != password:
        raise CommandError("The two passwords differ.")
    return password
