"""Sends the calls of one statement that arrive at the same moment to PostgreSQL as one batch.

The rules (docs/decisions/batching.md has the measurements):

- A call never joins a batch that was already sent. Every result is as fresh as if its caller had sent it alone.
- When nothing is in flight, a batch is sent in the next turn of the event loop. While a batch is in flight the next one
  fills up; it is sent when the result of the one before arrives. A slow batch does not delay the next one.
- A changed key is in at most one batch at a time, waiting or in flight. Changes of one row keep their order.
- When the server refuses a batch, each row is sent alone. An error goes only to the callers of its row.
- When the connection is lost, the outcome is unknown. Nothing is sent again, and every caller gets the error.
- A cancelled caller does not affect other callers. A row that no caller waits for any more is not sent.
"""

import asyncio
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from itertools import islice
from typing import Any, TypeAlias

from server.errors import Busy, Unavailable
from server.telemetry import metrics

Row: TypeAlias = Any
"""A row of the result. Its first column is the key."""

Future: TypeAlias = "asyncio.Future[Row | None]"

Run: TypeAlias = Callable[[Sequence[Sequence[Any]]], Awaitable[Sequence[Row]]]
"""Runs the statement with one array for each parameter. Raises Unavailable when the connection is lost."""

RunRow: TypeAlias = Callable[[Sequence[Any]], Awaitable[Row | None]]
"""Runs the statement for one row. Waits a bounded time for its lock. Returns None when there is no such row."""

MAX_BATCH_ROWS = 256  # in one statement: with more the first caller would wait too long for the last
MAX_WAITING_CALLERS = 20_000  # of one statement: then 503 at once is better than a response after the client gave up
MAX_IN_FLIGHT = 1  # batches of one statement: with two, batches are half as large and cost twice as much
MAX_ROWS_ALONE = 4  # of one statement, waiting for locks: they must not use up the pool
SLOW_BATCH_SECONDS = 0.25  # then the next batch is sent: one frozen connection must not stop the statement
MAX_SLOW_BATCHES = 3  # of one statement: with more the database is slow, not one connection


class _Entry:
    """One row of a batch, and the callers that wait for it."""

    __slots__ = ("arguments", "asked_at", "is_done", "key", "waiters")

    def __init__(self, arguments: Sequence[Any], waiter: Future) -> None:
        self.arguments = arguments
        self.key: Hashable = arguments[0]
        self.waiters = [waiter]
        self.is_done = False
        self.asked_at = time.perf_counter()

    @property
    def is_abandoned(self) -> bool:
        """Whether every caller was cancelled."""
        # A loop: all() over a generator takes three times as long, and this runs for every row.
        for waiter in self.waiters:  # noqa: SIM110
            if not waiter.done():
                return False
        return True

    def finish(self, row: Row | None) -> None:
        self.is_done = True
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(row)

    def fail(self, failure: Exception) -> None:
        self.is_done = True
        for waiter in self.waiters:
            if not waiter.done():
                # A new instance for each caller: one instance raised in many tasks would collect all their tracebacks.
                waiter.set_exception(type(failure)() if isinstance(failure, Unavailable) else failure)


