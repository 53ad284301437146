"""Metrics: a row of numbers for each process, in memory that all processes of the service share.

Every process responds with the sums over all rows, so that a scrape gets the same response from any worker. Counters of
ended processes are added to the first row. Only one thread of one process writes each row.
"""

import mmap
import os
import tempfile
from typing import Self

METRICS: dict[str, tuple[str, str]] = {
    "processes": ("gauge", "Processes that serve."),
    "hash_threads": ("gauge", "Threads that hash passwords."),
    "hash_running": ("gauge", "Passwords that are being hashed."),
    "hash_waiting": ("gauge", "Callers that wait for a hashing thread."),
    "hash_waits_total": ("counter", "Callers that got a hashing thread."),
    "hash_wait_seconds_total": ("counter", "Seconds that these callers have waited."),
    "hash_refused_total": ("counter", "Callers that found the queue full and got 503."),
    "hash_left_total": ("counter", "Callers that left the queue before their turn; nothing was hashed."),
}
_COLUMNS = {name: column for column, name in enumerate(METRICS)}
_ROW_BYTES = 8 * len(METRICS)
ENDED_PROCESSES_ROW = 0


def make_table(rows: int) -> int:
    """A file descriptor for `Metrics.shared`: an unnamed file of zeros, with `rows` rows after ENDED_PROCESSES_ROW."""
    with tempfile.TemporaryFile() as file:
        file.truncate((1 + rows) * _ROW_BYTES)
        return os.dup(file.fileno())


class Metrics:
    """The metrics of this process, and the sums over all processes."""

    def __init__(self, memory: mmap.mmap, row: int) -> None:
        self._cells = memoryview(memory).cast("d")
        self._first_cell = row * len(METRICS)
        for cell in range(self._first_cell, self._first_cell + len(METRICS)):
            self._cells[cell] = 0.0
        if row != ENDED_PROCESSES_ROW:
            self.add("processes")

    @classmethod
    def alone(cls) -> Self:
        """Metrics of a process that is the whole service."""
        return cls(mmap.mmap(-1, 2 * _ROW_BYTES), 1)

    @classmethod
    def shared(cls, table: int, row: int) -> Self:
        """Metrics in row `row` of the file `table`. They begin at zero."""
        return cls(mmap.mmap(table, 0), row)

    def add(self, name: str, amount: float = 1.0) -> None:
        """Add `amount` to the metric `name` of this process."""
        self._cells[self._first_cell + _COLUMNS[name]] += amount

    def end(self, row: int) -> None:
        """The process of `row` has ended: keep its counters, and set its gauges to zero."""
        for name, (kind, _) in METRICS.items():
            cell = row * len(METRICS) + _COLUMNS[name]
            if kind == "counter":
                self._cells[_COLUMNS[name]] += self._cells[cell]
            self._cells[cell] = 0.0

    def total(self, name: str) -> float:
        """The sum over all processes."""
        return sum(self._cells[_COLUMNS[name] :: len(METRICS)])

    def text(self) -> str:
        """All metrics in the text format of Prometheus, version 0.0.4."""
        lines = []
        for name, (kind, description) in METRICS.items():
            metric = f"frontdesk_{name}"
            lines += [f"# HELP {metric} {description}", f"# TYPE {metric} {kind}", f"{metric} {self.total(name):.17g}"]
        return "\n".join(lines) + "\n"
