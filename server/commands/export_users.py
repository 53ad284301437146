"""`export-users`: write all accounts to a file that `import-users` reads."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from server.accounts import events
from server.accounts.events import Source
from server.commands.database import run_on_database
from server.commands.failures import CommandError, Interrupted
from server.database.database import Database
from server.process import signals
from server.process.serving import say
from server.settings.account_model import AccountModel, load_account_fields
from server.settings.settings import Settings
from server.transfer.progress import Progress
from server.transfer.rows import COLUMNS, PAGE_ROWS, PROFILE_COLUMNS, UnusableSource
from server.transfer.target import FileTarget
from server.web.schemas.account_fields import first_values

CANNOT_RUN_STATUS = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the file, and whether it gets the hashes."""
    parser.add_argument("file", metavar="FILE", type=Path, help="a new file, .csv or .jsonl")
    parser.add_argument("--with-hashes", action="store_true", help="also the password hashes: keep the file secret")


def run(settings: Settings, options: argparse.Namespace) -> None:
    """Write all accounts to a new file, which import-users reads; without password hashes unless asked."""
    left = "was not made"

    async def work(db: Database) -> None:
        nonlocal left
        try:
            target = FileTarget(options.file, settings.account, with_hashes=options.with_hashes)
        except UnusableSource as failure:
            raise CommandError(str(failure)) from None
        try:
            with signals.cancelling():
                number = await _write(db, target, settings.account, with_hashes=options.with_hashes)
        except BaseException as failure:
            left = "was removed" if target.remove() else "is not whole: remove it"
            if isinstance(failure, UnusableSource):
                raise CommandError(f"{failure} It {left}.") from None
            raise
        left = "is whole"
        say(f"{options.file} has {number:,} accounts.")

    try:
        run_on_database(settings, work)
    except SystemExit as failure:
        raise Interrupted(f"Interrupted: {options.file} {left}.", failure) from None


async def _write(db: Database, target: FileTarget, account: AccountModel, *, with_hashes: bool) -> int:
    counted = await db.row("imports/count")
    assert counted is not None
    # Before the first byte: an export that is interrupted has shown hashes, too.
    async with db.transaction() as transaction:
        details = {"accounts": counted["accounts"], "with_hashes": with_hashes}
        await events.record(transaction, events.EXPORTED, None, Source(command="export-users"), details)
    number = after = 0
    target.begin()
    with Progress("Written", counted["accounts"]) as progress:
        while rows := await db.rows("imports/export", after, PAGE_ROWS):
            for row in rows:
                target.write(_values(row, account))
            number, after = number + len(rows), rows[-1]["id"]
            progress.add(len(rows))
    target.finish()
    return number


def _values(row: Mapping[str, Any], account: AccountModel) -> dict[str, Any]:
    """The values of a row of an import."""
    columns = {"password_hash": "password"}
    values: dict[str, Any] = {name: row[columns.get(name, name)] for name in COLUMNS}
    values["role_fields"] = orjson.loads(row["role_fields"]) if row["role_fields"] else None
    # Of a field without a value its default, which the API shows too: an import stores it.
    values["fields"] = first_values(account, load_account_fields(row["account_fields"])) or {}
    renamed = {"id": "profile_id", "date_joined": "profile_joined", "updated_on": "profile_updated"}
    values["profile"] = {name: row[renamed.get(name, name)] for name in PROFILE_COLUMNS}
    return values
