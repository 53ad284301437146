"""Runs an import: tokens that were revoked first, so that none opens a session, then the accounts, page by page."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass

from server.database.database import Database
from server.database.transaction import Transaction
from server.transfer.checks import Checks
from server.transfer.progress import Progress
from server.transfer.rows import Refused, Source
from server.transfer.taking import Page, check, take


@dataclass
class Totals:
    """What became of the rows of an import: how many were taken, were there already, were not taken."""

    taken: int = 0
    there: int = 0
    not_taken: int = 0

    @property
    def rows(self) -> int:
        """All of them."""
        return self.taken + self.there + self.not_taken


class _Undone(Exception):
    """Rolls back the transaction of a dry run."""


async def run(
    db: Database,
    source: Source,
    checks: Checks,
    *,
    command: str,
    dry_run: bool,
    report: Callable[[Refused], None],
    totals: Totals,
) -> None:
    """Take everything that `source` has. `report` is called with each row that is not taken; `totals` grows.

    `dry_run`: all of it is one transaction, which is rolled back. Raises UnusableSource.
    """
    if not dry_run:
        # First, so that an account which registers meanwhile gets no id of the source.
        await db.row("imports/reserve_ids", source.highest_id, source.highest_profile_id)
    with contextlib.suppress(_Undone), Progress("Checked" if dry_run else "Taken", source.total) as progress:
        async with _whole(db, is_one=dry_run) as whole:
            await _note_revoked(db, source, whole)
            # Closed at once, whatever ends the block: the generator has a task.
            async with contextlib.aclosing(_checked(source, checks)) as pages:
                async for page in pages:
                    async with _transaction(db, whole) as transaction:
                        outcome = await take(transaction, page, command=command)
                    for refused in outcome.refused:
                        report(refused)
                    totals.taken += outcome.taken
                    totals.there += outcome.there
                    totals.not_taken += len(outcome.refused)
                    progress.add(len(page.rows))
            if dry_run:
                raise _Undone


async def _checked(source: Source, checks: Checks) -> AsyncGenerator[Page, None]:
    """The pages of a source, checked; the next one is read and checked while the database takes the one before it."""

    async def next_page() -> Page | None:
        rows = await anext(pages, None)
        return None if rows is None else await check(checks, rows)

    pages = aiter(source.pages())
    coming = asyncio.create_task(next_page())
    try:
        while page := await coming:
            coming = asyncio.create_task(next_page())
            yield page
    finally:
        coming.cancel()
        with contextlib.suppress(BaseException):
            await coming


async def _note_revoked(db: Database, source: Source, whole: Transaction | None) -> None:
    async for tokens in source.revoked():
        async with _transaction(db, whole) as transaction:
            columns = [each.jti for each in tokens], [each.expires_at for each in tokens]
            await transaction.rows("adopted_tokens/note", *columns)


@contextlib.asynccontextmanager
async def _whole(db: Database, *, is_one: bool) -> AsyncIterator[Transaction | None]:
    """One transaction for the block, if it is to be one."""
    if not is_one:
        yield None
        return
    async with db.transaction() as transaction:
        yield transaction


@contextlib.asynccontextmanager
async def _transaction(db: Database, whole: Transaction | None) -> AsyncIterator[Transaction]:
    """A transaction for the block: the one of the whole import, if it is one."""
    if whole is not None:
        yield whole
        return
    async with db.transaction() as transaction:
        yield transaction
