"""Drives the lanes of a scenario in turn, A B A B, so that a machine that slows down slows all of them."""

import contextlib
import http.client
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.load import drivers
from tests.load.calls import Asker, Call, write_requests
from tests.load.data import Data
from tests.load.drivers import Load
from tests.load.hashes import bare_rate
from tests.load.peers import PEERS
from tests.load.processes import cpu_seconds, machine_seconds, tree
from tests.load.sampler import TIMEOUT, Sampler, check
from tests.load.scenarios import BARE, Lane, Options, Scenario
from tests.load.servers import Server

CHECKED_AFTER = 3  # calls, where none are sampled during the load
CALM_SECONDS = 20  # longest wait for a server to finish what the last load left behind


@dataclass
class Result:
    """What a lane came to: an entry for each round, and what was counted once."""

    scenario: str
    lane: Lane
    rates: list[float] = field(default_factory=list)  # answers a second
    p50: list[float] = field(default_factory=list)  # milliseconds
    p99: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)  # seconds of the server for 1,000 answers
    database_cpu: list[float] = field(default_factory=list)  # seconds of PostgreSQL for 1,000 answers
    elsewhere: list[float] = field(default_factory=list)  # cores that processes with no part in this kept busy
    rss: int = 0  # bytes, the greatest seen
    statements: float | None = None  # for one answer
    others: float | None = None  # begin, commit, reset …, for one answer
    answers: int = 0
    looked_at: int = 0
    failures: int = 0
    wrong: list[str] = field(default_factory=list)  # the first few answers that were not as they should be
    figures: dict[str, float] = field(default_factory=dict)  # of the scenarios that measure no rate

    def as_json(self) -> dict[str, Any]:
        """For the file."""
        return {**asdict(self.lane), **asdict(self), "lane": self.lane.title}


class Bench:
    """The cluster, the options, and where things lie."""

    def __init__(self, options: Options, data: Data, home: Path, folder: Path, say: Callable[[str], None]) -> None:
        self.options = options
        self.data = data
        self.home = home
        self.folder = folder  # for what lasts as long as the run
        self.say = say

    def measure(self, scenario: Scenario) -> list[Result]:
        """Every lane of a scenario, each round of each in turn."""
        lanes = scenario.lanes(self.options)
        with contextlib.ExitStack() as stack:
            tracks = self._tracks(stack, scenario, lanes)
            for track in tracks:
                track.warm_up()
            for number in range(1, self.options.rounds + 1):
                for track in tracks:
                    load = track.run()
                    told = f"{load.rate:>10,.1f}/s   p50 {load.p50:8.2f} ms   p99 {load.p99:8.2f} ms"
                    self.say(f"{scenario.name} {number}/{self.options.rounds}  {track.result.lane.title:<36} {told}")
        return [track.result for track in tracks]

    def _tracks(self, stack: contextlib.ExitStack, scenario: Scenario, lanes: list[Lane]) -> "list[Track | BareTrack]":
        databases: dict[int, str] = {}
        servers: dict[tuple[str, int], tuple[Server, Asker]] = {}
        tracks: list[Track | BareTrack] = []
        for lane in lanes:
            if lane.peer == BARE:
                tracks.append(BareTrack(self, scenario, lane))
                continue
            accounts = lane.accounts or self.options.accounts
            if accounts not in databases:
                databases[accounts] = stack.enter_context(self.data.copy(accounts))
            key = lane.peer, accounts
            if key not in servers:
                servers[key] = stack.enter_context(self.serving(lane.peer, databases[accounts]))
            tracks.append(Track(self, scenario, lane, databases[accounts], *servers[key]))
        return tracks

    @contextlib.contextmanager
    def serving(self, name: str, url: str) -> Iterator[tuple[Server, Asker]]:
        """A peer on a database, and who asks it."""
        peer = PEERS[name]
        server = Server(peer, url, self.options.hash_rounds, self.home, self.say)
        try:
            yield server, Asker(self.data.people(url, self.options.tokens), peer.paths, peer.token)
        finally:
            server.stop()

    @contextlib.contextmanager
    def watching(self, result: Result) -> Iterator[None]:
        """Note how many cores others kept busy meanwhile: they blur what is measured."""
        began, before = time.monotonic(), self._foreign_seconds()
        yield
        result.elsewhere.append(max(0.0, self._foreign_seconds() - before) / (time.monotonic() - began))

    def _foreign_seconds(self) -> float:
        own = cpu_seconds(os.getpid())  # servers and drivers are its children
        if self.data.postmaster not in tree(os.getpid()):
            own += self.data.cpu_seconds()
        return machine_seconds() - own


