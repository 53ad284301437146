"""Metrics are sums over all processes, in the text format of Prometheus, at an address of their own."""

import os
import re
import socket
from collections.abc import Callable, Iterator

import pytest
import requests

from server.telemetry.metrics import ENDED_PROCESSES_ROW, METRICS, Metrics, make_table
from tests.conftest import Client
from tests.processes import Started


@pytest.fixture
def table() -> Iterator[int]:
    fd = make_table(3)
    yield fd
    os.close(fd)


def test_every_process_answers_with_the_sums_over_all(table: int) -> None:
    first, second = Metrics.shared(table, 1), Metrics.shared(table, 2)
    first.add("hash_waiting", 3)
    second.add("hash_waiting", 4)
    second.add("hash_waiting", -1)
    for each in (first, second):
        assert each.total("hash_waiting") == 6
        assert each.total("processes") == 2


def test_counters_of_an_ended_process_stay_and_its_gauges_end(table: int) -> None:
    supervisor, first = Metrics.shared(table, ENDED_PROCESSES_ROW), Metrics.shared(table, 1)
    first.add("hash_left_total", 5)
    first.add("hash_waiting", 5)
    supervisor.end(1)
    assert (supervisor.total("hash_left_total"), supervisor.total("hash_waiting"), supervisor.total("processes")) == (
        5,
        0,
        0,
    )
    Metrics.shared(table, 1).add("hash_left_total", 2)
    assert supervisor.total("hash_left_total") == 7


def test_the_text_is_in_the_format_of_prometheus() -> None:
    metrics = Metrics.alone()
    metrics.add("hash_wait_seconds_total", 0.25)
    lines = metrics.text().splitlines()
    assert "frontdesk_hash_wait_seconds_total 0.25" in lines
    for head, kind, value in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
        name = value.split()[0]
        assert re.fullmatch(rf"# HELP {name} \S.*\.", head)
        assert kind == f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}"
    assert len(lines) == 3 * len(METRICS)


async def test_the_public_port_shows_no_metrics(client: Client) -> None:
    assert (await client.get("/metrics")).status == 404


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_address_of_the_metrics_shows_metrics_and_nothing_else(start: Callable[..., Started], workers: str) -> None:
    url = start(METRICS="127.0.0.1:0", WORKERS=workers).metrics_url()
    response = requests.get(url, timeout=10)
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert f"frontdesk_processes {workers}\n" in response.text
    assert requests.get(url.replace("metrics", "healthz"), timeout=10).status_code == 404


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_address_of_the_metrics_that_is_in_use_stops_the_start(start: Callable[..., Started], workers: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(AssertionError, match=f"METRICS {taken}: Address already in use"):
            start(METRICS=taken, WORKERS=workers)
