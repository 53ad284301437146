"""Measures the cases of a scenario in turn, A B A B: a machine that becomes slower slows all of them."""

import contextlib
import http.client
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.load import drivers
from tests.load.calls import Call, PeerCalls, write_requests
from tests.load.data import LoadDatabases
from tests.load.drivers import Load
from tests.load.hashes import bare_rate
from tests.load.peers import PEERS
from tests.load.processes import cpu_seconds, machine_seconds, tree
from tests.load.sampler import ANSWER_SECONDS, Sampler, check
from tests.load.scenarios import BARE_HASH, Case, Options, Scenario
from tests.load.servers import Server

CHECKED_AFTER = 3  # calls that are checked after the load, where none are sampled during it
IDLE_SECONDS = 20  # the longest wait for a server to finish the work of the last load


@dataclass
class Result:
    """The measurements of a case: lists have one entry per round, the rest is counted over all rounds."""

    scenario: str
    case: Case
    rates: list[float] = field(default_factory=list)  # responses per second
    p50: list[float] = field(default_factory=list)  # milliseconds
    p99: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)  # seconds of the server per 1,000 responses
    database_cpu: list[float] = field(default_factory=list)  # seconds of PostgreSQL per 1,000 responses
    other_cores: list[float] = field(default_factory=list)  # cores that unrelated processes used
    rss: int = 0  # bytes, the maximum
    statements: float | None = None  # per response
    others: float | None = None  # begin, commit, reset …, per response
    responses: int = 0
    checked: int = 0
    failures: int = 0
    wrong: list[str] = field(default_factory=list)  # the first few wrong responses
    figures: dict[str, float] = field(default_factory=dict)  # measurements that are no rate

    def as_json(self) -> dict[str, Any]:
        """The result as a row of `results.json`."""
        return {**asdict(self.case), **asdict(self), "case": self.case.title}


def cpu_microseconds(row: dict[str, Any], whose: str) -> float:
    """Processor time for one response: of the server (`cpu`) or of PostgreSQL (`database_cpu`); 0 if not measured."""
    return statistics.median(row[whose]) * 1000 if row[whose] else 0.0


class Bench:
    """What all measurements of a run share: databases, options, folders."""

    def __init__(
        self, options: Options, data: LoadDatabases, home: Path, folder: Path, say: Callable[[str], None]
    ) -> None:
        self.options = options
        self.data = data
        self.home = home
        self.folder = folder  # for files of this run
        self.say = say

    def measure(self, scenario: Scenario) -> list[Result]:
        """Measure every case of a scenario, in turn, round after round."""
        cases = scenario.cases(self.options)
        with contextlib.ExitStack() as stack:
            runs = self._runs(stack, scenario, cases)
            for run in runs:
                run.warm_up()
            for number in range(1, self.options.rounds + 1):
                for run in runs:
                    load = run.measure_round()
                    text = f"{load.rate:>10,.1f}/s   p50 {load.p50:8.2f} ms   p99 {load.p99:8.2f} ms"
                    self.say(f"{scenario.name} {number}/{self.options.rounds}  {run.result.case.title:<36} {text}")
        return [run.result for run in runs]

    def _runs(self, stack: contextlib.ExitStack, scenario: Scenario, cases: list[Case]) -> "list[CaseRun | HashRun]":
        databases: dict[int, str] = {}
        servers: dict[tuple[str, int], tuple[Server, PeerCalls]] = {}
        runs: list[CaseRun | HashRun] = []
        for case in cases:
            if case.peer == BARE_HASH:
                runs.append(HashRun(self, scenario, case))
                continue
            accounts = case.accounts or self.options.accounts
            if accounts not in databases:
                databases[accounts] = stack.enter_context(self.data.copy(accounts))
            key = case.peer, accounts
            if key not in servers:
                servers[key] = stack.enter_context(self.serving(case.peer, databases[accounts], accounts))
            runs.append(CaseRun(self, scenario, case, databases[accounts], *servers[key]))
        return runs

    @contextlib.contextmanager
    def serving(self, name: str, url: str, accounts: int) -> Iterator[tuple[Server, PeerCalls]]:
        """Run a peer on a database with that many accounts. Yields the server and what makes calls for it."""
        peer = PEERS[name]
        server = Server(peer, url, accounts, self.options.hash_rounds, self.home, self.say)
        try:
            yield server, peer.calls(self.data.read_accounts(url, self.options.tokens), peer.paths, peer.make_token)
        finally:
            server.stop()

    @contextlib.contextmanager
    def watching_other_processes(self, result: Result) -> Iterator[None]:
        """Note how many cores unrelated processes use meanwhile: they make the result less exact."""
        start, before = time.monotonic(), self._foreign_seconds()
        yield
        result.other_cores.append(max(0.0, self._foreign_seconds() - before) / (time.monotonic() - start))

    def _foreign_seconds(self) -> float:
        own = cpu_seconds(os.getpid())  # includes servers and drivers: they are its children
        if self.data.postmaster not in tree(os.getpid()):
            own += self.data.cpu_seconds()
        return machine_seconds() - own


