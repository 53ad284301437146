"""Rates: how often something may happen, such as `10/15m`."""

import re
from dataclasses import dataclass

UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
MAX_COUNT = 1_000_000
MAX_WINDOW_SECONDS = 31_536_000


@dataclass(frozen=True)
class Rate:
    """At most `count` times at once; one more each `window / count` seconds after that."""

    count: int
    window: int  # seconds

    @property
    def cost(self) -> float:
        """The share of the window that one use takes, in seconds."""
        return self.window / self.count

    def __str__(self) -> str:
        """The text of the setting."""
        unit = next(unit for unit in "dhms" if self.window % UNIT_SECONDS[unit] == 0)
        return f"{self.count}/{self.window // UNIT_SECONDS[unit]}{unit}"


def rate(value: str) -> Rate | None:
    """A rate, or None for `off`."""
    if value == "off":
        return None
    found = re.fullmatch(r"([0-9]{1,7})/([0-9]{0,8})([smhd])", value)
    if found:
        count, window = int(found[1]), int(found[2] or 1) * UNIT_SECONDS[found[3]]
        if 1 <= count <= MAX_COUNT and 1 <= window <= MAX_WINDOW_SECONDS:
            return Rate(count, window)
    raise ValueError("is a rate such as 10/15m (s, m, h, d), or off")
