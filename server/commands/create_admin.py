"""`create-admin`: make a staff account."""

import argparse
import contextlib
import json
from typing import Any

from server.accounts.events import Source
from server.accounts.registration import NewAccount, register
from server.auth.one_time_tokens import OneTimeTokens
from server.auth.passwords import Passwords
from server.commands.database import run_on_database
from server.commands.failures import CommandError
from server.commands.typed import read_password
from server.database.database import Database
from server.errors import FieldErrors
from server.mail.letters import Letters
from server.process.serving import say
from server.settings.settings import Settings
from server.web.bodies import load
from server.web.schemas import by_settings
from server.web.schemas.account_fields import first_values


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the name and the address of the new account."""
    parser.add_argument("name", metavar="NAME", help="username, or the e-mail address where accounts have no username")
    parser.add_argument("--email", default="", help="e-mail address")
    parser.add_argument(
        "--field",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an account field that SITE_FILE declares; may be repeated",
    )


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Make a staff account; the password comes from a prompt, or from standard input if that is not a terminal."""
    if settings.login_field == "email" and settings.account.has_username and not options.email:
        raise CommandError("--email is required: with LOGIN_FIELD=email people sign in with their address")
    if options.email and not settings.account.has_username:
        raise CommandError("--email: accounts have no username here, so that NAME is the address already")
    given = _given(settings, options)
    try:
        account = load(by_settings.admin(settings)(), given)
    except FieldErrors as failure:
        raise CommandError(_lines(failure)) from None

    async def create(db: Database) -> None:
        passwords = Passwords(settings.bcrypt_rounds)
        one_time_tokens = OneTimeTokens(settings.signing_key, lifetime=settings.password_reset_timeout)
        letters = Letters(one_time_tokens, notices=settings.limit_letters_address)
        try:
            new = NewAccount(
                username=account.get("username"),
                email=account["email"],
                password_hash=await passwords.hash(account["password"]),
                is_staff=True,
                account_fields=first_values(settings.account, account),
            )
            async with db.transaction() as transaction:
                await register(
                    transaction, new, letters=letters, settings=settings, source=Source(command="create-admin")
                )
        except FieldErrors as failure:
            taken = {"username": "name", "email": "e-mail address"}
            what = next((text for field, text in taken.items() if field in failure.fields), None)
            raise CommandError(f"An account with that {what} exists already." if what else _lines(failure)) from None
        finally:
            passwords.close()

    run_on_database(settings, create)
    say(f"Staff account {account.get('username') or account['email']} made.")


def _given(settings: Settings, options: argparse.Namespace) -> dict[str, Any]:
    """The fields of the new account. Without usernames the positional argument is the address."""
    given: dict[str, Any] = {"password": read_password()}
    if settings.account.has_username:
        given |= {"username": options.name, "email": options.email}
    else:
        given["email"] = options.name
    declared = {each.name: each for each in settings.account.fields}
    for text in options.field:
        name, equals, value = text.partition("=")
        if not equals or name not in declared:
            raise CommandError(f"--field {text}: write NAME=VALUE, with a field that SITE_FILE declares")
        given[name] = value
        if declared[name].is_structure:
            with contextlib.suppress(ValueError):  # the field itself refuses a text that is no JSON
                given[name] = json.loads(value)
    return given


def _lines(failure: FieldErrors) -> str:
    return "\n".join(f"{field}: {text}" for field, texts in failure.fields.items() for text in texts)