class CaseRun:
    """A case with everything that its measurement needs."""

    def __init__(
        self, bench: Bench, scenario: Scenario, case: Case, url: str, server: Server, peer_calls: PeerCalls
    ) -> None:
        self.result = Result(scenario.name, case)
        self._bench = bench
        self._scenario = scenario
        self._case = case
        self._url = url
        self._server = server
        self._peer_calls = peer_calls
        self._calls = peer_calls.calls(case.work)
        self._sign_ins = peer_calls.calls("sign-in") if case.storm_clients else []

    def warm_up(self) -> None:
        """Make load without measuring time, and count the statements."""
        with self._bench.data.counting(self._url) as counts:
            load = self._drive(self._bench.options.warm_up * self._case.seconds_factor)
            self._wait_until_idle()
        if not self._case.storm_clients:
            # The server also works on the last request of each connection, whose response is not awaited.
            asked = load.requests + self._case.connections
            self.result.statements = counts["statements"] / asked
            self.result.others = counts["others"] / asked

    def measure_round(self) -> Load:
        """Measure one round."""
        if self._case.work == "register":
            self._calls = self._peer_calls.calls("register")
        with contextlib.ExitStack() as stack:
            # One busy connection would be slowed by another one.
            is_sampled = self._scenario.is_sampled and self._case.connections > 1
            sampler = stack.enter_context(Sampler(self._server.base, self._calls)) if is_sampled else None
            used, database = self._server.cpu_seconds(), self._bench.data.cpu_seconds()
            with self._bench.watching_other_processes(self.result):
                load = self._drive(self._bench.options.seconds * self._case.seconds_factor)
            used, database = self._server.cpu_seconds() - used, self._bench.data.cpu_seconds() - database
        wrong = sampler.wrong if sampler else self._check_after()
        self._note(load, used, database, wrong, sampler.checked if sampler else CHECKED_AFTER)
        self._wait_until_idle()
        return load

    def _note(self, load: Load, used: float, database: float, wrong: list[str], checked: int) -> None:
        thousands = max(load.requests + checked, 1) / 1000
        result = self.result
        result.rates.append(load.rate)
        result.p50.append(load.p50)
        result.p99.append(load.p99)
        result.cpu.append(used / thousands)
        result.database_cpu.append(database / thousands)
        result.rss = max(result.rss, self._server.rss_bytes())
        result.responses += load.requests
        result.checked += checked
        result.failures += load.failures + len(wrong)
        result.wrong = (result.wrong + wrong)[:5]

    def _drive(self, seconds: float) -> Load:
        with contextlib.ExitStack() as stack:
            if self._sign_ins:
                stack.enter_context(self._signing_in(seconds + 1))
            return drivers.result(self._start("load", self._calls, self._case.connections, seconds))

    @contextlib.contextmanager
    def _signing_in(self, seconds: float) -> Iterator[None]:
        storm = self._start("storm", self._sign_ins, self._case.storm_clients, seconds)
        time.sleep(0.5)  # the reads start when the sign-ins are under way
        yield
        load = drivers.result(storm)
        self.result.failures += load.failures
        self.result.figures["sign-ins per second"] = load.rate

    def _start(self, name: str, calls: list[Call], connections: int, seconds: float) -> "subprocess.Popen[str]":
        file = self._bench.folder / f"{name}.requests"
        write_requests(file, urlsplit(self._server.base).netloc, calls)
        return drivers.start(self._bench.options.driver, self._server.base, file, connections, seconds)

    def _check_after(self) -> list[str]:
        connection = http.client.HTTPConnection(urlsplit(self._server.base).netloc, timeout=ANSWER_SECONDS)
        faults = [check(connection, call) for call in self._calls[-CHECKED_AFTER:]]
        connection.close()
        return [fault for fault in faults if fault]

    def _wait_until_idle(self) -> None:
        """Wait until the server is idle: hashes of abandoned requests would slow the next case."""
        end = time.monotonic() + IDLE_SECONDS
        used, now = -1.0, self._server.cpu_seconds()
        while now - used > 0.02 and time.monotonic() < end:
            time.sleep(0.1)
            used, now = now, self._server.cpu_seconds()


class HashRun:
    """The hashes alone, on all cores: the upper limit for a server that hashes as much."""

    def __init__(self, bench: Bench, scenario: Scenario, case: Case) -> None:
        self.result = Result(scenario.name, case)
        self._bench = bench
        self._seconds = bench.options.seconds * case.seconds_factor
        self._rounds = bench.options.hash_rounds

    def warm_up(self) -> None:
        """Do nothing: hashing needs no warm-up."""

    def measure_round(self) -> Load:
        """Measure one round."""
        with self._bench.watching_other_processes(self.result):
            load = bare_rate(self._seconds, self._rounds)
        self.result.rates.append(load.rate)
        self.result.p50.append(load.p50)
        self.result.p99.append(load.p99)
        self.result.responses += load.requests
        return load
