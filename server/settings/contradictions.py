"""Settings that contradict each other: each function adds a fault for those in `given`."""

from collections.abc import Mapping
from typing import Any

from server.settings import environment as environment_texts
from server.settings import values
from server.settings.connections import check_connections
from server.settings.faults import SettingFaults
from server.settings.session_lifetimes import check_sessions
from server.settings.site import Site


def check_all(
    given: Mapping[str, Any], environment: Mapping[str, str], texts: Mapping[str, str], faults: SettingFaults
) -> None:
    """Add every contradiction; `texts` are the settings that `environment` has, `given` those that could be read."""
    check_key(environment, texts, faults)
    check_replica(given, texts, faults)
    for check in (check_connections, check_sessions, check_adoption, check_login, check_places):
        check(given, faults)


def check_key(environment: Mapping[str, str], texts: Mapping[str, str], faults: SettingFaults) -> None:
    """Tokens are signed with the key that is meant; `texts` are the settings that `environment` has."""
    has_key = "SIGNING_KEY" in texts or environment_texts.names_file(environment, "SIGNING_KEY")
    blank = environment_texts.blank(environment, "SIGNING_KEY")
    # A blank variable with the prefix would have won over the one without it.
    if blank and (not has_key or blank[0].startswith(environment_texts.PREFIX)):
        faults.add(f"{blank[0]} is blank: tokens would be signed with another key than was meant")
    elif not has_key and "DATABASE_URL" in texts:
        faults.add("SIGNING_KEY is required with DATABASE_URL: all processes must hold the same one")


def check_replica(given: Mapping[str, Any], texts: Mapping[str, str], faults: SettingFaults) -> None:
    """Only a database of the operator has a replica."""
    if "replica_url" in given and "DATABASE_URL" not in texts:
        faults.add("REPLICA_URL needs DATABASE_URL: the bundled database has no replica")


def check_login(given: Mapping[str, Any], faults: SettingFaults) -> None:
    """An account must have what it signs in with, and one file says what that is."""
    if given.get("login_field", "username") != "username" and not given.get("unique_email", True):
        faults.add("LOGIN_FIELD other than username needs UNIQUE_EMAIL=true: an address must be one account's")
    if "site_file" in given and "roles_file" in given:
        faults.add("ROLES_FILE and SITE_FILE are both set: put the sections of ROLES_FILE into SITE_FILE")
    username = given.get("site_file", Site()).account.username
    login_field = given.get("login_field", "username")
    if username == "none" and login_field != "email":
        faults.add('LOGIN_FIELD must be email: accounts have no username (account.username = "none" in SITE_FILE)')
    if username == "optional" and login_field == "username":
        faults.add(
            'LOGIN_FIELD must be email or either: an account may have no username (account.username = "optional")'
        )


def check_adoption(given: Mapping[str, Any], faults: SettingFaults) -> None:
    """Tokens of another site are read with its key alone, and that key is never ours (security 46)."""
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
