"""What SIGHUP and SIGUSR2 request of the first process: a renewal, or a stop when its terminal has closed."""

import asyncio
import os
import signal

from server.process import signals
from server.process.serving import StopRequests

TERMINAL = "/dev/tty"  # opens the controlling terminal of a process, as long as it has one
CLOSING_SECONDS = 1.0  # a shell that ends sends SIGHUP a moment before its terminal closes


class Renewals:
    """Requests: SIGHUP sets `workers`, to renew these; SIGUSR2 sets `supervisor`, to replace its program too."""

    def __init__(self, requested: StopRequests) -> None:
        """Handle the signals from now on; have `requested` stop when SIGHUP came because the terminal closed."""
        self.workers = asyncio.Event()
        self.supervisor = asyncio.Event()
        self._requested = requested
        # nohup has SIGHUP ignored: then the service outlives its terminal, and SIGHUP is for renewals only.
        self._ends_with_terminal = signal.SIGHUP in signals.heard() and _has_terminal()
        self._loop = asyncio.get_running_loop()
        self._loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        self._loop.add_signal_handler(signal.SIGUSR2, self.supervisor.set)

    def _hang_up(self) -> None:
        self._stop_without_terminal()
        if not self._requested.stop.is_set():
            self.workers.set()
            self._loop.call_later(CLOSING_SECONDS, self._stop_without_terminal)

    def _stop_without_terminal(self) -> None:
        if self._ends_with_terminal and not _has_terminal():
            self._requested.stop.set()


def _has_terminal() -> bool:
    try:
        os.close(os.open(TERMINAL, os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
