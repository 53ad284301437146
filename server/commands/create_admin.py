"""`create-admin`: make a staff account."""

import argparse
import getpass
import sys

from server.accounts.registration import NewAccount, register
from server.auth.one_time_tokens import OneTimeTokens
from server.auth.passwords import Passwords
from server.commands.database import run_on_database
from server.commands.failures import CommandError
from server.database.database import Database
from server.errors import FieldErrors
from server.mail.letters import Letters
from server.process.serving import say
from server.settings.settings import Settings
from server.web.bodies import load
from server.web.schemas.objects import Registration


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the name and the address of the new account."""
    parser.add_argument("name", metavar="NAME", help="username")
    parser.add_argument("--email", default="", help="e-mail address")


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Make a staff account; the password comes from a prompt, or from standard input if that is not a terminal."""
    if settings.login_field == "email" and not options.email:
        raise CommandError("--email is required: with LOGIN_FIELD=email people sign in with their address")
    given = {"username": options.name, "password": _read_password(), "email": options.email}
    try:
        account = load(Registration(), given)
    except FieldErrors as failure:
        faults = [f"{field}: {text}" for field, texts in failure.fields.items() for text in texts]
        raise CommandError("\n".join(faults)) from None

    async def create(db: Database) -> None:
        passwords = Passwords(settings.bcrypt_rounds)
        letters = Letters(OneTimeTokens(settings.signing_key, lifetime=settings.password_reset_timeout))
        try:
            new = NewAccount(
                username=account["username"],
                email=account["email"],
                password_hash=await passwords.hash(account["password"]),
                is_staff=True,
            )
            async with db.transaction() as transaction:
                await register(transaction, new, letters=letters, settings=settings)
        except FieldErrors as failure:
            what = "name" if "username" in failure.fields else "e-mail address"
            raise CommandError(f"An account with that {what} exists already.") from None
        finally:
            passwords.close()

    run_on_database(settings, create)
    say(f"Staff account {account['username']} made.")


def _read_password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Repeat the password: ") != password:
        raise CommandError("The two passwords differ.")
    return password