class Batcher(ABC):
    """One statement: the entries that wait, and the batches in flight."""

    def __init__(
        self,
        run: Run,
        *,
        name: str = "",
        max_batch_rows: int = MAX_BATCH_ROWS,
        max_waiting: int = MAX_WAITING_CALLERS,
        max_in_flight: int = MAX_IN_FLIGHT,
        key_columns: int = 1,
    ) -> None:
        """`name`: of the statement, in the metrics. With several `key_columns` a key is a tuple of columns."""
        self._run = run
        self._key_columns = key_columns
        self._name = name
        self._max_batch_rows = max_batch_rows
        self._max_waiting = max_waiting
        self._max_in_flight = max_in_flight
        self._callers = 0
        self._waiting: dict[Hashable, _Entry] = {}
        self._in_flight = 0
        self._slow = 0  # of those in flight
        self._is_send_scheduled = False
        self._tasks: set[asyncio.Task[None]] = set()  # the event loop keeps only weak references to tasks
        self._loop = asyncio.get_running_loop()  # looking it up in each call would cost as much as making a future

    def ask(self, *arguments: Any) -> Future:
        """The row whose key is `arguments[0]`, or None when there is none.

        Raises Busy at once when too many callers wait. The future raises Unavailable when the connection is lost, or
        the server's error for this row. Not a coroutine: that saves a frame for each call.
        """
        if self._callers >= self._max_waiting:
            raise Busy
        self._callers += 1
        # Each caller has its own future, so that cancelling one does not cancel the others.
        waiter: Future = self._loop.create_future()
        self._add(arguments, waiter)
        return waiter

    async def close(self) -> None:
        """Wait until no entry waits and no batch is in flight."""
        while self._tasks or self._waiting:
            await asyncio.wait(self._tasks) if self._tasks else await asyncio.sleep(0)

    @abstractmethod
    def _add(self, arguments: Sequence[Any], waiter: Future) -> None:
        """Add a caller to the entry of its key, or make a new entry."""

    @abstractmethod
    def _on_missing_row(self, entry: _Entry) -> None:
        """The result of a batch has no row for `entry`."""

    def _remove(self, entry: _Entry) -> None:
        """`entry` is done, or was dropped because no caller waits for it."""
        self._callers -= len(entry.waiters)

    def _schedule_send(self) -> None:
        """Send what waits from the next turn of the event loop on, unless enough batches are in flight."""
        if self._waiting and not self._is_send_scheduled and self._in_flight < self._allowed_in_flight():
            self._is_send_scheduled = True
            self._in_flight += 1
            self._start(self._send_batches())

    def _allowed_in_flight(self) -> int:
        return self._max_in_flight + min(self._slow, MAX_SLOW_BATCHES)

    def _next_batch(self) -> list[_Entry]:
        """Take the next batch from the entries that wait. Abandoned entries are dropped."""
        batch: list[_Entry] = []
        while self._waiting and len(batch) < self._max_batch_rows:
            # Take many at once: finding the first key of a dict takes longer the more keys were deleted before it.
            for entry in [*islice(self._waiting.values(), self._max_batch_rows - len(batch))]:
                del self._waiting[entry.key]
                if entry.is_abandoned:
                    self._remove(entry)
                else:
                    batch.append(entry)
        return batch

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send_batches(self) -> None:
        """Send one batch after another while entries wait.

        The next batch is sent before the callers of the last one continue: PostgreSQL works while they do.
        """
        self._is_send_scheduled = False
        try:
            while self._in_flight <= self._allowed_in_flight() and (batch := self._next_batch()):
                self._schedule_send()  # a full batch leaves entries behind, which may have a place of their own
                await self._send_batch(batch)
        finally:
            self._in_flight -= 1
            self._schedule_send()  # entries still wait here only when this task was cancelled

    async def _send_batch(self, batch: list[_Entry]) -> None:
        slow = 0

        def on_slow_batch() -> None:
            nonlocal slow
            slow = 1
            self._slow += 1
            self._schedule_send()

        metrics.BATCH_ROWS.observe(len(batch), self._name)
        metrics.BATCH_WAIT_SECONDS.observe(time.perf_counter() - batch[0].asked_at, self._name)
        timer = self._loop.call_later(SLOW_BATCH_SECONDS, on_slow_batch)
        try:
            await self._run_batch(batch)
        except Exception as failure:
            self._fail(batch, failure)
        except BaseException:  # the task was cancelled: the event loop is closing
            self._fail(batch, Unavailable())
            raise
        finally:
            timer.cancel()
            self._slow -= slow

    async def _run_batch(self, batch: list[_Entry]) -> None:
        """Run the statement for all entries, or for each alone when the server refuses the batch."""
        try:
            rows = await self._run(list(zip(*(entry.arguments for entry in batch), strict=True)))
        except Unavailable:
            raise
        except Exception as failure:
            if len(batch) == 1:
                return self._fail(batch, failure)
            for entry in batch:
                await self._run_batch([entry])
        else:
            count = self._key_columns
            self._finish(batch, {row[0] if count == 1 else tuple(row[:count]): row for row in rows})

    def _finish(self, batch: list[_Entry], rows: dict[Hashable, Row]) -> None:
        for entry in batch:
            row = rows.get(entry.key)
            if row is None:
                self._on_missing_row(entry)
            else:
                entry.finish(row)
                self._remove(entry)

    def _fail(self, batch: list[_Entry], failure: Exception) -> None:
        for entry in batch:
            if not entry.is_done:
                entry.fail(failure)
                self._remove(entry)


class ReadBatcher(Batcher):
    """A statement that changes nothing. Callers that want the same key share its row."""

    def _add(self, arguments: Sequence[Any], waiter: Future) -> None:
        entry = self._waiting.get(arguments[0])
        if entry is None:
            self._waiting[arguments[0]] = _Entry(arguments, waiter)
            self._schedule_send()
        else:
            entry.waiters.append(waiter)

    def _on_missing_row(self, entry: _Entry) -> None:
        entry.finish(None)
        self._remove(entry)


class WriteBatcher(Batcher):
    """A statement that changes one row for each key. It skips rows that are locked; these run alone."""

    def __init__(self, run: Run, run_row: RunRow, *, name: str = "", **limits: int) -> None:
        super().__init__(run, name=name, **limits)
        self._run_row = run_row
        self._alone_slots = asyncio.Semaphore(MAX_ROWS_ALONE)
        # Every key that waits or is in flight, with the later changes of the same key.
        self._later: dict[Hashable, deque[_Entry]] = {}

    def _add(self, arguments: Sequence[Any], waiter: Future) -> None:
        entry = _Entry(arguments, waiter)
        if entry.key in self._later:
            self._later[entry.key].append(entry)
        else:
            self._later[entry.key] = deque()
            self._waiting[entry.key] = entry
            self._schedule_send()

    def _on_missing_row(self, entry: _Entry) -> None:
        # In a task of its own: a row that is locked for seconds must not delay the next batches.
        entry.is_done = True
        self._start(self._run_alone(entry))

    async def _run_alone(self, entry: _Entry) -> None:
        try:
            async with self._alone_slots:
                if not entry.is_abandoned:
                    entry.finish(await self._run_row(entry.arguments))
        except Exception as failure:
            entry.fail(failure)
        except BaseException:
            entry.fail(Unavailable())
            raise
        finally:
            self._remove(entry)

    def _remove(self, entry: _Entry) -> None:
        super()._remove(entry)
        later = self._later[entry.key]
        if later:
            self._waiting[entry.key] = later.popleft()
            self._schedule_send()
        else:
            del self._later[entry.key]
