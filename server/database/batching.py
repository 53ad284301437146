"""Callers who ask the same statement at the same moment travel to PostgreSQL together.

The rules (docs/decisions/coalescing.md):

- A call never joins a statement already sent, only the one not sent yet: every answer is as fresh as if asked alone.
- At rest a set leaves with the next turn of the event loop; while sets are under way the next one fills up, and leaves
  with the answer to the one before. A set that is late does not count any more: the next one passes it.
- A changed key stands in at most one set at a time, waiting or under way, so that changes to one row keep their order.
- When the server refuses a set, each row is tried alone and the failure goes to its owner only.
- When the connection is lost the outcome is unknown: nothing is tried again, every caller is told.
- A caller that leaves disturbs nobody; what nobody waits for any more is not sent.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Sequence
from itertools import islice
from typing import Any, TypeAlias

from server.errors import Busy, Unavailable

Row: TypeAlias = Any
"""A row of the answer; its first column is the key."""

Future: TypeAlias = "asyncio.Future[Row | None]"

Run: TypeAlias = Callable[[Sequence[Sequence[Any]]], Awaitable[Sequence[Row]]]
"""Runs the statement, given one array per parameter. Raises Unavailable when the connection is lost."""

RunAlone: TypeAlias = Callable[[Sequence[Any]], Awaitable[Row | None]]
"""Runs the statement for one row, waiting a bounded time for whoever holds it; None when there is no such row."""

MAX_BATCH_ROWS = 256  # rows in one statement: beyond this the first would wait too long for the last
MAX_WAITING_CALLERS = (
    20_000  # callers of one statement: beyond this a 503 is kinder than an answer the client gave up on
)
MAX_IN_FLIGHT = 1  # sets on their way at once: a second one halves the sets and doubles their cost, and gained nothing
MAX_ALONE = 4  # rows waiting for a lock at once: they must not use up the pool
SLOW_BATCH_SECONDS = (
    0.25  # seconds until a set that is not back lets the next one pass: one frozen connection must not stop all
)
MAX_SLOW_BATCHES = 3  # sets that were let pass, at most: when more do not come back, it is not the connection


class _Asked:
    """One row of a set, and those who wait for it."""

    __slots__ = ("arguments", "key", "through", "waiters")

    def __init__(self, arguments: Sequence[Any], waiter: Future) -> None:
        self.arguments = arguments
        self.key: Hashable = arguments[0]
        self.waiters = [waiter]
        self.through = False

    @property
    def abandoned(self) -> bool:
        # A loop: all() over a generator takes three times as long, and this is asked of every row.
        for waiter in self.waiters:  # noqa: SIM110
            if not waiter.done():
                return False
        return True

    def answer(self, row: Row | None) -> None:
        self.through = True
        for waiter in self.waiters:
            if not waiter.done():
                waiter.set_result(row)

    def fail(self, failure: Exception) -> None:
        self.through = True
        for waiter in self.waiters:
            if not waiter.done():
                # One instance raised in many tasks would gather all their tracebacks.
                waiter.set_exception(type(failure)() if isinstance(failure, Unavailable) else failure)


class Batcher(ABC):
    """One statement: the set that fills up, and the sets under way."""

    def __init__(
        self,
        run: Run,
        *,
        max_batch_rows: int = MAX_BATCH_ROWS,
        max_waiting: int = MAX_WAITING_CALLERS,
        max_in_flight: int = MAX_IN_FLIGHT,
    ) -> None:
        self._run = run
        self._max_set = max_batch_rows
        self._max_waiting = max_waiting
        self._max_in_flight = max_in_flight
        self._callers = 0
        self._waiting: dict[Hashable, _Asked] = {}
        self._under_way = 0
        self._late = 0  # of those under way
        self._about_to_carry = False
        self._tasks: set[asyncio.Task[None]] = set()  # the loop itself holds tasks only weakly
        self._loop = asyncio.get_running_loop()  # asking for it at each call would cost as much as making a future

    def ask(self, *arguments: Any) -> Future:
        """The row whose key is `arguments[0]`, or None when there is none; not a coroutine, to spare a frame.

        Raises Busy at once when too many callers wait already. The future raises Unavailable when the connection is
        lost, and whatever the server says of this very row.
        """
        if self._callers >= self._max_waiting:
            raise Busy
        self._callers += 1
        # Each caller has a future of its own: one that is cancelled takes nothing from the others.
        waiter: Future = self._loop.create_future()
        self._place(arguments, waiter)
        return waiter

    async def close(self) -> None:
        """Wait until nothing is waiting or under way."""
        while self._tasks or self._waiting:
            await asyncio.wait(self._tasks) if self._tasks else await asyncio.sleep(0)

    @abstractmethod
    def _place(self, arguments: Sequence[Any], waiter: Future) -> None:
        """Put one row where it may wait, and its caller beside it."""

    @abstractmethod
    def _missing(self, asked: _Asked) -> None:
        """The statement came back without this row."""

    def _leave(self, asked: _Asked) -> None:
        """This row is through, or was dropped because nobody waits for it."""
        self._callers -= len(asked.waiters)

    def _plan(self) -> None:
        """Have somebody carry what waits, from the next turn of the loop on, unless enough are at it."""
        if self._waiting and not self._about_to_carry and self._under_way < self._may_be_under_way():
            self._about_to_carry = True
            self._under_way += 1
            self._start(self._carry())

    def _may_be_under_way(self) -> int:
        return self._max_in_flight + min(self._late, MAX_SLOW_BATCHES)

    def _take(self) -> list[_Asked]:
        """The next set; what nobody waits for any more is dropped."""
        taken: list[_Asked] = []
        while self._waiting and len(taken) < self._max_set:
            # Many at once: a dict that loses its first again and again is searched for the next ever longer.
            for asked in [*islice(self._waiting.values(), self._max_set - len(taken))]:
                del self._waiting[asked.key]
                if asked.abandoned:
                    self._leave(asked)
                else:
                    taken.append(asked)
        return taken

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self) -> None:
        """Carry set after set for as long as somebody waits.

        The next one leaves before those that the last one answered go on: PostgreSQL works while they do.
        """
        self._about_to_carry = False
        try:
            while self._under_way <= self._may_be_under_way() and (taken := self._take()):
                self._plan()  # a set may be full
                await self._carry_one(taken)
        finally:
            self._under_way -= 1
            self._plan()  # something waits still only if this task was cancelled

    async def _carry_one(self, taken: list[_Asked]) -> None:
        late = 0

        def let_pass() -> None:
            nonlocal late
            late = 1
            self._late += 1
            self._plan()

        patience = self._loop.call_later(SLOW_BATCH_SECONDS, let_pass)
        try:
            await self._try_together(taken)
        except Exception as failure:
            self._fail(taken, failure)
        except BaseException:  # the loop is being closed
            self._fail(taken, Unavailable())
            raise
        finally:
            patience.cancel()
            self._late -= late

    async def _try_together(self, taken: list[_Asked]) -> None:
        try:
            rows = await self._run(list(zip(*(asked.arguments for asked in taken), strict=True)))
        except Unavailable:
            raise
        except Exception as failure:
            if len(taken) == 1:
                return self._fail(taken, failure)
            for asked in taken:
                await self._try_together([asked])
        else:
            self._deliver(taken, {row[0]: row for row in rows})

    def _deliver(self, taken: list[_Asked], rows: dict[Hashable, Row]) -> None:
        for asked in taken:
            row = rows.get(asked.key)
            if row is None:
                self._missing(asked)
            else:
                asked.answer(row)
                self._leave(asked)

    def _fail(self, taken: list[_Asked], failure: Exception) -> None:
        for asked in taken:
            if not asked.through:
                asked.fail(failure)
                self._leave(asked)


class ReadBatcher(Batcher):
    """A statement that changes nothing: callers who want the same key share its row."""

    def _place(self, arguments: Sequence[Any], waiter: Future) -> None:
        asked = self._waiting.get(arguments[0])
        if asked is None:
            self._waiting[arguments[0]] = _Asked(arguments, waiter)
            self._plan()
        else:
            asked.waiters.append(waiter)

    def _missing(self, asked: _Asked) -> None:
        asked.answer(None)
        self._leave(asked)


class WriteBatcher(Batcher):
    """A statement that changes one row for each key. Rows that somebody else holds are left out and go alone."""

    def __init__(self, run: Run, run_alone: RunAlone, **limits: int) -> None:
        super().__init__(run, **limits)
        self._run_alone = run_alone
        self._alone = asyncio.Semaphore(MAX_ALONE)
        # Every key that waits or is under way, with the changes to it that came after.
        self._behind: dict[Hashable, deque[_Asked]] = {}

    def _place(self, arguments: Sequence[Any], waiter: Future) -> None:
        asked = _Asked(arguments, waiter)
        if asked.key in self._behind:
            self._behind[asked.key].append(asked)
        else:
            self._behind[asked.key] = deque()
            self._waiting[asked.key] = asked
            self._plan()

    def _missing(self, asked: _Asked) -> None:
        # Beside the lanes: a row that is locked for seconds must not hold up the sets behind it.
        asked.through = True
        self._start(self._go_alone(asked))

    async def _go_alone(self, asked: _Asked) -> None:
        try:
            async with self._alone:
                if not asked.abandoned:
                    asked.answer(await self._run_alone(asked.arguments))
        except Exception as failure:
            asked.fail(failure)
        except BaseException:
            asked.fail(Unavailable())
            raise
        finally:
            self._leave(asked)

    def _leave(self, asked: _Asked) -> None:
        super()._leave(asked)
        behind = self._behind[asked.key]
        if behind:
            self._waiting[asked.key] = behind.popleft()
            self._plan()
        else:
            del self._behind[asked.key]
