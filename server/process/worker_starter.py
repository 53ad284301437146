"""Starts workers, and holds what must outlive each of them: the sockets, and the table of metrics."""

import os
import socket
import sys
from collections.abc import Iterator, Sequence

from server.process import sockets
from server.process.replacement import Handed
from server.process.serving import Inherited
from server.process.worker import Worker
from server.telemetry import instruments
from server.telemetry.cells import Row, make_table

OWN_ROW = 0  # of the supervisor, which keeps the counters of ended workers in it
SPARE_ROWS = 4  # of the table of metrics, for new workers while the old ones finish their requests


class WorkerStarter:
    """Starts the worker with a number: our interpreter and environment, its sockets, a row of the table of metrics."""

    def __init__(self, opened: list[list[socket.socket]], table: int | None = None) -> None:
        """`opened`: the bound sockets of each worker. `table`: of the program that this process ran before."""
        self._opened = opened
        rows = len(opened) + SPARE_ROWS
        self._table = make_table(1 + rows) if table is None else table
        self.own_row = Row.shared(self._table, OWN_ROW)
        self._free_rows = set(range(1, rows + 1))
        self._workers: dict[int, Worker] = {}  # by row

    @property
    def count(self) -> int:
        """How many workers there are to be."""
        return len(self._opened)

    def __call__(self, number: int) -> Worker:
        """Start the worker. Raises OSError."""
        row = min(self._free_rows)
        listen = [each.fileno() for each in self._opened[number]]
        inherited = Inherited(listen, self._table, row)
        worker = Worker.start([sys.executable, "-m", "server", "serve", "--worker", str(inherited)], inherited.files)
        self._add(row, worker)
        return worker

    def sources(self) -> Iterator[tuple[str, int, Row]]:
        """The name, process id and row of the supervisor and of each worker."""
        yield "supervisor", os.getpid(), self.own_row
        for row, worker in sorted(self._workers.items()):
            yield f"worker-{row}", worker.pid, Row.shared(self._table, row)

    def handed(self, workers: Sequence[Worker], metrics: Sequence[socket.socket]) -> Handed:
        """What a new program of this process needs to keep `workers`."""
        listen = [[each.fileno() for each in opened] for opened in self._opened]
        rows = {worker: row for row, worker in self._workers.items()}
        adopted = [[worker.pid, worker.channel, rows[worker]] for worker in workers]
        return Handed(listen, [each.fileno() for each in metrics], self._table, adopted)

    def adopt(self, workers: list[list[int]]) -> list[Worker]:
        """Take over workers of the program that this process ran before."""
        adopted = []
        for pid, channel, row in workers:
            adopted.append(Worker.adopt(pid, channel))
            self._add(row, adopted[-1])
        return adopted

    def close(self) -> None:
        """Close every socket."""
        sockets.close([each for opened in self._opened for each in opened])

    def _add(self, row: int, worker: Worker) -> None:
        self._free_rows.remove(row)
        self._workers[row] = worker
        worker.ended.add_done_callback(lambda _: self._free(row))

    def _free(self, row: int) -> None:
        instruments.keep_ended(Row.shared(self._table, row), self.own_row)
        del self._workers[row]
        self._free_rows.add(row)
