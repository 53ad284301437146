"""The numbers of a process, in memory that outlives it: one row of a table for each process of the service.

The supervisor makes the table, and each process writes its own row alone. A row describes itself: each entry is a key
and its numbers. So the supervisor shows the metrics of workers whose code is newer than its own, and a worker that is
killed loses nothing. It costs a tenth of prometheus_client's files for several processes (docs/decisions/metrics.md).

Everything in a row is a number of 8 bytes, a cell. Cell 0: how many cells are used. An entry: the length of its key in
bytes, the number of its values, the key, filled up to whole cells, and the values.
"""

import logging
import mmap
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

log = logging.getLogger(__name__)

Sources: TypeAlias = "Callable[[], Iterable[tuple[str, int, Row]]]"
"""The name in the label `process`, the process id and the row of each process whose metrics are shown."""

CELL_BYTES = 8
ROW_BYTES = 1 << 20  # four times what every route with every status would take; untouched pages take no memory
_HEAD_CELLS = 2  # of an entry, before its key


def make_table(rows: int) -> int:
    """A file descriptor of a table with `rows` rows: zeros without a name, which end with the last process."""
    if sys.platform == "linux":
        # In memory: the kernel would write the pages of a file to the disk, and stop the process meanwhile.
        table = os.memfd_create("metrics")
        os.ftruncate(table, rows * ROW_BYTES)
        return table
    with tempfile.TemporaryFile() as file:
        file.truncate(rows * ROW_BYTES)
        return os.dup(file.fileno())


class Row:
    """The entries of one process. Any thread may add entries; the numbers of one entry belong to one thread."""

    def __init__(self, memory: memoryview, *, empty: bool = False) -> None:
        """`empty`: forget what is in the row, which another process may have used before."""
        self._bytes = memory
        self.cells = memory.cast("d")
        self._lock = threading.RLock()  # reentrant: `_add` may write a line of the log, which is counted
        self._is_full = False
        if empty:
            self.clear()
        self._places = {key: place for key, place, _ in self.entries()}

    @classmethod
    def private(cls) -> "Row":
        """A row that no other process sees."""
        return cls(memoryview(mmap.mmap(-1, ROW_BYTES)), empty=True)

    @classmethod
    def shared(cls, table: int, row: int, *, empty: bool = False) -> "Row":
        """The row `row` of the table whose file descriptor is `table`."""
        return cls(memoryview(mmap.mmap(table, 0))[row * ROW_BYTES : (row + 1) * ROW_BYTES], empty=empty)

    def place(self, key: bytes, count: int) -> int:
        """The first of the `count` cells of `key`. They are zero when the key is new.

        A row that is full has its last cells for all further keys; they are counted, but never shown.
        """
        with self._lock:
            place = self._places.get(key)
            if place is None:
                place = self._places[key] = self._add(key, count)
            return place

    def entries(self) -> Iterator[tuple[bytes, int, int]]:
        """The key, the first cell and the number of cells of every entry."""
        at, end = 1, int(self.cells[0])
        while at < end:
            length, count = int(self.cells[at]), int(self.cells[at + 1])
            begin = (at + _HEAD_CELLS) * CELL_BYTES
            at += _HEAD_CELLS + _whole_cells(length)
            yield bytes(self._bytes[begin : begin + length]), at, count
            at += count

    def clear(self) -> None:
        """Forget every entry."""
        self.cells[0] = 1.0
        self._places = {}

    def _add(self, key: bytes, count: int) -> int:
        at = max(1, int(self.cells[0]))  # 0 in a row that no process has used
        place = at + _HEAD_CELLS + _whole_cells(len(key))
        # The last cells are left to the keys for which there is no place.
        if place + 2 * count > len(self.cells):
            if not self._is_full:
                self._is_full = True
                log.error("there is no place for further metrics: %s is not shown", key.decode())
            return len(self.cells) - count
        begin = (at + _HEAD_CELLS) * CELL_BYTES
        self.cells[at], self.cells[at + 1] = len(key), count
        self._bytes[begin : begin + len(key)] = key
        for cell in range(place, place + count):
            self.cells[cell] = 0.0
        self.cells[0] = place + count  # last: a reader sees whole entries
        return place


def _whole_cells(length: int) -> int:
    return -(-length // CELL_BYTES)
