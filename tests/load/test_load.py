"""The load harness works: scenarios, drivers, counts. No test depends on a rate."""

import http.client
import json
import re
import signal
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from server.auth.tokens import VERIFIED_CACHE_TOKENS
from tests.load import __main__ as command
from tests.load import calls, drivers, publish, report, targets
from tests.load.calls import Call, PeerCalls, contract_token
from tests.load.chart import draw
from tests.load.data import Account
from tests.load.measure import Result
from tests.load.peers import FOLDER, OURS, PATHS, PEERS
from tests.load.sampler import check
from tests.load.scenarios import Case, Options
from tests.processes import surroundings

ROOT = Path(__file__).parents[2]


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the command in a process of its own."""
    command = [sys.executable, "-m", "tests.load", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=surroundings(**environment))


# The load line of README, which `.ci/run` runs, tries the other scenarios.
TRIED = ("read-me",)


@pytest.mark.slow
def test_a_quick_run_measures_and_every_response_is_right(tmp_path: Path) -> None:
    done = run(*TRIED, "--quick", "--driver", "python", "--out", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads((tmp_path / "results.json").read_text())["results"]
    assert {row["scenario"] for row in rows} == set(TRIED)
    for row in rows:
        assert row["responses"] > 0 or row["figures"], row
        assert row["failures"] == 0, row
        assert row["checked"] > 0 or row["figures"] or row["peer"] == "bcrypt", row
    assert len(ET.parse(tmp_path / "chart.svg").getroot()) > 10
    assert all(f"\n{name}: " in done.stdout for name in TRIED)


def test_missing_tools_are_named_with_the_command_that_installs_them() -> None:
    done = run("read-me", PATH="")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "wrk is missing: apt-get install wrk",
        "node is missing: apt-get install nodejs",
        "npm is missing: apt-get install npm",
    ]


def test_a_peer_offers_each_kind_of_work_or_says_why_not() -> None:
    for peer in PEERS.values():
        assert set(peer.paths) | set(peer.lacks) == set(PATHS), peer.name
        assert not set(peer.paths) & set(peer.lacks), peer.name


def test_the_packages_of_peers_are_pinned_and_no_registry_is_named() -> None:
    for file in FOLDER.rglob("requirements.txt"):
        assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in file.read_text().splitlines()), file
    for file in FOLDER.rglob("package*.json"):
        assert "://" not in file.read_text(), file
    packages = [*FOLDER.glob("*/package.json")]
    assert len(packages) == len([peer for peer in PEERS.values() if peer.kind == "node"])
    for file in packages:
        for version in json.loads(file.read_text())["dependencies"].values():
            assert re.fullmatch(r"[\d.]+", version), file


class Responder(BaseHTTPRequestHandler):
    """Answers `/STATUS` with that status, always with the same JSON; `/STATUS/chunked` in two chunks."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = b'{"username": "anna"}'
        status, _, is_chunked = self.path[1:].partition("/")
        self.send_response(int(status))
        if is_chunked:
            self.send_header("Transfer-Encoding", "chunked")
            body = b"5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (body[:5], len(body) - 5, body[5:])
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


