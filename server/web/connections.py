"""The open connections of a process: bounded in number, and what they share (security 32).

Without a bound the process runs out of files, and then no new client is served.
"""

import logging
import time
from collections import OrderedDict
from typing import Protocol

from server.web.bounds import ARRIVING_MAX_BYTES, UNSENT_MAX_BYTES, Budget
from server.web.memory import Relief
from server.web.turns import Turns

log = logging.getLogger(__name__)

USUAL_MAX_CONNECTIONS = 10_000  # of a process; what each costs: docs/operate.md, "Sizing"
IDLE_BYTES = 12_000  # a connection, on average of those before and after their first request
LOOKS = 64  # at how many connections a new one looks for one that gives way
REPORT_SECONDS = 60.0


class Connection(Protocol):
    """What Connections asks of a connection."""

    @property
    def waits_for_client(self) -> bool:
        """Whether only its client can bring it on: it has no request, or an unfinished one, or does not read."""

    @property
    def last_used(self) -> float:
        """Changes with each response."""

    def drop(self) -> None:
        """Close it at once."""


class Connections:
    """At most `limit` connections. For a new one the longest idle of them is closed, or the new one if none is idle.

    The order is that of the last look at them, not of the last use: keeping the latter would cost every request time.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._open: OrderedDict[Connection, float] = OrderedDict()  # when it was last used, as of the last look
        self._closed = 0  # since the last report
        self._reported = 0.0

    def __len__(self) -> int:
        return len(self._open)

    def has_room(self) -> bool:
        """Whether there is room for a new connection, for which another one may be closed."""
        if len(self._open) < self.limit:
            return True
        self._report()
        for _ in range(LOOKS if self._open else 0):
            connection, last_used = self._open.popitem(last=False)
            if connection.waits_for_client and connection.last_used == last_used:
                connection.drop()
                return True
            self._open[connection] = connection.last_used
        return False

    def add(self, connection: Connection) -> None:
        """Add a new connection."""
        self._open[connection] = connection.last_used

    def remove(self, connection: Connection) -> None:
        """A connection is closed."""
        self._open.pop(connection, None)

    def _report(self) -> None:
        self._closed += 1
        if (now := time.monotonic()) >= self._reported + REPORT_SECONDS:
            log.warning(
                "%d connections are open, as many as MAX_CONNECTIONS allows: %d idle or new ones were closed",
                self.limit,
                self._closed,
            )
            self._reported, self._closed = now, 0


class Bounds:
    """What all connections of one server share."""

    def __init__(self, max_connections: int = USUAL_MAX_CONNECTIONS) -> None:
        self.arriving = Budget(ARRIVING_MAX_BYTES)
        self.unsent = Budget(UNSENT_MAX_BYTES)
        self.turns = Turns()
        self.connections = Connections(max_connections)
        self.relief = Relief(self._bytes)

    def _bytes(self) -> int:
        return self.arriving.total + self.unsent.total + len(self.connections) * IDLE_BYTES
