"""What operators count: sums over all processes, in Prometheus's words, at an address of its own."""

import os
import re
import socket
from collections.abc import Callable, Iterator

import pytest
import requests

from server.telemetry.metrics import ENDED, NUMBERS, Metrics, make_table
from tests.conftest import Client
from tests.processes import Started


@pytest.fixture
def table() -> Iterator[int]:
    fd = make_table(3)
    yield fd
    os.close(fd)


def test_what_one_process_counts_every_other_tells(table: int) -> None:
    first, second = Metrics.shared(table, 1), Metrics.shared(table, 2)
    first.add("hash_waiting", 3)
    second.add("hash_waiting", 4)
    second.add("hash_waiting", -1)
    for each in (first, second):
        assert each.total("hash_waiting") == 6
        assert each.total("processes") == 2


def test_what_an_ended_process_has_counted_stays_and_its_state_goes(table: int) -> None:
    master, first = Metrics.shared(table, ENDED), Metrics.shared(table, 1)
    first.add("hash_left_total", 5)
    first.add("hash_waiting", 5)
    master.end(1)
    assert (master.total("hash_left_total"), master.total("hash_waiting"), master.total("processes")) == (5, 0, 0)
    Metrics.shared(table, 1).add("hash_left_total", 2)
    assert master.total("hash_left_total") == 7


def test_the_text_is_what_prometheus_reads() -> None:
    metrics = Metrics.alone()
    metrics.add("hash_wait_seconds_total", 0.25)
    lines = metrics.text().splitlines()
    assert "frontdesk_hash_wait_seconds_total 0.25" in lines
    for head, kind, value in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
        name = value.split()[0]
        assert re.fullmatch(rf"# HELP {name} \S.*\.", head)
        assert kind == f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}"
    assert len(lines) == 3 * len(NUMBERS)


async def test_the_public_port_tells_no_metrics(client: Client) -> None:
    assert (await client.get("/metrics")).status == 404


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_metrics_show_at_their_own_address_and_nothing_else_does(start: Callable[..., Started], workers: str) -> None:
    url = start(METRICS="127.0.0.1:0", WORKERS=workers).metrics_url()
    answer = requests.get(url, timeout=10)
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert f"frontdesk_processes {workers}\n" in answer.text
    assert requests.get(url.replace("metrics", "healthz"), timeout=10).status_code == 404


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_address_of_the_metrics_that_is_taken_stops_the_start(start: Callable[..., Started], workers: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(AssertionError, match=f"METRICS {taken}: Address already in use"):
            start(METRICS=taken, WORKERS=workers)
