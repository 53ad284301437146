"""Signals that would end the process raise an exception instead, so that everything that was opened is closed.

The bundled PostgreSQL runs in a session of its own and would stay behind. This module is for the time before and after
the event loop runs; while it runs, `serving.stop_requests` handles the signals.
"""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import Any

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def heard() -> list[signal.Signals]:
    """Return those of ENDING that were not ignored when the process began. nohup ignores SIGHUP."""
    return [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """In the block, the first signal raises SystemExit with the status that a shell reports; others are ignored."""
    with _handled(_exit):
        yield


@contextlib.contextmanager
def ignored() -> Iterator[None]:
    """In the block, signals are ignored: a cleanup runs to its end."""
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


def _exit(number: int, frame: FrameType | None) -> None:
    for each in heard():
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(128 + number)
