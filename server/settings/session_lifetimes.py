"""The settings of sessions together: lifetimes that contradict each other would sign people out, or do nothing."""

from collections.abc import Mapping
from typing import Any

from server.settings.faults import SettingFaults

# A note of use is up to 150 s late: it is written every 60 s, and not again within 30 s (auth/session_uses.py); twice
# that, so that one failed write ends no session.
MIN_IDLE_SECONDS = 300


def check_sessions(given: Mapping[str, Any], faults: SettingFaults) -> None:
    """Add a fault for each setting in `given` that contradicts another one or has no effect."""
    refresh = given.get("refresh_lifetime", 86400)
    session = given.get("session_lifetime", 2_592_000)
    idle = given.get("session_idle_lifetime", 0)
    if not given.get("refresh_rotation", False):
        if "session_lifetime" in given:
            faults.add(
                "SESSION_LIFETIME needs REFRESH_ROTATION=true: without it a session ends with its refresh token, after"
                " REFRESH_LIFETIME"
            )
    elif session < refresh:
        faults.add("SESSION_LIFETIME is shorter than REFRESH_LIFETIME: refresh tokens would outlive their sessions")
    if idle and idle < MIN_IDLE_SECONDS:
        faults.add(
            f"SESSION_IDLE_LIFETIME is 0 or {MIN_IDLE_SECONDS} or more: uses are noted once a minute, and a shorter one"
            " would end sessions that are in use"
        )
    if idle > refresh:
        faults.add("SESSION_IDLE_LIFETIME is longer than REFRESH_LIFETIME: a session that is not used ends then anyway")
