"""Reads that may lag: from a server of REPLICA_URL while one is fresh, from the primary otherwise.

How far a replica lags is measured against the primary, without clocks: at some moment the primary had written its log
up to a position; when the replica has replayed that, it is as fresh as that moment. An idle primary does not move, so a
replica of it does not lag. Equal positions of receiving and replaying say less: a replica that is cut off has them, too
(docs/decisions/replica.md).
"""

import asyncio
import dataclasses
import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from server.database.database import Database
from server.database.failures import reason_of
from server.database.outages import Outages
from server.errors import StartError, Unavailable
from server.settings.database_url import DatabaseUrl
from server.telemetry import metrics

log = logging.getLogger(__name__)

Found = TypeVar("Found")

MAX_LAG_SECONDS = 10.0  # people accept that a list is that old; a replica that is busy replaying is mostly below 1 s
READ_SECONDS = 1.0  # longest wait for a replica: the slowest list takes 0.4 s with a million accounts
LOOK_SECONDS = 1.0  # between two looks at the positions of primary and replica
OPEN_SECONDS = 5.0  # for one host to be connected to and to say which server it is
FIRST_PAUSE_SECONDS = 1.0  # after a replica was lost, until the next try; doubled each time
LONGEST_PAUSE_SECONDS = 60.0
# What an account did so recently may not be on a replica yet: MAX_LAG_SECONDS, and COMMAND_SECONDS of a transaction
# whose events have the time of its beginning.
OWN_CHANGES_SECONDS = 30.0


class NotFit(Exception):
    """A server is of no use as a replica. The text goes on after "the replica"."""


class _LastFailure(Outages):
    """Keeps the last failure: one line says that a replica is lost, not one for each statement."""

    def __init__(self) -> None:
        super().__init__()
        self.text = "does not respond"

    def add(self, failure: Exception) -> None:
        self.text = f"is lost: {type(failure).__name__}: {reason_of(failure)}"


