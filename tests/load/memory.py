"""What a process holds: at rest, over many requests, and for each connection that does nothing."""

import resource
import subprocess
import sys
from urllib.parse import urlsplit

from tests.load import drivers
from tests.load.calls import Asker, write_requests
from tests.load.measure import Bench, Result
from tests.load.peers import OURS
from tests.load.scenarios import Scenario
from tests.load.servers import Server

MB = 1e6
KB = 1e3
SPARE_FILES = 300  # for the database, the logs, the load that runs beside the idle
SLICE_SECONDS = 5


def watch(bench: Bench, scenario: Scenario) -> list[Result]:
    """RSS of each peer at rest, and of ours while it answers a million requests."""
    results = []
    with bench.data.copy(bench.options.accounts) as url:
        for lane in scenario.lanes(bench.options):
            result = Result(scenario.name, lane)
            with bench.serving(lane.peer, url) as (server, asker):
                result.rss = server.rss_bytes()
                result.figures["MB at rest"] = result.rss / MB
                if lane.peer == OURS:
                    _answer_many(bench, result, server, asker)
            told = ", ".join(f"{value:.1f} {name}" for name, value in result.figures.items())
            bench.say(f"{scenario.name}  {lane.title:<36} {told}")
            results.append(result)
    return results


def _answer_many(bench: Bench, result: Result, server: Server, asker: Asker) -> None:
    file = bench.folder / "load.requests"
    write_requests(file, urlsplit(server.base).netloc, asker.calls("read-me"))
    number = bench.options.requests
    for wanted in (number // 10, number // 2, number):  # a tenth fills every cache
        while result.answers < wanted:
            load = drivers.result(
                drivers.begin(bench.options.driver, server.base, file, 64, min(SLICE_SECONDS, bench.options.seconds))
            )
            result.answers += load.requests
            result.failures += load.failures
        result.rss = server.rss_bytes()
        result.figures[f"MB after {wanted:,} answers"] = result.rss / MB


def hold(bench: Bench, scenario: Scenario) -> list[Result]:
    """RSS of ours for each idle keep-alive connection; how fast it is with all of them open."""
    (lane,) = scenario.lanes(bench.options)
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    number = min(lane.connections, files - SPARE_FILES)
    if number < lane.connections:
        bench.say(f"idle: {number:,} connections, since {files:,} open files are allowed (ulimit -n)")
    result = Result(scenario.name, lane)
    with bench.data.copy(bench.options.accounts) as url, bench.serving(lane.peer, url) as (server, asker):
        file = bench.folder / "load.requests"
        write_requests(file, urlsplit(server.base).netloc, asker.calls("read-me"))
        drivers.result(drivers.begin(bench.options.driver, server.base, file, 64, bench.options.warm_up))
        before = server.rss_bytes()
        client = _Client(server.base, str(file), number)
        held, result.rss = client.held(), server.rss_bytes()
        load = drivers.result(drivers.begin(bench.options.driver, server.base, file, 64, bench.options.seconds))
        alive = client.alive()
    result.rates, result.p50, result.p99 = [load.rate], [load.p50], [load.p99]
    result.answers, result.failures = load.requests, load.failures + number - alive
    result.figures = {
        "connections held": held,
        "MB before": before / MB,
        "MB with all open": result.rss / MB,
        "kB a connection": (result.rss - before) / max(held, 1) / KB,
    }
    told = ", ".join(f"{value:,.1f} {name}" for name, value in result.figures.items())
    bench.say(f"{scenario.name}  {lane.title:<36} {told}; {load.rate:,.0f}/s beside them, p99 {load.p99:.1f} ms")
    return [result]


class _Client:
    """`held.py` as a process."""

    def __init__(self, base: str, file: str, number: int) -> None:
        command = [sys.executable, "-m", "tests.load.held", base, file, str(number)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = subprocess.Popen(command, cwd=drivers.ROOT, text=True, **pipes)

    def held(self) -> int:
        """Wait until all are open: how many."""
        assert self._process.stdout is not None
        return int(self._process.stdout.readline().removeprefix("HELD "))

    def alive(self) -> int:
        """Let it end: how many were open still."""
        said, _ = self._process.communicate("")
        return int(said.removeprefix("ALIVE "))
