"""What the log and the metrics say about a database that cannot run statements."""

import logging
import math
import time

from server.database.failures import NoFreeConnection, is_disk_full, is_lost, is_timeout, reason_of
from server.telemetry import metrics

log = logging.getLogger(__name__)

OUTAGE_SECONDS = 30.0  # without a statement that succeeds: longer than a restart or a failover takes
LOG_PAUSE_SECONDS = 1.0  # between log lines: one failure can affect thousands of requests
REPEAT_PAUSE_SECONDS = 60.0  # between two log lines that say the same


class Outages:
    """The failures of one database that mean "try again later"."""

    def __init__(self) -> None:
        self._logged_at: dict[tuple[int, str], float] = {}  # each line of the log, and when it was written last
        self._unavailable_since = math.inf

    def end(self) -> None:
        """A statement has succeeded."""
        self._unavailable_since = math.inf

    def add(self, failure: Exception) -> None:
        """Log and count a failure for which `is_unavailable` is true."""
        if is_timeout(failure):
            metrics.DATABASE_FAILURES.add("timeout")
            self._log(logging.WARNING, "did not finish a statement in time", failure)
        elif isinstance(failure, NoFreeConnection):
            self._add_unavailable("has no free connection for this process", failure, cause="no_connection")
        elif is_lost(failure):
            self._add_unavailable("is unavailable", failure)
        elif is_disk_full(failure):
            self._add_unavailable("cannot run a statement", failure, cause="disk_full", level=logging.ERROR)
        else:
            self._add_unavailable("cannot run a statement", failure)

    def _add_unavailable(
        self, what: str, failure: Exception, *, cause: str = "unavailable", level: int = logging.WARNING
    ) -> None:
        """A warning, since most failures end by themselves; an error when no statement has succeeded for long."""
        metrics.DATABASE_FAILURES.add(cause)
        now = time.monotonic()
        self._unavailable_since = min(self._unavailable_since, now)
        is_long = now - self._unavailable_since >= OUTAGE_SECONDS
        self._log(logging.ERROR if is_long else level, what, failure)

    def _log(self, level: int, what: str, failure: Exception) -> None:
        line = (level, f"the database {what}: {type(failure).__name__}: {reason_of(failure)}")
        now = time.monotonic()
        if now - max(self._logged_at.values(), default=-math.inf) < LOG_PAUSE_SECONDS:
            return
        if now - self._logged_at.get(line, -math.inf) >= REPEAT_PAUSE_SECONDS:
            self._logged_at = {each: at for each, at in self._logged_at.items() if now - at < REPEAT_PAUSE_SECONDS}
            self._logged_at[line] = now
            log.log(level, "%s", line[1])
