"""Lifetimes of sessions that contradict each other stop the start (security 24)."""

import pytest

from server.settings.faults import SettingsError
from server.settings.session_lifetimes import MIN_IDLE_SECONDS
from server.settings.settings import Settings

ROTATION = {"REFRESH_ROTATION": "true"}


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"SESSION_LIFETIME": "86400"}, "SESSION_LIFETIME"),
        (ROTATION | {"SESSION_LIFETIME": "86399"}, "SESSION_LIFETIME"),
        (ROTATION | {"REFRESH_LIFETIME": "2592001"}, "SESSION_LIFETIME"),
        ({"SESSION_IDLE_LIFETIME": str(MIN_IDLE_SECONDS - 1)}, "SESSION_IDLE_LIFETIME"),
        ({"SESSION_IDLE_LIFETIME": "86401"}, "SESSION_IDLE_LIFETIME"),
        (ROTATION | {"SESSION_IDLE_LIFETIME": "3600", "REFRESH_LIFETIME": "1800"}, "SESSION_IDLE_LIFETIME"),
    ],
)
def test_lifetimes_that_contradict_each_other_are_one_fault(environment: dict[str, str], named: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.read(environment)
    assert [fault.split()[0] for fault in caught.value.faults] == [named]


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"REFRESH_LIFETIME": "315360000"},
        {"SESSION_IDLE_LIFETIME": str(MIN_IDLE_SECONDS)},
        ROTATION,
        ROTATION | {"SESSION_LIFETIME": "86400", "SESSION_IDLE_LIFETIME": "86400", "REFRESH_GRACE": "0"},
    ],
)
def test_lifetimes_that_fit_are_taken(environment: dict[str, str]) -> None:
    assert Settings.read(environment)


@pytest.mark.parametrize(("idle", "unused"), [(0, 86400), (3600, 3600)])
def test_a_session_that_is_not_used_ends_with_its_refresh_token_or_before(idle: int, unused: int) -> None:
    assert Settings(session_idle_lifetime=idle).unused_lifetime == unused