class Track:
    """A lane with everything it needs to be driven."""

    def __init__(self, bench: Bench, scenario: Scenario, lane: Lane, url: str, server: Server, asker: Asker) -> None:
        self.result = Result(scenario.name, lane)
        self._bench = bench
        self._scenario = scenario
        self._lane = lane
        self._url = url
        self._server = server
        self._asker = asker
        self._calls = asker.calls(lane.work)
        self._storm = asker.calls("sign-in") if lane.storm else []

    def warm_up(self) -> None:
        """Drive it once without a stopwatch, and count the statements."""
        with self._bench.data.counting(self._url) as counts:
            load = self._drive(self._bench.options.warm_up * self._lane.longer)
            self._calm_down()
        if not self._lane.storm:
            # The last request of each connection is worked on, too, though nobody waits for its answer.
            asked = load.requests + self._lane.connections
            self.result.statements = counts["statements"] / asked
            self.result.others = counts["others"] / asked

    def run(self) -> Load:
        """One round."""
        if self._lane.work == "register":
            self._calls = self._asker.calls("register")
        with contextlib.ExitStack() as stack:
            sampler = (
                stack.enter_context(Sampler(self._server.base, self._calls)) if self._scenario.is_sampled else None
            )
            used, database = self._server.cpu_seconds(), self._bench.data.cpu_seconds()
            with self._bench.watching(self.result):
                load = self._drive(self._bench.options.seconds * self._lane.longer)
            used, database = self._server.cpu_seconds() - used, self._bench.data.cpu_seconds() - database
        wrong = sampler.wrong if sampler else self._check_after()
        self._note(load, used, database, wrong, sampler.looked if sampler else CHECKED_AFTER)
        self._calm_down()
        return load

    def _note(self, load: Load, used: float, database: float, wrong: list[str], looked_at: int) -> None:
        thousands = max(load.requests + looked_at, 1) / 1000
        result = self.result
        result.rates.append(load.rate)
        result.p50.append(load.p50)
        result.p99.append(load.p99)
        result.cpu.append(used / thousands)
        result.database_cpu.append(database / thousands)
        result.rss = max(result.rss, self._server.rss_bytes())
        result.answers += load.requests
        result.looked_at += looked_at
        result.failures += load.failures + len(wrong)
        result.wrong = (result.wrong + wrong)[:5]

    def _drive(self, seconds: float) -> Load:
        with contextlib.ExitStack() as stack:
            if self._storm:
                stack.enter_context(self._signing_in(seconds + 1))
            return drivers.result(self._begin("load", self._calls, self._lane.connections, seconds))

    @contextlib.contextmanager
    def _signing_in(self, seconds: float) -> Iterator[None]:
        storm = self._begin("storm", self._storm, self._lane.storm, seconds)
        time.sleep(0.5)  # the reads begin when the storm is there
        yield
        seen = drivers.result(storm)
        self.result.failures += seen.failures
        self.result.figures["sign-ins a second"] = seen.rate

    def _begin(self, name: str, calls: list[Call], connections: int, seconds: float) -> Any:
        file = self._bench.folder / f"{name}.requests"
        write_requests(file, urlsplit(self._server.base).netloc, calls)
        return drivers.begin(self._bench.options.driver, self._server.base, file, connections, seconds)

    def _check_after(self) -> list[str]:
        connection = http.client.HTTPConnection(urlsplit(self._server.base).netloc, timeout=TIMEOUT)
        faults = [check(connection, call) for call in self._calls[-CHECKED_AFTER:]]
        connection.close()
        return [fault for fault in faults if fault]

    def _calm_down(self) -> None:
        """Wait until the server rests: hashes that nobody waits for any more would burden whoever comes next."""
        ends = time.monotonic() + CALM_SECONDS
        used, now = -1.0, self._server.cpu_seconds()
        while now - used > 0.02 and time.monotonic() < ends:
            time.sleep(0.1)
            used, now = now, self._server.cpu_seconds()


class BareTrack:
    """The hashes alone, on all cores: what no server that hashes as much can beat."""

    def __init__(self, bench: Bench, scenario: Scenario, lane: Lane) -> None:
        self.result = Result(scenario.name, lane)
        self._bench = bench
        self._seconds = bench.options.seconds * lane.longer
        self._rounds = bench.options.hash_rounds

    def warm_up(self) -> None:
        """Nothing to warm."""

    def run(self) -> Load:
        """One round."""
        with self._bench.watching(self.result):
            load = bare_rate(self._seconds, self._rounds)
        self.result.rates.append(load.rate)
        self.result.p50.append(load.p50)
        self.result.p99.append(load.p99)
        self.result.answers += load.requests
        return load
