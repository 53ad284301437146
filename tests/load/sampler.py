"""Checks responses while the load runs: one more connection, a few calls a second, each response in full."""

import http.client
import json
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.load.calls import Call

PAUSE_SECONDS = 0.1  # between two calls; 64 busy connections are not slowed by this one
ANSWER_SECONDS = 30


class Sampler:
    """A context in which a thread makes the `calls`, the last one first. `wrong` describes wrong responses."""

    def __init__(self, base: str, calls: Sequence[Call]) -> None:
        self._base = base
        self._calls = calls
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.checked = 0
        self.wrong: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        connection = http.client.HTTPConnection(urlsplit(self._base).netloc, timeout=ANSWER_SECONDS)
        for call in reversed(self._calls):
            self.checked += 1
            fault = check(connection, call)
            if fault:
                self.wrong.append(fault)
            if self._stop.wait(PAUSE_SECONDS):
                break
        connection.close()


def check(connection: http.client.HTTPConnection, call: Call) -> str:
    """Make one call. Returns what is wrong with the response, or an empty text."""
    try:
        connection.request(call.method, call.path, call.body or None, call.headers)
        response = connection.getresponse()
        body = response.read()
        if response.status == call.status and call.is_expected(json.loads(body)):
            return ""
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, AttributeError) as failure:
        connection.close()
        return f"{call.method} {call.path}: {failure!r}"
    return f"{call.method} {call.path}: {response.status} {body[:200]!r}"
