"""The load harness works: scenarios, drivers, counts. No test depends on a rate."""

import http.client
import json
import re
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.load import calls, drivers, publish, report, targets
from tests.load.calls import Call
from tests.load.chart import draw
from tests.load.peers import FOLDER, OURS, PATHS, PEERS
from tests.load.sampler import check
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
    for version in json.loads((FOLDER / "fastify" / "package.json").read_text())["dependencies"].values():
        assert re.fullmatch(r"[\d.]+", version)


class Responder(BaseHTTPRequestHandler):
    """Answers `/STATUS` with that status, always with the same JSON."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = b'{"username": "anna"}'
        self.send_response(int(self.path[1:]))
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
