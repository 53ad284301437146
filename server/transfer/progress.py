"""How far a command has come: a bar on a terminal, elsewhere a line from time to time. All of it on standard error."""

import logging
import sys
import time
from types import TracebackType
from typing import Self

from tqdm import tqdm

from server.telemetry.logs import line_of

LINE_SECONDS = 5.0


class Progress:
    """Shows how many of `total` rows are done, as a context manager. `what` is a word such as "Taken"."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._done = 0
        self._said_at = time.monotonic()
        is_terminal = sys.stderr.isatty()
        self._bar = tqdm(total=total, desc=what, unit=" rows", file=sys.stderr, leave=False, disable=not is_terminal)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.close()

    def add(self, rows: int) -> None:
        """Count rows that are done."""
        self._done += rows
        self._bar.update(rows)
        now = time.monotonic()
        if self._bar.disable and now - self._said_at >= LINE_SECONDS:
            self._said_at = now
            sys.stderr.write(line_of(f"{self._what}: {self._done:,} of {self._total:,} rows", logging.INFO) + "\n")
