"""The programs that make the load, in a process of their own: wrk, or a slower one in Python.

wrk counts a 3xx as a success; the sampler does not.
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
LAST_CHUNK = b"\r\n0\r\n\r\n"
ANSWER_SECONDS = 60  # a later response is a failure
ROOT = Path(__file__).parents[2]


class DriverFailed(Exception):
    """The driver ended without a result; the text is its output."""


class Load(NamedTuple):
    """What a driver measured: responses, failures among them, and response times in milliseconds."""

    requests: int
    seconds: float
    failures: int
    p50: float
    p99: float

    @property
    def rate(self) -> float:
        """Responses per second."""
        return self.requests / self.seconds if self.seconds else 0.0


def available() -> str:
    """The name of the fastest driver that is installed."""
    return "wrk" if shutil.which("wrk") else "python"


def start(driver: str, base: str, requests: Path, connections: int, seconds: float) -> "subprocess.Popen[str]":
    """Start a driver. It sends the requests of a file in turn, over keep-alive connections.

    wrk rounds the seconds up.
    """
    if driver == "wrk":
        command = [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{math.ceil(seconds)}s",
            f"--timeout={ANSWER_SECONDS}s",
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
    """Wait for a driver and read its result. Raises DriverFailed when there is none."""
    output, _ = driver.communicate()
    for line in output.splitlines():
        if line.startswith("RESULT "):
            return Load(**json.loads(line.removeprefix("RESULT ")))
    raise DriverFailed(f"The driver ended without a result: {output}")


class _Connection(asyncio.Protocol):
    """One keep-alive connection. It sends the next request when the response has arrived."""

    def __init__(self, total: "_Total") -> None:
        self._total = total
        self._received = b""
        self._sent_at = 0.0

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
        if headers.get(b"transfer-encoding") == b"chunked":
            length = body.find(LAST_CHUNK) + len(LAST_CHUNK) if LAST_CHUNK in body else len(body) + 1
        else:
            length = int(headers.get(b"content-length", 0))
        if len(body) >= length:
            self._received = body[length:]
            self._total.add_response(time.perf_counter() - self._sent_at, head.split(b" ", 2)[1])
            self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._total.is_over:
            self._total.statuses[b"lost"] += 1

    def _send(self) -> None:
        if self._total.is_over:
            self._transport.close()
        else:
            self._sent_at = time.perf_counter()
            self._transport.write(self._total.next_request())


class _Total:
    """What all connections share: the requests and the measurements."""

    def __init__(self, requests: list[bytes]) -> None:
        self._requests = requests
        self._sent = 0
        self.is_over = False
        self.times: list[float] = []
        self.statuses: Counter[bytes] = Counter()

    def next_request(self) -> bytes:
        self._sent += 1
        return self._requests[self._sent % len(self._requests)]

    def add_response(self, seconds: float, status: bytes) -> None:
        if not self.is_over:
            self.times.append(seconds)
            self.statuses[status] += 1


async def _drive(base: str, connections: int, seconds: float, file: Path) -> Load:
    total = _Total(read_requests(file))
    loop = asyncio.get_running_loop()
    target = urlsplit(base)
    assert target.hostname
    assert target.port
    began = time.perf_counter()
    for _ in range(connections):
        await loop.create_connection(lambda: _Connection(total), target.hostname, target.port)
    await asyncio.sleep(seconds)
    total.is_over = True
    spent = time.perf_counter() - began
    failures = sum(number for status, number in total.statuses.items() if not status.startswith(b"2"))
    times = sorted(total.times) or [0.0]
    median, last = times[len(times) // 2], times[len(times) * 99 // 100]
    return Load(len(total.times), spent, failures, median * 1000, last * 1000)


def read_requests(file: Path) -> list[bytes]:
    """Read the file that `write_requests` wrote."""
    requests, data, at = [], file.read_bytes(), 0
    while at < len(data):
        begins = data.index(b"\n", at) + 1
        ends = begins + int(data[at:begins])
        requests.append(data[begins:ends])
        at = ends + 1
    return requests


if __name__ == "__main__":
    _base, _connections, _seconds, _file = sys.argv[1:]
    _load = asyncio.run(_drive(_base, int(_connections), float(_seconds), Path(_file)))
    print("RESULT " + json.dumps(_load._asdict()))
