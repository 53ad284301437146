"""Settings that contradict each other: each function adds a fault for those in `given`."""

from collections.abc import Mapping
from typing import Any

from server.settings import values
from server.settings.faults import SettingFaults
from server.settings.site import Site


def check_login(given: Mapping[str, Any], faults: SettingFaults) -> None:
    """An account must have what it signs in with."""
    username = given.get("site_file", Site()).account.username
    login_field = given.get("login_field", "username")
    if username == "none" and login_field != "email":
        faults.add('LOGIN_FIELD must be email: accounts have no username (account.username = "none" in SITE_FILE)')
    if username == "optional" and login_field == "username":
        faults.add(
            'LOGIN_FIELD must be email or either: an account may have no username (account.username = "optional")'
        )


def check_adoption(given: Mapping[str, Any], faults: SettingFaults) -> None:
    """Tokens of another site are read with its key alone, and that key is never ours (security 45)."""
    key = given.get("simplejwt_key", "")
    if given.get("adopt_simplejwt") and not key:
        faults.add("SIMPLEJWT_KEY is required with ADOPT_SIMPLEJWT: it is the key that signed the tokens")
    for name, ours in (
        ("SIGNING_KEY", [given.get("signing_key")]),
        ("VERIFYING_KEYS", given.get("verifying_keys", ())),
    ):
        if key and key in ours:
            faults.add(f"SIMPLEJWT_KEY is also in {name}: the other site could sign tokens of this one; make a new one")


def check_places(given: Mapping[str, Any], faults: SettingFaults) -> None:
    """Both groups may have one place, or one may be inside the other, but not where the other has paths of its own."""
    places = {
        "AUTH_PATH": given.get("auth_path", "/auth"),
        "ACCOUNTS_PATH": given.get("accounts_path", "/api/accounts"),
    }
    own = {"AUTH_PATH": ("users", "jwt", "token", "sessions"), "ACCOUNTS_PATH": ("all-profiles", "profile")}
    for name, other in (("AUTH_PATH", "ACCOUNTS_PATH"), ("ACCOUNTS_PATH", "AUTH_PATH")):
        for path in (f"{places[other]}/{each}" for each in own[other]):
            if values.is_below(places[name], path):
                faults.add(f"{name} is {places[name]}, and {path} is a path of {other}: choose a place outside of it")
