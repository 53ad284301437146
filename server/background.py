"""Periodic work beside the requests: sweep, restart the bundled database, send letters, note uses of sessions.

With METRICS also: watch the event loop, the connections and the queue of letters.
"""

import asyncio
import contextlib
import functools
import logging
import math
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence

from aiohttp import web

from server.database.database import Database
from server.errors import Unavailable
from server.postgres.errors import BundledPostgresError
from server.telemetry import metrics
from server.web.app_keys import DB, LETTER_SENDER, SESSION_USES, STOPPING

log = logging.getLogger(__name__)

SWEEP_SECONDS = 600.0  # between two sweeps of one process
SWEEP_ROWS = 1000  # deleted by one statement
SWEEP_STATEMENTS = ("sessions/sweep", "users/sweep", "one_time_tokens/sweep", "limits/sweep", "adopted_tokens/sweep")
REVIVE_PAUSE_SECONDS = 0.5  # between two attempts to restart a database that keeps crashing

WATCH_LOOP_SECONDS = 0.5
WATCH_DATABASE_SECONDS = 15.0  # in each process: all of them show what the database has

CleanupContext = Callable[[web.Application], AsyncIterator[None]]


def run_while_serving(work: Callable[[Database], Coroutine[None, None, None]]) -> CleanupContext:
    """A cleanup context that starts `work` with the application and cancels it at the end."""

    async def context(app: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(work(app[DB]))
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    return context


def sweep(events_days: int) -> Callable[[Database], Coroutine[None, None, None]]:
    """Work that deletes expired rows, and events after `events_days` days, from time to time, SWEEP_ROWS at once.

    It also makes events of deleted accounts anonymous, where there were too many to do so at the deletion.
    Processes that sweep together share the work.
    """
    statements = [*((name, ()) for name in SWEEP_STATEMENTS), ("events/sweep", (events_days,))]
    return functools.partial(_sweep, statements)


async def _sweep(statements: Sequence[tuple[str, tuple[int, ...]]], db: Database) -> None:
    while True:
        await asyncio.sleep(SWEEP_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311  spreads the processes
        try:
            for name, arguments in statements:
                swept = SWEEP_ROWS
                while swept == SWEEP_ROWS:
                    swept = len(await db.rows(name, SWEEP_ROWS, *arguments))
                    if name == "sessions/sweep":
                        metrics.SESSIONS_ENDED.add("expired", by=swept)
            while await db.rows("events/clear_deleted", SWEEP_ROWS):
                pass
        except Unavailable:
            log.warning("expired rows were not swept: the database is unavailable; the next sweep tries again")
        except Exception:  # the loop must survive: otherwise this process never sweeps again
            log.exception("expired rows were not swept")


def revive(restart: Callable[[], bool]) -> Callable[[Database], Coroutine[None, None, None]]:
    """Work that restarts the bundled database when a statement finds it gone; `restart` blocks, so a thread runs it."""

    async def watch(db: Database) -> None:
        reason = ""
        while True:
            await db.lost.wait()
            db.lost.clear()
            try:
                if await asyncio.to_thread(restart):
                    log.warning("the bundled database had stopped and was started again")
                reason = ""
            except BundledPostgresError as failure:
                if str(failure) != reason:  # not again for each statement that fails
                    log.error("%s", failure)
                reason = str(failure)
            except Exception:  # the loop must survive: otherwise the database stays down
                log.exception("the bundled database cannot be started")
            await asyncio.sleep(REVIVE_PAUSE_SECONDS)

    return watch


async def watch_event_loop(db: Database) -> None:
    """Observe how much later than asked the event loop continues this task, and count the open connections."""
    for use, limit in db.connection_limits().items():
        metrics.CONNECTION_LIMIT.set(limit, use)
    while True:
        began = time.perf_counter()
        await asyncio.sleep(WATCH_LOOP_SECONDS)
        metrics.EVENT_LOOP_LAG.observe(max(0.0, time.perf_counter() - began - WATCH_LOOP_SECONDS))
        for (use, state), count in db.connection_counts().items():
            metrics.CONNECTIONS.set(count, use, state)


async def watch_database(db: Database) -> None:
    """Look from time to time whether the database responds, and which letters are in it."""
    while True:
        await look_at_database(db)
        await asyncio.sleep(WATCH_DATABASE_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311  spreads the processes


async def look_at_database(db: Database) -> None:
    """Set the gauges of the database and its letters; unknown when it does not respond."""
    try:
        row = await db.row("letters/state")
        assert row is not None
    except Exception as failure:  # the loop must survive; Database has logged that it is unavailable
        if not isinstance(failure, Unavailable):
            log.warning("the letters could not be counted: %s", type(failure).__name__)
        row = {"waiting": math.nan, "oldest": math.nan, "given_up": math.nan}
        metrics.DATABASE_REACHABLE.set(0)
    else:
        metrics.DATABASE_REACHABLE.set(1)
    metrics.LETTERS_WAITING.set(row["waiting"])
    metrics.LETTERS_OLDEST.set(row["oldest"])
    metrics.LETTERS_GIVEN_UP.set(row["given_up"])


async def send_letters(app: web.Application) -> AsyncIterator[None]:
    """Send letters until the service stops; letters in progress then finish while the last requests do."""
    sending = asyncio.create_task(app[LETTER_SENDER].run(app[DB]))
    ending = asyncio.create_task(_cancel_when(app[STOPPING], sending))
    yield
    app[STOPPING].set()
    await ending


async def note_session_uses(app: web.Application) -> AsyncIterator[None]:
    """Write from time to time which sessions were used, and once more when the last request has its response."""
    writing = asyncio.create_task(app[SESSION_USES].run(app[DB]))
    yield
    writing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await writing
    await app[SESSION_USES].write_last(app[DB])


async def _cancel_when(stopping: asyncio.Event, task: "asyncio.Task[None]") -> None:
    await stopping.wait()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
