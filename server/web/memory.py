"""Memory goes back to the operating system after a flood (security 31).

glibc keeps what was freed between two objects that live on: 110 MB after 1,000 unfinished bodies. Free lists of Python
keep whole arenas of small objects: 90 MB after 3,000 unfinished heads. Both were measured (docs/decisions/bounds.md).
"""

import asyncio
import contextlib
import ctypes
import gc
from collections.abc import Callable

FLOOD_BYTES = 16_000_000  # from here on it is worth it
QUIET_SHARE = 0.25  # of the most, that is left when a flood is over
WAIT_SECONDS = 1.0  # a flood that goes on needs its memory again


def give_back() -> None:
    """Empty Python's free lists (1 ms), and have glibc give back what it can (40 ms for 110 MB). Other systems do."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # only glibc has it
        ctypes.CDLL(None).malloc_trim(0)


class Relief:
    """Calls `give_back` once after each flood; `used` says how many bytes connections use now."""

    def __init__(self, used: Callable[[], int], give_back: Callable[[], None] = give_back) -> None:
        self._used = used
        self._give_back = give_back
        self._most = 0
        self._timer: asyncio.TimerHandle | None = None

    def note(self) -> None:
        """Look at what is used: it may be a flood, or the end of one."""
        used = self._used()
        if used > self._most:
            self._most = used
        elif self._most >= FLOOD_BYTES and used < QUIET_SHARE * self._most and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(WAIT_SECONDS, self._end)

    def _end(self) -> None:
        self._timer = None
        if self._used() < QUIET_SHARE * self._most:
            self._most = 0
            asyncio.get_running_loop().run_in_executor(None, self._give_back)
