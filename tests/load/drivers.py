"""What makes the load, in a process of its own: wrk, or where that is missing a slower one in Python.

wrk takes a 3xx for a success; the sampler does not.
"""

import asyncio
import json
import math
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

SCRIPT = Path(__file__).parent / "lua" / "requests.lua"
TIMEOUT = 60  # seconds: an answer later than this is a failure
ROOT = Path(__file__).parents[2]


class DriverBroke(Exception):
    """What makes the load ended before its time; the text holds what it said."""


class Load(NamedTuple):
    """What a driver saw: answers, seconds, failures among them, milliseconds of the median and the 99th percentile."""

    requests: int
    seconds: float
    failures: int
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds if self.seconds else 0.0


def best() -> str:
    """Which driver there is."""
    return "wrk" if shutil.which("wrk") else "python"


def begin(driver: str, base: str, requests: Path, connections: int, seconds: float) -> "subprocess.Popen[str]":
    """Start to send the `requests` of a file in turn over keep-alive connections; wrk rounds the seconds up."""
    if driver == "wrk":
        command = [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{math.ceil(seconds)}s",
            f"--timeout={TIMEOUT}s",
            "-s",
            str(SCRIPT),
            base,
            "--",
        ]
    else:
        command = [sys.executable, "-m", "tests.load.drivers", base, str(connections), str(seconds)]
    return subprocess.Popen(
        [*command, str(requests)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def result(driver: "subprocess.Popen[str]") -> Load:
    """Wait for a driver and read what it saw. Raises DriverBroke."""
    said, _ = driver.communicate()
    for line in said.splitlines():
        if line.startswith("RESULT "):
            return Load(**json.loads(line.removeprefix("RESULT ")))
    raise DriverBroke(f"The driver ended without a result: {said}")


class _Connection(asyncio.Protocol):
    """One keep-alive connection: the next request leaves when the answer has come."""

    def __init__(self, run: "_Run") -> None:
        self._run = run
        self._received = b""
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        headers = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
        length = int(headers.get(b"content-length", 0))
        if len(body) >= length:
            self._received = body[length:]
            self._run.answered(time.perf_counter() - self._began, head.split(b" ", 2)[1])
            self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._run.over:
            self._run.statuses[b"lost"] += 1

    def _send(self) -> None:
        if self._run.over:
            self._transport.close()
        else:
            self._began = time.perf_counter()
            self._transport.write(self._run.next())


class _Run:
    """What all connections share: the requests, and what came of them."""

    def __init__(self, requests: list[bytes]) -> None:
        self._requests = requests
        self._at = 0
        self.over = False
        self.times: list[float] = []
        self.statuses: Counter[bytes] = Counter()

    def next(self) -> bytes:
        self._at += 1
        return self._requests[self._at % len(self._requests)]

    def answered(self, seconds: float, status: bytes) -> None:
        if not self.over:
            self.times.append(seconds)
            self.statuses[status] += 1


async def _drive(base: str, connections: int, seconds: float, file: Path) -> Load:
    run = _Run(read_requests(file))
    loop = asyncio.get_running_loop()
    target = urlsplit(base)
    began = time.perf_counter()
    for _ in range(connections):
        await loop.create_connection(lambda: _Connection(run), target.hostname, target.port)
    await asyncio.sleep(seconds)
    run.over = True
    spent = time.perf_counter() - began
    failures = sum(number for status, number in run.statuses.items() if not status.startswith(b"2"))
    times = sorted(run.times) or [0.0]
    median, last = times[len(times) // 2], times[len(times) * 99 // 100]
    return Load(len(run.times), spent, failures, median * 1000, last * 1000)


def read_requests(file: Path) -> list[bytes]:
    """The requests that `write_requests` wrote down."""
    requests, data, at = [], file.read_bytes(), 0
    while at < len(data):
        begins = data.index(b"\n", at) + 1
        ends = begins + int(data[at:begins])
        requests.append(data[begins:ends])
        at = ends + 1
    return requests


if __name__ == "__main__":
    _base, _connections, _seconds, _file = sys.argv[1:]
    _seen = asyncio.run(_drive(_base, int(_connections), float(_seconds), Path(_file)))
    print("RESULT " + json.dumps(_seen._asdict()))
