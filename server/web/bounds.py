"""Memory that all connections of a process share: bounded, and the connection that has held some for longest gives way.

The bounds hold for each process: with WORKERS=4 the service may hold four times as much (docs/decisions/bounds.md).
"""

from typing import Protocol

ARRIVING_MAX_BYTES = 48 * 1024 * 1024  # of requests that are not complete, or wait behind another (security 38)
UNSENT_MAX_BYTES = 64 * 1024 * 1024  # of responses that clients do not read (security 37)


class Holder(Protocol):
    """What holds a part of a budget."""

    def give_way(self) -> None:
        """Give up what is held, before the event loop runs again."""


class Budget:
    """A number of bytes for all holders together."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.total = 0
        self._held: dict[Holder, int] = {}  # the one that has held for longest is the first
        self._is_reducing = False

    def hold(self, holder: Holder, size: int) -> None:
        """Let `holder` hold `size` bytes in all. Over the limit the oldest holders give way, `holder` among them.

        The newest one is not refused: then a few hundred unfinished bodies would keep all other clients out.
        """
        self.total += size - self._held.get(holder, 0)
        if size:
            self._held[holder] = size
        else:
            self._held.pop(holder, None)
        # Not while one gives way: it calls this itself, and a thousand small ones would exceed the depth of calls.
        if self.total > self.limit and not self._is_reducing:
            self._is_reducing = True
            try:
                self._reduce()
            finally:
                self._is_reducing = False

    def _reduce(self) -> None:
        for holder in list(self._held):
            if self.total <= self.limit:
                return
            holder.give_way()
            self.hold(holder, 0)
