"""Takes the accounts of an import, a page in each transaction: whatever ends it, the next run goes on from there.

A row whose account is there already is left as it is. What stands in the way of others is found by one statement for
the whole page; constraints decide (docs/decisions/import.md).
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import orjson

from server.database.transaction import Transaction
from server.transfer.checks import Account, Checks
from server.transfer.rows import Refused, Row

ROWS_AT_ONCE = 50  # checked before other tasks run: some 3 ms
NOT_STORED = "has something that PostgreSQL does not store, such as U+0000"
IN_THE_WAY = "an account that was made meanwhile is in its way: run the command again"

# One row of a page is the cause of these: a trigger refused it (LOGIN_FIELD=either), or it has what JSON or the
# database cannot hold.
_OF_ONE_ROW = (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError, orjson.JSONEncodeError)

_Met = dict[int, list[asyncpg.Record]]


@dataclass
class Outcome:
    """What became of the rows of a page."""

    taken: int = 0
    there: int = 0
    refused: list[Refused] = field(default_factory=list)

    def add(self, other: "Outcome") -> None:
        """Add what became of other rows."""
        self.taken += other.taken
        self.there += other.there
        self.refused += other.refused


@dataclass
class Page:
    """Checked rows: the accounts of those that can be taken, and the rows that cannot, with what was read of them.

    `unfit` are the accounts of refused rows that could be read: what they collide with is told, too.
    """

    rows: Mapping[int, Row]  # all, by their places
    accounts: list[Account] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    unfit: list[Account] = field(default_factory=list)


async def check(checks: Checks, rows: Sequence[Row]) -> Page:
    """Check the rows of a page. Lets other tasks run in between: a page takes a tenth of a second or more."""
    page = Page({row.place: row for row in rows})
    for number, row in enumerate(rows):
        if number % ROWS_AT_ONCE == 0:
            await asyncio.sleep(0)
        account, reasons = checks.check(row)
        if reasons:
            page.refused.append(Refused(row, reasons))
            if not row.fault:
                # A name that was refused is no account's; without one, the address alone would be looked for.
                is_refused = account["username"] is None and row.values.get("username")
                page.unfit.append(account | {"username": ""} if is_refused else account)
        else:
            page.accounts.append(account)
    return page


async def take(transaction: Transaction, page: Page, *, command: str) -> Outcome:
    """Take the accounts of a page; `command` is named in their events."""
    outcome = Outcome()
    await transaction.row("imports/begin_row")
    try:
        outcome.add(await _take(transaction, page.accounts, page.rows, command))
        await transaction.row("imports/end_row")
    except _OF_ONE_ROW:
        await _undo(transaction)
        for account in page.accounts:
            outcome.add(await _take_alone(transaction, account, page.rows, command))
    met = await _look(transaction, page.unfit)
    outcome.refused += [Refused(each.row, [*each.reasons, *_collisions(met, each.row.place)]) for each in page.refused]
    outcome.refused.sort(key=lambda each: each.row.place)
    return outcome


async def _take_alone(transaction: Transaction, account: Account, by_place: Mapping[int, Row], command: str) -> Outcome:
    await transaction.row("imports/begin_row")
    try:
        outcome = await _take(transaction, [account], by_place, command)
        await transaction.row("imports/end_row")
        return outcome
    except (asyncpg.DataError, asyncpg.CheckViolationError, orjson.JSONEncodeError):
        reason = NOT_STORED
    except asyncpg.IntegrityConstraintViolationError:
        reason = IN_THE_WAY
    await _undo(transaction)
    return Outcome(refused=[Refused(by_place[account["place"]], [reason])])


async def _undo(transaction: Transaction) -> None:
    """Go back to the last `imports/begin_row`, and forget it."""
    await transaction.row("imports/undo_row")
    await transaction.row("imports/end_row")


async def _take(
    transaction: Transaction, accounts: Sequence[Account], by_place: Mapping[int, Row], command: str
) -> Outcome:
    """Take checked accounts. Raises the errors of `_OF_ONE_ROW`; the transaction is then to be undone."""
    outcome = Outcome()
    free = await _find_free(transaction, accounts, by_place, outcome)
    # The statement tells rows apart by their ids: of several with one id, the first.
    first = {account["id"] or -account["place"]: account for account in reversed(free)}
    given = _json([*reversed(first.values())])
    placed = {row["place"] for row in await transaction.rows("imports/take", given, command)} if free else set()
    outcome.taken = len(placed)
    # What an earlier row of the page has is found now.
    left = [account for account in free if account["place"] not in placed]
    for account in await _find_free(transaction, left, by_place, outcome):
        outcome.refused.append(Refused(by_place[account["place"]], [IN_THE_WAY]))
    return outcome


async def _find_free(
    transaction: Transaction, accounts: Sequence[Account], by_place: Mapping[int, Row], outcome: Outcome
) -> list[Account]:
    """The accounts in whose way nothing is; what became of the others is added to `outcome`."""
    met = await _look(transaction, accounts)
    free = []
    for account in accounts:
        found = met.get(account["place"], [])
        if any(row["is_there"] for row in found):
            outcome.there += 1
        elif found:
            outcome.refused.append(Refused(by_place[account["place"]], _collisions(met, account["place"])))
        else:
            free.append(account)
    return free


async def _look(transaction: Transaction, accounts: Sequence[Account]) -> _Met:
    """What stands in the way of accounts, by their places."""
    met: _Met = {}
    keys = [{name: account[name] for name in ("place", "id", "username", "email")} for account in accounts]
    for row in await transaction.rows("imports/look", _json(keys)) if keys else ():
        met.setdefault(row["place"], []).append(row)
    return met


def _collisions(met: _Met, place: int) -> list[str]:
    return [f"{row['by']}: is that of account {row['id']}" for row in met.get(place, []) if not row["is_there"]]


def _json(accounts: Sequence[Mapping[str, Any]]) -> str:
    return orjson.dumps(accounts).decode()
