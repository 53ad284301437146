"""Standard output that cannot be written: it is closed, its reader has ended, or its disk is full."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

from server.commands.failures import CommandError

READER_ENDED_STATUS = 128 + signal.SIGPIPE  # as in `openapi | head`; there is no message


class OutputFailed(Exception):
    """Standard output could not be written. Its status, and the sentence for the operator, if there is one.

    It is no OSError: a transaction takes one that passes through it for a lost connection.
    """

    def __init__(self, status: int, text: str = "") -> None:
        super().__init__(text)
        self.status = status


class Output:
    """Standard output, which remembers that it could not be written: without a buffer a second try may not fail."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.has_failed = False

    def write(self, text: str) -> int:
        """Write a text. Raises OutputFailed."""
        with self._remembering():
            return self._stream.write(text)

    def flush(self) -> None:
        """Write what is left, which the interpreter would do at its end. Raises OutputFailed."""
        with self._remembering():
            self._stream.flush()

    def discard(self) -> None:
        """Let the interpreter write what is left to nowhere at its end."""
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, self._stream.fileno())
        os.close(null)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextlib.contextmanager
    def _remembering(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError:
            self.has_failed = True
            raise OutputFailed(READER_ENDED_STATUS) from None
        except OSError as failure:
            self.has_failed = True
            raise OutputFailed(1, f"Standard output cannot be written: {failure.strerror}.") from None


@contextlib.contextmanager
def standard_output() -> Iterator[None]:
    """In the block, standard output is an Output. Raises OutputFailed when it cannot be written."""
    if sys.stdout is None:
        yield
        return
    output = Output(sys.stdout)
    try:
        with contextlib.redirect_stdout(cast(TextIO, output)):
            try:
                yield
            finally:
                if not output.has_failed:
                    output.flush()
    except OutputFailed:
        output.discard()
        raise
    except BrokenPipeError:  # of standard error, which may have the same reader
        output.discard()
        raise OutputFailed(READER_ENDED_STATUS) from None


def check_output() -> None:
    """Raises CommandError when standard output was closed, as by `>&-`: printing would silently do nothing."""
    if sys.stdout is None:
        raise CommandError("Standard output is closed: nothing is done.")
