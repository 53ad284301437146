"""The number of connections follows the limit of open files (security 32)."""

import dataclasses
import resource
from typing import Any

import pytest

from server.process import open_files
from server.process.open_files import OTHER_FILES
from server.settings.settings import Settings
from server.web.connections import USUAL_MAX_CONNECTIONS

INFINITE = resource.RLIM_INFINITY
SETTINGS = Settings(database_connections=14)
OTHERS = OTHER_FILES + SETTINGS.worker_connections


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The soft and hard limit of open files, which the test sets."""
    now = [0, 0]

    def set_limits(kind: int, given: tuple[int, int]) -> None:
        assert given[1] == now[1]
        now[:] = given

    monkeypatch.setattr(resource, "getrlimit", lambda kind: tuple(now))
    monkeypatch.setattr(resource, "setrlimit", set_limits)
    return now


@pytest.mark.parametrize(
    ("soft", "hard", "setting", "connections", "raised"),
    [
        (1024, 1024, 0, 1024 - OTHERS, 1024),
        (1024, 4096, 0, 4096 - OTHERS, 4096),
        (1024, 1_000_000, 0, USUAL_MAX_CONNECTIONS, USUAL_MAX_CONNECTIONS + OTHERS),
        (1024, INFINITE, 0, USUAL_MAX_CONNECTIONS, USUAL_MAX_CONNECTIONS + OTHERS),
        (INFINITE, INFINITE, 0, USUAL_MAX_CONNECTIONS, INFINITE),
        (1024, 1024, 500, 500, 1024),
        (1024, 100_000, 50_000, 50_000, 50_000 + OTHERS),
        (64, 64, 0, 1, 64),
    ],
)
def test_as_many_connections_as_open_files_allow(
    limits: list[int], soft: int, hard: int, setting: int, connections: int, raised: int
) -> None:
    limits[:] = soft, hard
    settings = dataclasses.replace(SETTINGS, max_connections=setting)
    assert open_files.max_connections(settings) == connections
    assert limits == [raised, hard]
    assert open_files.faults(settings) == []


def test_more_connections_than_open_files_allow_are_a_fault(limits: list[int]) -> None:
    limits[:] = 1024, 2048
    faults = open_files.faults(dataclasses.replace(SETTINGS, max_connections=2000))
    assert faults == [f"MAX_CONNECTIONS 2000: the limit of open files (ulimit -n) allows {2048 - OTHERS}"]


def test_connections_to_a_replica_are_open_files_too(limits: list[int]) -> None:
    limits[:] = 1024, 1024
    settings = dataclasses.replace(SETTINGS, replica_url="postgresql://frontdesk@replica.example/frontdesk")
    assert open_files.max_connections(settings) == 1024 - OTHERS - SETTINGS.worker_connections


def test_a_system_that_refuses_to_raise_the_limit_keeps_it(limits: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: Any) -> None:
        raise ValueError("current limit exceeds maximum limit")

    limits[:] = 1024, INFINITE
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert open_files.max_connections(SETTINGS) == 1024 - OTHERS