@pytest.fixture
def base() -> Iterator[str]:
    """The URL of a server that runs a Responder."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Responder) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def call_for(status: int, username: str = "anna") -> Call:
    return Call("GET", f"/{status}", {}, b"", lambda found: found == {"username": username})


def test_a_response_is_right_only_with_the_expected_status_and_content(base: str) -> None:
    connection = http.client.HTTPConnection(base.removeprefix("http://"))
    assert check(connection, call_for(200)) == ""
    assert "201" in check(connection, call_for(201))
    assert "anna" in check(connection, call_for(200, "boris"))
    connection.close()


@pytest.mark.parametrize("driver", sorted({"python", drivers.available()}))
def test_a_driver_sends_the_requests_in_turn_and_counts_failures(base: str, tmp_path: Path, driver: str) -> None:
    file = tmp_path / "requests"
    calls.write_requests(file, "127.0.0.1", [call_for(200), call_for(201), call_for(401), call_for(503)])
    load = drivers.result(drivers.start(driver, base, file, 1, 0.2))
    assert load.requests >= 4
    assert abs(load.failures - load.requests / 2) <= 1


@pytest.mark.parametrize("driver", sorted({"python", drivers.available()}))
def test_a_driver_reads_responses_in_chunks(base: str, tmp_path: Path, driver: str) -> None:
    file = tmp_path / "requests"
    chunked = Call("GET", "/200/chunked", {}, b"", lambda _: True)
    calls.write_requests(file, "127.0.0.1", [chunked, call_for(503)])
    load = drivers.result(drivers.start(driver, base, file, 1, 0.2))
    assert load.requests >= 4
    assert abs(load.failures - load.requests / 2) <= 1


def test_tokens_of_the_first_use_are_more_than_a_cache_holds() -> None:
    accounts = [Account(number, f"person{number}", "", str(number), number) for number in range(Options().tokens)]
    tokens = {call.headers["Authorization"] for call in PeerCalls(accounts, PATHS, contract_token).calls("first-use")}
    assert len(tokens) > 2 * VERIFIED_CACHE_TOKENS


@pytest.mark.parametrize("arguments", [["--rounds", "4"], ["--quick"], ["read-me"], ["--peer", "elysia"]])
def test_a_part_of_a_run_is_not_published(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["--publish", *arguments])
    assert "5 rounds or more" in capsys.readouterr().err


@pytest.mark.parametrize(("failures", "published"), [(0, True), (1, False)])
def test_a_run_with_a_wrong_response_fails_and_is_not_published(
    failures: int, published: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def run(options: Options, scenarios: Sequence[str], found: command.Found) -> None:
        found.results.append(Result("read-me", Case(peer=OURS, work="read-me"), failures=failures))

    calls_of_publish: list[Sequence[str]] = []
    monkeypatch.setattr(command, "run", run)
    monkeypatch.setattr(command, "missing_tools", lambda peers, uses_wrk: [])
    monkeypatch.setattr(command, "_raise_limit", lambda: None)
    monkeypatch.setattr(signal, "signal", lambda number, handler: None)
    monkeypatch.setattr(publish, "main", calls_of_publish.append)
    monkeypatch.setattr(report, "write", lambda *_: [])
    assert command.main(["--publish", "--out", str(tmp_path)]) == failures
    assert bool(calls_of_publish) is published


def test_what_is_published_has_few_and_many_connections_processor_time_and_interpreters() -> None:
    ours = row(OURS, 100, cpu=[0.03], database_cpu=[0.012], other_cores=[])
    theirs = row("pocketbase", 50, cpu=[0.3], database_cpu=[0.0], other_cores=[])
    alone = [each | {"variant": "1 connection", "rates": [10.0]} for each in (ours, theirs)]
    results = {
        "command": "python -m tests.load --publish",
        "when": "2026-11-26T10:00:00+00:00",
        "options": {"rounds": 5, "seconds": 2, "accounts": 10, "tokens": 10},
        "machine": {"postgresql": "18", "python": "3.11, built with optimisation", "bun": "1.4.5"}
        | {"cores": 2, "processor": "a processor"},
        "results": [ours, theirs, *alone],
    }
    text = publish.section(results)
    assert "Python 3.11, built with optimisation, Bun 1.4.5." in text
    assert "| `read-me`: the caller's account | **100** | 50.0 (2.0) |" in text
    assert "| `read-me`, 1 connection | **10.0** | 10.0 (1.0) |" in text
    assert "| `read-me` | 30 + 12 | 300 |" in text


def row(peer: str, *rates: float, **fields: Any) -> dict[str, Any]:
    return {"scenario": "read-me", "peer": peer, "variant": "", "work": "read-me", "rates": list(rates), **fields}


def test_a_ratio_compares_values_of_the_same_round() -> None:
    rows = [row(OURS, 100, 300), row("fastify", 50, 100)]
    assert report.ratios(rows[1], rows) == [2, 3]
    (verdict,) = targets.judge(rows)
    assert (verdict.target, verdict.value, verdict.is_met) == ("read-me, times fastify", 2.5, True)


def test_readme_shows_the_published_run() -> None:
    results = json.loads((publish.PUBLISHED / "results.json").read_text())
    assert publish.section(results) in publish.README.read_text()
    assert (publish.PUBLISHED / "README.md").read_text() == publish.targets(results)
    assert (publish.PUBLISHED / "chart.svg").read_text() == draw(results["results"])
    assert not results["options"]["is_quick"]
