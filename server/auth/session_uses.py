"""When sessions were used last: remembered by each process, and written from time to time.

A request only puts its session into a dictionary, so that reads stay reads. A task writes them every minute, many in
one statement, and once more when the service stops. A process that is killed forgets at most the last minute
(docs/decisions/sessions.md).
"""

import asyncio
import contextlib
import logging
import random
from uuid import UUID

from server.database.database import Database
from server.errors import Unavailable
from server.settings.settings import Settings

log = logging.getLogger(__name__)

WRITE_SECONDS = 60.0  # between two writes of one process
FRESH_SECONDS = 30.0  # a row that a process noted so recently is not written again
WRITE_ROWS = 1000  # of one statement: some 20 ms
MAX_WAITING = 100_000  # sessions that wait for the next write, some 17 MB; then it comes at once
LAST_WRITE_SECONDS = 2.0  # the longest that a stop waits for the last write


class SessionUses:
    """The sessions that were used since the last write, with their accounts."""

    def __init__(self, settings: Settings) -> None:
        self._waiting: dict[UUID, int] = {}
        self._is_full = asyncio.Event()
        self._lifetimes = (
            settings.session_idle_lifetime,
            settings.refresh_lifetime,
            # Without rotation the refresh token is the end, however long it lives.
            max(settings.session_lifetime, settings.refresh_lifetime),
        )

    def note(self, session_id: UUID, user_id: int) -> None:
        """Note that a session is used now. Beyond MAX_WAITING it is not noted, until the next write."""
        if len(self._waiting) < MAX_WAITING:
            self._waiting[session_id] = user_id
        else:
            self._is_full.set()

    async def write(self, db: Database) -> None:
        """Write what was noted. What could not be written is kept for the next time. Raises Unavailable."""
        noted, self._waiting = self._waiting, {}
        session_ids, user_ids = [*noted], [*noted.values()]
        written = 0
        try:
            while written < len(noted):
                end = written + WRITE_ROWS
                keys = session_ids[written:end], user_ids[written:end]
                await db.rows("sessions/note_use", *keys, FRESH_SECONDS, *self._lifetimes)
                written = end
        finally:
            left = zip(session_ids[written:], user_ids[written:], strict=True)
            self._waiting = dict(left) | self._waiting

    async def run(self, db: Database) -> None:
        """Write every WRITE_SECONDS, and at once when many sessions wait, until cancelled."""
        await asyncio.sleep(WRITE_SECONDS * random.random())  # noqa: S311  spreads the processes
        while True:
            try:
                await self.write(db)
            except Unavailable:
                log.warning("uses of sessions were not written: the database is unavailable; the next write has them")
                await asyncio.sleep(WRITE_SECONDS)
            except Exception:  # the loop must survive: otherwise sessions in use would end when they have an idle end
                log.exception("uses of sessions were not written")
                await asyncio.sleep(WRITE_SECONDS)
            else:
                await self._until_next_write()

    async def write_last(self, db: Database) -> None:
        """Write what was noted before the service stops; nothing when the database does not answer in time."""
        with contextlib.suppress(Unavailable, TimeoutError):
            async with asyncio.timeout(LAST_WRITE_SECONDS):
                await self.write(db)

    async def _until_next_write(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WRITE_SECONDS):
                await self._is_full.wait()
        self._is_full.clear()
