"""Signals that would end the process raise an exception instead, so that everything that was opened is closed.

The bundled PostgreSQL runs in a session of its own and would stay behind. This module is for the time before and after
the event loop runs; while it runs, `serving.stop_requests` handles the signals, and `cancelling` in commands.
"""

import asyncio
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
def cancelling() -> Iterator[None]:
    """In a block of a task, the first signal cancels the task, and the block raises SystemExit; others are ignored.

    An exception between any two instructions, as `raised` makes it, could leave tasks and coroutines behind. The block
    should not keep the event loop for long: the signal waits for it.
    """
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    received: list[int] = []
    is_open = True

    def cancel() -> None:
        if is_open:
            task.cancel()

    def receive(number: int, frame: FrameType | None) -> None:
        received.append(number)
        _ignore()
        loop.call_soon_threadsafe(cancel)

    try:
        with _handled(receive):
            yield
    except asyncio.CancelledError:
        if not received:
            raise
        task.uncancel()
        raise SystemExit(128 + received[0]) from None
    finally:
        is_open = False
        if received:
            _ignore()


@contextlib.contextmanager
def _handled(handler: Any) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in heard()}
    try:
        yield
    finally:
        for number, handled in before.items():
            signal.signal(number, handled)


def _exit(number: int, frame: FrameType | None) -> None:
    _ignore()
    raise SystemExit(128 + number)


def _ignore() -> None:
    for each in heard():
        signal.signal(each, signal.SIG_IGN)
