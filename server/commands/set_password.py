"""`set-password`: give an account another password."""

import argparse

from server.accounts import passwords
from server.accounts.events import Source
from server.auth.one_time_tokens import OneTimeTokens
from server.auth.passwords import Passwords
from server.commands.accounts import add_name, find
from server.commands.database import run_on_database
from server.commands.failures import CommandError
from server.commands.typed import read_password
from server.database.database import Database
from server.database.transaction import Transaction
from server.errors import FieldErrors
from server.mail.letters import Letters
from server.process.serving import say
from server.settings.account_model import load_account_fields
from server.settings.settings import Settings
from server.web.bodies import load
from server.web.guards import only_strong
from server.web.schemas.fields import Body, Password

add_arguments = add_name


class _NewPassword(Body):
    """The password that was typed."""

    password = Password(required=True)


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Give an account another password, from a prompt or standard input; every session and its API token end."""
    try:
        password: str = load(_NewPassword(), {"password": read_password()})["password"]
    except FieldErrors as failure:
        raise _refused(failure) from None

    async def work(db: Database) -> None:
        hashes = Passwords(settings.bcrypt_rounds)
        one_time_tokens = OneTimeTokens(settings.signing_key, lifetime=settings.password_reset_timeout)
        letters = Letters(one_time_tokens, notices=settings.limit_letters_address)
        try:
            async with db.transaction() as transaction:
                user_id = await find(transaction, options.name)
                await _check(transaction, user_id, password, settings)
            new_hash = await hashes.hash(password)
            async with db.transaction() as transaction:
                await passwords.set_by_operator(
                    transaction,
                    user_id,
                    new_hash=new_hash,
                    letters=letters,
                    settings=settings,
                    source=Source(command="set-password"),
                )
        finally:
            hashes.close()

    run_on_database(settings, work)
    say(f"Account {options.name} has another password. Its sessions have ended.")


async def _check(transaction: Transaction, user_id: int, password: str, settings: Settings) -> None:
    """Raises CommandError with the text of every rule that the password breaks (contract 5)."""
    user = await transaction.row("users/find", user_id)
    assert user is not None
    texts = settings.account.texts(load_account_fields(user["account_fields"]))
    try:
        only_strong("password", password, username=user["username"], email=user["email"], texts=texts)
    except FieldErrors as failure:
        raise _refused(failure) from None


def _refused(failure: FieldErrors) -> CommandError:
    return CommandError("\n".join(f"password: {text}" for text in failure.fields["password"]))
