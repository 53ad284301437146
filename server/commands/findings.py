"""What `check` finds."""

from typing import Literal, NamedTuple


class Finding(NamedTuple):
    """One thing that was looked at. `advice` says what to do about it."""

    level: Literal["ok", "warning", "FAULT"]
    part: str
    text: str
    advice: str = ""

    @property
    def is_fault(self) -> bool:
        """Whether the service does not work as it should."""
        return self.level == "FAULT"


def fine(part: str, text: str) -> Finding:
    """What is as it should be."""
    return Finding("ok", part, text)


def warning(part: str, text: str, advice: str) -> Finding:
    """What works, but not as well as it could."""
    return Finding("warning", part, text, advice)


def fault(part: str, text: str, advice: str = "") -> Finding:
    """What does not work."""
    return Finding("FAULT", part, text, advice)
