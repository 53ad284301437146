"""The memory of a process: when idle, over many requests, and per idle connection."""

import resource
import subprocess
import sys
from urllib.parse import urlsplit

from tests.load import drivers
from tests.load.calls import PeerCalls, write_requests
from tests.load.measure import Bench, Result
from tests.load.peers import OURS
from tests.load.scenarios import Scenario
from tests.load.servers import Server

MB = 1e6
KB = 1e3
SPARE_FILES = 300  # for the database, the logs, and the load beside the idle connections
SLICE_SECONDS = 5


def measure_memory(bench: Bench, scenario: Scenario) -> list[Result]:
    """Measure the RSS of each idle peer, and of the service over a million requests."""
    results = []
    with bench.data.copy(bench.options.accounts) as url:
        for case in scenario.cases(bench.options):
            result = Result(scenario.name, case)
            with bench.serving(case.peer, url, bench.options.accounts) as (server, peer_calls):
                result.rss = server.rss_bytes()
                result.figures["MB when idle"] = result.rss / MB
                if case.peer == OURS:
                    _send_many(bench, result, server, peer_calls)
            text = ", ".join(f"{value:.1f} {name}" for name, value in result.figures.items())
            bench.say(f"{scenario.name}  {case.title:<36} {text}")
            results.append(result)
    return results


def _send_many(bench: Bench, result: Result, server: Server, peer_calls: PeerCalls) -> None:
    file = bench.folder / "load.requests"
    write_requests(file, urlsplit(server.base).netloc, peer_calls.calls("read-me"))
    number = bench.options.memory_requests
    for wanted in (number // 10, number // 2, number):  # a tenth fills all caches
        while result.responses < wanted:
            load = drivers.result(
                drivers.start(bench.options.driver, server.base, file, 64, min(SLICE_SECONDS, bench.options.seconds))
            )
            result.responses += load.requests
            result.failures += load.failures
        result.rss = server.rss_bytes()
        result.figures[f"MB after {wanted:,} responses"] = result.rss / MB


def measure_idle(bench: Bench, scenario: Scenario) -> list[Result]:
    """Measure the RSS of the service per idle keep-alive connection, and its rate with all of them open."""
    (case,) = scenario.cases(bench.options)
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    number = min(case.connections, files - SPARE_FILES)
    if number < case.connections:
        bench.say(f"idle: {number:,} connections, because only {files:,} open files are allowed (ulimit -n)")
    result = Result(scenario.name, case)
    accounts = bench.options.accounts
    with bench.data.copy(accounts) as url, bench.serving(case.peer, url, accounts) as (server, peer_calls):
        file = bench.folder / "load.requests"
        write_requests(file, urlsplit(server.base).netloc, peer_calls.calls("read-me"))
        drivers.result(drivers.start(bench.options.driver, server.base, file, 64, bench.options.warm_up))
        before = server.rss_bytes()
        client = _IdleClient(server.base, str(file), number)
        held, result.rss = client.held(), server.rss_bytes()
        load = drivers.result(drivers.start(bench.options.driver, server.base, file, 64, bench.options.seconds))
        alive = client.alive()
    result.rates, result.p50, result.p99 = [load.rate], [load.p50], [load.p99]
    result.responses, result.failures = load.requests, load.failures + number - alive
    result.figures = {
        "open connections": held,
        "MB before": before / MB,
        "MB with all open": result.rss / MB,
        "kB per connection": (result.rss - before) / max(held, 1) / KB,
    }
    text = ", ".join(f"{value:,.1f} {name}" for name, value in result.figures.items())
    bench.say(f"{scenario.name}  {case.title:<36} {text}; {load.rate:,.0f}/s beside them, p99 {load.p99:.1f} ms")
    return [result]


class _IdleClient:
    """`held.py` in a process of its own."""

    def __init__(self, base: str, file: str, number: int) -> None:
        command = [sys.executable, "-m", "tests.load.held", base, file, str(number)]
        self._process = subprocess.Popen(
            command, cwd=drivers.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def held(self) -> int:
        """Wait until the connections are open. Returns how many are."""
        assert self._process.stdout is not None
        return int(self._process.stdout.readline().removeprefix("HELD "))

    def alive(self) -> int:
        """End the process. Returns how many connections were still open."""
        output, _ = self._process.communicate("")
        return int(output.removeprefix("ALIVE "))
