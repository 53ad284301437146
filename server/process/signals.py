"""A signal that would end the process raises instead, so that what was opened is closed.

The bundled database runs in a session of its own and would outlive us. While the event loop runs, it takes the signals
over (`serving.asked_to_stop`); this is for the time before and after.
"""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def heard() -> list[signal.Signals]:
    """Those of ENDING that were not ignored when the process began, as nohup does with SIGHUP."""
    return [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """The first signal raises SystemExit with the status that a shell would tell; later ones do not disturb."""
    with _handled(_leave):
        yield


@contextlib.contextmanager
def ignored() -> Iterator[None]:
    """No signal disturbs what is tidied up here."""
    with _handled(signal.SIG_IGN):
        yield


@contextlib.contextmanager
def _handled(handler: Any) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in heard()}
    try:
        yield
    finally:
        for number, handled in before.items():
            signal.signal(number, handled)


def _leave(number: int, frame: FrameType | None) -> None:
    for each in heard():
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(128 + number)
