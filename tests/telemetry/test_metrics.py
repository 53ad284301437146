"""Metrics are sums over all processes, in the formats of Prometheus, at an address of their own."""

import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator

import pytest
import requests

from server.telemetry import instruments
from server.telemetry.cells import Row, make_table
from server.telemetry.exposition import Exposition
from server.telemetry.instruments import MAX, MIN, Counter, Gauge, Histogram
from tests.conftest import Client
from tests.processes import Started

HITS = Counter("test_hits_total", "Hits.", "kind", known=[("soft",)])
LOAD = Gauge("test_load", "Load.")
HIGHEST = Gauge("test_highest", "Highest.", merge=MAX)
LOWEST = Gauge("test_lowest", "Lowest.", merge=MIN)
SECONDS = Histogram("test_seconds", "Seconds.", bounds=(0.1, 1))

Rows = Callable[[int], Row]


@pytest.fixture
def table() -> Iterator[int]:
    fd = make_table(3)
    yield fd
    os.close(fd)


@pytest.fixture
def rows(table: int) -> Iterator[Rows]:
    """A function that has this process count in a row of one table, as another process would."""

    def count_in(row: int) -> Row:
        instruments.use(made := Row.shared(table, row, empty=True))
        return made

    yield count_in
    instruments.use(Row.private())


def shown(*counting: Row, accept: str = "") -> str:
    """What is shown of processes that count in these rows."""
    return Exposition(lambda: [(f"p{n}", os.getpid(), row) for n, row in enumerate(counting)]).text(accept)[0].decode()


def numbers(*counting: Row) -> dict[str, float]:
    """The numbers of this module's metrics, by name and labels."""
    lines = [line.rsplit(" ", 1) for line in shown(*counting).splitlines() if line.startswith("frontdesk_test")]
    return {name: float(value) for name, value in lines}


def test_what_is_shown_are_the_sums_over_all_processes(rows: Rows) -> None:
    first = rows(0)
    HITS.add("soft", by=3)
    SECONDS.observe(0.1)
    LOAD.add(by=5)
    LOAD.add(by=-1)
    second = rows(1)
    HITS.add("soft")
    HITS.add("hard")
    SECONDS.observe(0.5)
    SECONDS.observe(2)
    LOAD.set(7)
    found = numbers(first, second)
    assert found['frontdesk_test_hits_total{kind="soft"}'] == 4
    assert found['frontdesk_test_hits_total{kind="hard"}'] == 1
    assert found["frontdesk_test_load"] == 11
    assert {name: value for name, value in found.items() if "seconds" in name} == {
        'frontdesk_test_seconds_bucket{le="0.1"}': 1,
        'frontdesk_test_seconds_bucket{le="1.0"}': 2,
        'frontdesk_test_seconds_bucket{le="+Inf"}': 3,
        "frontdesk_test_seconds_count": 3,
        "frontdesk_test_seconds_sum": 2.6,
    }


def test_a_fact_that_all_processes_see_is_not_added_up_and_one_that_does_not_know_is_left_out(rows: Rows) -> None:
    counting = []
    for row, (highest, lowest) in enumerate([(3, 1), (2, 0), (float("nan"), float("nan"))]):
        counting.append(rows(row))
        HIGHEST.set(highest)
        LOWEST.set(lowest)
    found = numbers(*counting)
    assert (found["frontdesk_test_highest"], found["frontdesk_test_lowest"]) == (3, 0)
    assert "frontdesk_test_highest" not in numbers(counting[2])


def test_counters_of_an_ended_process_stay_and_its_gauges_end(rows: Rows, table: int) -> None:
    kept, ended = Row.shared(table, 0, empty=True), rows(1)
    HITS.add("soft", by=5)
    SECONDS.observe(0.5)
    LOAD.set(9)
    instruments.keep_ended(Row.shared(table, 1), kept)
    # Nothing is counted twice while the next process of this row starts.
    assert numbers(kept, Row.shared(table, 1)) == numbers(kept)
    successor = rows(1)
    HITS.add("soft", by=2)
    found = numbers(kept, successor)
    assert found['frontdesk_test_hits_total{kind="soft"}'] == 7
    assert found["frontdesk_test_seconds_count"] == 1
    assert found["frontdesk_test_load"] == 0
    assert numbers(kept, ended) == found  # the row is the same
    instruments.keep_ended(Row.shared(table, 1), kept)
    assert numbers(kept)['frontdesk_test_hits_total{kind="soft"}'] == 7
    assert "frontdesk_test_load" not in numbers(kept)


def test_a_worker_of_a_newer_release_is_shown_by_a_supervisor_that_does_not_know_its_metrics(rows: Rows) -> None:
    old, new = rows(0), rows(1)
    new.place(b'["frontdesk_test_new_total","counter","New.",[],[]]', 1)
    # The same histogram with other bounds: the worker decides.
    place = new.place(b'["frontdesk_test_seconds","histogram","Seconds.",[],[5.0]]', 3)
    new.cells[place] = 1.0
    found = numbers(old, new)
    assert found["frontdesk_test_new_total"] == 0
    assert found['frontdesk_test_seconds_bucket{le="5.0"}'] == 1
    assert 'frontdesk_test_seconds_bucket{le="1.0"}' not in found


def test_known_labels_are_shown_from_the_start_so_that_the_first_increase_is_seen(rows: Rows) -> None:
    assert numbers(rows(0))['frontdesk_test_hits_total{kind="soft"}'] == 0


def test_process_figures_name_the_process(rows: Rows) -> None:
    text = shown(rows(0), rows(1))
    for process in ("p0", "p1"):
        found = re.search(rf'^process_resident_memory_bytes{{process="{process}"}} (\S+)$', text, re.MULTILINE)
        assert found
        assert float(found[1]) > 1e6


def test_openmetrics_is_shown_to_those_who_accept_it() -> None:
    text, content_type = Exposition(list).text("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert text.endswith(b"# EOF\n")


async def test_the_public_port_shows_no_metrics(client: Client) -> None:
    assert (await client.get("/metrics")).status == 404


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_address_of_the_metrics_shows_metrics_and_nothing_else(start: Callable[..., Started], workers: str) -> None:
    service = start(METRICS="127.0.0.1:0", WORKERS=workers)
    url = service.metrics_url()
    assert requests.get(f"{service.url}/healthz", timeout=10).ok
    response = requests.get(url, timeout=10)
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert f"frontdesk_processes {workers}.0\n" in response.text
    assert 'frontdesk_http_requests_total{method="GET",route="/healthz",status="200"} 1.0\n' in response.text
    assert 'process_start_time_seconds{process="worker-1"}' in response.text
    assert ('process_start_time_seconds{process="supervisor"}' in response.text) == (workers == "2")
    assert requests.get(url.replace("metrics", "healthz"), timeout=10).status_code == 404
    if promtool := shutil.which("promtool"):
        checked = subprocess.run([promtool, "check", "metrics"], input=response.text, capture_output=True, text=True)
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_address_of_the_metrics_that_is_in_use_stops_the_start(start: Callable[..., Started], workers: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(AssertionError, match=f"METRICS {taken}: Address already in use"):
            start(METRICS=taken, WORKERS=workers)