class Replica:
    """The servers of REPLICA_URL, one of which is used at a time, and the primary that takes their place."""

    def __init__(self, primary: Database, hosts: Sequence[DatabaseUrl], *, connections: int, pooler: str) -> None:
        """`hosts` has one host in each URL. `connections` is the most of them to a replica."""
        self._primary = primary
        self._hosts = deque(hosts)  # the first one is tried next
        self._options: dict[str, Any] = {"connections": connections, "pooler": pooler}
        self._db: Database | None = None  # the replica that is connected to
        self._failures = _LastFailure()
        self._since = -math.inf  # the loop's time from which on a lag would be known
        self._fresh_at = -math.inf  # the loop's time as of which the replica has everything
        self._positions: deque[tuple[float, int]] = deque()  # the loop's time, and the primary's position then
        self._in_use: bool | None = None  # None: nothing is known yet
        self._in_use_since = math.inf
        self._next_try = -math.inf
        self._pause = FIRST_PAUSE_SECONDS

    @property
    def is_usable(self) -> bool:
        """Whether reads that may lag go to a replica now."""
        return self._db is not None and self._now() - self._fresh_at <= MAX_LAG_SECONDS

    async def read(self, read: Callable[[Database], Awaitable[Found]]) -> Found:
        """The result of `read` on a replica, or on the primary when there is none, or when it fails there.

        Takes at most READ_SECONDS longer than the primary. Raises what `read` raises on the primary.
        """
        db = self._db
        if db is not None and self.is_usable:
            try:
                async with asyncio.timeout(READ_SECONDS):
                    found = await read(db)
                metrics.LAGGING_READS.add("replica")
                return found
            except TimeoutError:
                self._lose(db, f"did not answer a read within {READ_SECONDS:.0f} s")
            # A conflict with replaying, a row or a column that is not there yet: the primary has the last word.
            except Exception:
                if db.lost.is_set():
                    self._lose(db, self._failures.text)
        metrics.LAGGING_READS.add("primary")
        return await read(self._primary)

    async def has_changed_lately(self, account_id: int) -> bool:
        """Whether the account has changed something that a replica may not have yet. Raises Unavailable, Busy."""
        row = await self._primary.find("changes/lately", account_id, OWN_CHANGES_SECONDS)
        return row is None or bool(row["has_changed"])

    async def watch(self) -> None:
        """Look again and again, until the task is cancelled."""
        while True:
            try:
                await self.look()
            except Exception:  # the loop must survive: otherwise no read goes to a replica any more
                log.exception("the replica was not looked at")
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Look how far the replica lags; connect to one if there is none and the pause is over."""
        if self._db is None and self._now() >= self._next_try:
            await self._connect()
        if self._db is not None:
            await self._measure(self._db)
        metrics.REPLICA_USABLE.set(self.is_usable)
        metrics.REPLICA_LAG.set(self._now() - self._fresh_at if self._db and self._fresh_at > -math.inf else math.nan)

    async def close(self) -> None:
        """Close the connections to the replica."""
        if self._db:
            await self._db.close()

    async def _connect(self) -> None:
        """Connect to the first host that will do. Without one, wait for the pause."""
        reasons = []
        for _ in range(len(self._hosts)):
            failures = _LastFailure()
            try:
                async with asyncio.timeout(OPEN_SECONDS):
                    # Never several hosts in one set of connections: each of them lags differently.
                    db = await Database.open(self._hosts[0], outages=failures, **self._options)
            except (Unavailable, StartError, TimeoutError) as failure:
                cause = failure.__cause__ if isinstance(failure, Unavailable) else failure
                text = reason_of(cause) if isinstance(cause, Exception) else "does not respond"
                reasons.append(f"cannot be used: {text}")
                self._hosts.rotate(-1)
                continue
            self._db, self._failures = db, failures
            self._since, self._fresh_at = self._now(), -math.inf
            self._positions.clear()
            return
        self._rest(reasons[0])

    async def _measure(self, db: Database) -> None:
        primary = await self._position_of_primary()
        if primary is None:  # nothing can be said about the replica; without a primary there are no reads
            self._since = self._now()
            return
        try:
            fresh_at = await self._fresh_as_of(db, primary)
        except NotFit as reason:
            self._lose(db, str(reason))
            return
        if db is not self._db:  # a read lost it meanwhile
            return
        self._fresh_at = max(self._fresh_at, fresh_at)
        if self.is_usable:
            self._use()
        elif self._now() - max(self._fresh_at, self._since) > MAX_LAG_SECONDS:
            self._lose(db, f"lags by more than {MAX_LAG_SECONDS:.0f} s")

    async def _position_of_primary(self) -> Any:
        """The row of replica/state of the primary, which is also remembered; None when it does not respond."""
        asked_at = self._now()
        try:
            async with asyncio.timeout(READ_SECONDS):
                row = await self._primary.row("replica/state")
        except Exception:  # Database has logged that it is unavailable
            return None
        if row is None or row["is_replica"]:
            return None
        self._positions.append((asked_at, row["position"]))
        while self._positions[0][0] < asked_at - 2 * MAX_LAG_SECONDS:
            self._positions.popleft()
        return row

    async def _fresh_as_of(self, db: Database, primary: Any) -> float:
        """The loop's time as of which the replica has everything. Raises NotFit."""
        try:
            async with asyncio.timeout(READ_SECONDS):
                row = await db.row("replica/state")
        except TimeoutError:
            raise NotFit(f"did not respond within {READ_SECONDS:.0f} s") from None
        except Exception as failure:
            raise NotFit(self._failures.text) from failure
        if reason := unfit(row, primary):
            raise NotFit(reason)
        assert row is not None
        return max((at for at, position in self._positions if position <= row["position"]), default=-math.inf)

    def _use(self) -> None:
        if not self._in_use:
            log.info("the replica is used for reads that may lag")
            self._in_use, self._in_use_since = True, self._now()
        elif self._now() - self._in_use_since > LONGEST_PAUSE_SECONDS:
            self._pause = FIRST_PAUSE_SECONDS

    def _lose(self, db: Database, why: str) -> None:
        """Use `db` no more; the reads that wait for it go to the primary at once."""
        if db is self._db:
            self._db = None
            db.terminate()
            self._hosts.rotate(-1)
            self._rest(why)

    def _rest(self, why: str) -> None:
        self._next_try = self._now() + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        if self._in_use is not False:
            log.warning("reads that may lag go to the primary: the replica %s", why)
        self._in_use = False
        metrics.REPLICA_USABLE.set(0)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def hosts_of(url: str) -> list[DatabaseUrl]:
    """A URL for each host of REPLICA_URL."""
    read = DatabaseUrl.read(url, is_replica=True)
    return [
        dataclasses.replace(read, hosts=(host,), ports=(port,))
        for host, port in zip(read.hosts, read.ports, strict=True)
    ]


def unfit(row: Any, primary: Any) -> str:
    """Why the server with this row of replica/state is no replica of the primary with that one; empty: it is one."""
    if not row["is_replica"]:
        return "is none any more: it can be written to"
    if (row["system"], row["database"]) != (primary["system"], primary["database"]):
        return "is that of another database"
    return ""
