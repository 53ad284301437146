"""What operators count: a row of numbers for each process, in memory that all processes of the service share.

Whoever is asked answers with the sums over all rows, so that a scrape says the same whichever worker it meets. Counters
of processes that ended live on in the first row. Each row is written by one thread of one process.
"""

import mmap
import os
import tempfile
from typing import Self

NUMBERS: dict[str, tuple[str, str]] = {
    "processes": ("gauge", "Processes that serve."),
    "hash_threads": ("gauge", "Threads that hash passwords."),
    "hash_running": ("gauge", "Passwords that are hashed now."),
    "hash_waiting": ("gauge", "Callers that wait for a hashing thread."),
    "hash_waits_total": ("counter", "Callers that have had their turn."),
    "hash_wait_seconds_total": ("counter", "Seconds that these have waited for it."),
    "hash_refused_total": ("counter", "Callers that found the queue full and were answered 503."),
    "hash_left_total": ("counter", "Callers that left the queue before their turn; nothing was hashed."),
}
_PLACES = {name: place for place, name in enumerate(NUMBERS)}
_ROW_BYTES = 8 * len(NUMBERS)
ENDED = 0  # the row of the processes that are no more


def make_table(rows: int) -> int:
    """A file of no name with `rows` rows beside that of the ended, all zero; for `Metrics.shared`."""
    with tempfile.TemporaryFile() as file:
        file.truncate((1 + rows) * _ROW_BYTES)
        return os.dup(file.fileno())


class Metrics:
    """The numbers of this process, and the sums over all."""

    def __init__(self, memory: mmap.mmap, row: int) -> None:
        self._cells = memoryview(memory).cast("d")
        self._begins = row * len(NUMBERS)
        for cell in range(self._begins, self._begins + len(NUMBERS)):
            self._cells[cell] = 0.0
        if row != ENDED:
            self.add("processes")

    @classmethod
    def alone(cls) -> Self:
        """For a process that is the whole service."""
        return cls(mmap.mmap(-1, 2 * _ROW_BYTES), 1)

    @classmethod
    def shared(cls, table: int, row: int) -> Self:
        """Row `row` of the file `table`; its numbers begin at zero."""
        return cls(mmap.mmap(table, 0), row)

    def add(self, name: str, amount: float = 1.0) -> None:
        """Change the number `name` of this process."""
        self._cells[self._begins + _PLACES[name]] += amount

    def end(self, row: int) -> None:
        """The process of `row` is no more: keep what it has counted, forget its state."""
        for name, (kind, _) in NUMBERS.items():
            cell = row * len(NUMBERS) + _PLACES[name]
            if kind == "counter":
                self._cells[_PLACES[name]] += self._cells[cell]
            self._cells[cell] = 0.0

    def total(self, name: str) -> float:
        """The sum over all processes."""
        return sum(self._cells[_PLACES[name] :: len(NUMBERS)])

    def text(self) -> str:
        """Everything in the text format of Prometheus, version 0.0.4."""
        lines = []
        for name, (kind, says) in NUMBERS.items():
            full = f"frontdesk_{name}"
            lines += [f"# HELP {full} {says}", f"# TYPE {full} {kind}", f"{full} {self.total(name):.17g}"]
        return "\n".join(lines) + "\n"
