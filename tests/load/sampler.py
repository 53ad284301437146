"""Looks at answers while the load runs: one more connection, a few calls a second, each answer checked in full."""

import http.client
import json
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from tests.load.calls import Call

PAUSE = 0.1  # seconds between two calls: next to 64 connections that never pause this one is not felt
TIMEOUT = 30


class Sampler:
    """A context in which `calls` are made from the last one on; `wrong` tells of what was not as it should be."""

    def __init__(self, base: str, calls: Sequence[Call]) -> None:
        self._base = base
        self._calls = calls
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self.looked = 0
        self.wrong: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        connection = http.client.HTTPConnection(urlsplit(self._base).netloc, timeout=TIMEOUT)
        for call in reversed(self._calls):
            self.looked += 1
            fault = check(connection, call)
            if fault:
                self.wrong.append(fault)
            if self._stop.wait(PAUSE):
                break
        connection.close()


def check(connection: http.client.HTTPConnection, call: Call) -> str:
    """Make one call; what is wrong with its answer, or nothing."""
    try:
        connection.request(call.method, call.path, call.body or None, call.headers)
        response = connection.getresponse()
        body = response.read()
        if response.status == call.status and call.fits(json.loads(body)):
            return ""
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError, AttributeError) as failure:
        connection.close()
        return f"{call.method} {call.path}: {failure!r}"
    return f"{call.method} {call.path}: {response.status} {body[:200]!r}"
