"""The time that one turn of the event loop gives to long arriving data (security 32).

Without it, one turn would read a thousand clients that send at the same moment. That takes seconds, and every other
client would wait for its end. What is short, as most requests are, is read at once.
"""

import asyncio
from collections.abc import Callable

TURN_SECONDS = 0.005
SHORT_BYTES = 2048  # what is left to read of a connection; 20 µs of a usual request, 130 of 32 pipelined ones


class Turns:
    """Who waits to be read, and how much of the present turn is used up."""

    def __init__(self) -> None:
        self._waiting: dict[object, Callable[[], None]] = {}  # the one that waits longest is the first
        self._spent = 0.0
        self._is_next_scheduled = False

    def has_time(self, size: int) -> bool:
        """Whether that many bytes may be read now."""
        return self._spent < TURN_SECONDS or size <= SHORT_BYTES

    def spend(self, seconds: float) -> None:
        """Count the seconds that reading took in this turn."""
        self._spent += seconds
        self._schedule_next()

    def wait(self, reader: object, read_on: Callable[[], None]) -> None:
        """Call `read_on` in one of the next turns; `reader` waits until then."""
        self._waiting[reader] = read_on
        self._schedule_next()

    def is_waiting(self, reader: object) -> bool:
        """Whether `read_on` of this reader is still to be called."""
        return reader in self._waiting

    def forget(self, reader: object) -> None:
        """The reader waits no more: its connection is closed."""
        self._waiting.pop(reader, None)

    def _schedule_next(self) -> None:
        if not self._is_next_scheduled:
            self._is_next_scheduled = True
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        """A new turn begins: call the readers that wait, as long as there is time."""
        self._is_next_scheduled = False
        self._spent = 0.0
        if self._waiting:  # before the loop: a reader that fails must not hold up the others
            self._schedule_next()
        for reader in [*self._waiting]:
            if self._spent >= TURN_SECONDS:
                break
            read_on = self._waiting.pop(reader, None)
            if read_on is not None:  # not forgotten meanwhile: one reader may make another give way
                read_on()
