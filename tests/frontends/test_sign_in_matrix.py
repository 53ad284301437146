"""LOGIN_FIELD, whether accounts have a username, and activation: every combination that a site may have."""

import dataclasses
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from server.settings.account_model import USERNAME_CHOICES, AccountModel
from server.settings.faults import SettingsError
from server.settings.settings import Settings
from server.settings.site import Site
from tests.conftest import PASSWORD, Client, Letters, Person, post

USERS = "/auth/users/"
NAME, EMAIL = "anna", "anna@example.com"
LOGIN_FIELDS = ("username", "email", "either")
# An account must have what it signs in with.
REFUSED = [("username", "none"), ("username", "optional"), ("either", "none")]
ALLOWED = [pair for pair in product(LOGIN_FIELDS, USERNAME_CHOICES) if pair not in REFUSED]
UNKNOWN = (401, {"detail": "No active account found with the given credentials"})
UNABLE = (400, {"non_field_errors": ["Unable to log in with provided credentials."]})
REQUIRED = ["This field is required."]
BLANK = ["This field may not be blank."]

allowed = pytest.mark.parametrize(("login_field", "username"), ALLOWED)
activations = pytest.mark.parametrize("activation", [False, True], ids=["active at once", "activation by letter"])


@pytest.fixture
def settings(settings: Settings, login_field: str, username: Any, activation: bool) -> Settings:
    account = AccountModel(username=username, shown_as="email" if username == "none" else "username")
    site = Site(account=account)
    return dataclasses.replace(settings, site_file=site, login_field=login_field, send_activation_email=activation)


async def follow_the_link(client: Client, letters: Letters) -> None:
    (letter,) = await letters()
    assert await post(client, f"{USERS}activation/", **letter.uid_and_token) == (204, None)


def logins(login_field: str, has_username: bool) -> list[dict[str, str]]:
    """What an account with the name and the address may sign in with."""
    if login_field == "email":
        return [{"email": EMAIL}, {"email": EMAIL.upper()}]
    texts = [*([NAME] if has_username else []), *([EMAIL] if login_field == "either" else [])]
    return [{"username": text} for text in texts]


async def registered(client: Client, letters: Letters, activation: bool, **fields: str) -> dict[str, Any]:
    status, user = await post(client, USERS, **fields, password=PASSWORD)
    assert status == 201, user
    if activation:
        for path, refusal in (("/auth/jwt/create/", UNKNOWN), ("/auth/token/login/", UNABLE)):
            login = {"email": EMAIL, "username": fields.get("username", EMAIL), "password": PASSWORD}
            assert await post(client, path, **login) == refusal
        await follow_the_link(client, letters)
    found: dict[str, Any] = user
    return found


async def check_sign_in(client: Client, login: dict[str, str], user: dict[str, Any]) -> None:
    """Sign in in both ways, and see the account."""
    status, tokens = await post(client, "/auth/jwt/create/", **login, password=PASSWORD)
    assert status == 200, tokens
    status, api_token = await post(client, "/auth/token/login/", **login, password=PASSWORD)
    assert status == 200, api_token
    for authorization in (f"JWT {tokens['access']}", f"Token {api_token['auth_token']}"):
        async with client.get(f"{USERS}me/", headers={"Authorization": authorization}) as response:
            assert (response.status, await response.json()) == (200, user)


@allowed
@activations
async def test_an_account_signs_in_with_what_the_site_says(
    client: Client, letters: Letters, login_field: str, username: str, activation: bool
) -> None:
    user = await registered(client, letters, activation, username=NAME, email=EMAIL)
    assert user.get("username") == (None if username == "none" else NAME)
    assert ("username" in user) == (username != "none")
    for login in logins(login_field, username != "none"):
        await check_sign_in(client, login, user)


@allowed
@activations
async def test_an_account_does_not_sign_in_with_anything_else(
    client: Client, letters: Letters, login_field: str, username: str, activation: bool
) -> None:
    await registered(client, letters, activation, username=NAME, email=EMAIL)
    field = "email" if login_field == "email" else "username"
    other = {"username": EMAIL, "email": NAME, "either": f"{NAME}@example.org"}[login_field]
    assert await post(client, "/auth/jwt/create/", **{field: other}, password=PASSWORD) == UNKNOWN
    assert await post(client, "/auth/token/login/", **{field: other}, password=PASSWORD) == UNABLE
    absent = {"email": NAME, "username": EMAIL}
    absent.pop(field)
    status, faults = await post(client, "/auth/jwt/create/", **absent, password=PASSWORD)
    assert (status, faults) == (400, {field: REQUIRED})


@pytest.mark.parametrize(("login_field", "username"), [("email", "optional"), ("either", "optional")])
@activations
async def test_an_optional_username_may_be_left_out(
    client: Client, letters: Letters, login_field: str, activation: bool
) -> None:
    user = await registered(client, letters, activation, email=EMAIL)
    assert user["username"] is None
    for login in logins(login_field, has_username=False):
        await check_sign_in(client, login, user)


@allowed
@activations
async def test_registration_names_what_is_missing(client: Client, login_field: str, username: str) -> None:
    needed = {"username": username == "required", "email": login_field == "email" or username != "required"}
    status, faults = await post(client, USERS, password=PASSWORD)
    assert (status, faults) == (400, {name: REQUIRED for name in ("username", "email") if needed[name]})


@pytest.mark.parametrize(("login_field", "username"), REFUSED)
def test_a_combination_in_which_people_cannot_sign_in_stops_the_start(
    login_field: str, username: str, tmp_path: Path
) -> None:
    site_file = tmp_path / "site.toml"
    site_file.write_text(f'[account]\nusername = "{username}"\nshown_as = "email"\n')
    with pytest.raises(SettingsError, match="LOGIN_FIELD must be email"):
        Settings.read({"SITE_FILE": str(site_file), "LOGIN_FIELD": login_field})


@pytest.mark.parametrize(("login_field", "username", "activation"), [("either", "optional", False)])
async def test_an_account_without_a_username_keeps_an_address(client: Client, letters: Letters) -> None:
    anna = await registered(client, letters, activation=False, email=EMAIL)
    person = await Person(client, EMAIL, anna["id"]).sign_in()
    assert await person.patch(f"{USERS}me/", {"email": ""}) == (400, {"email": BLANK})
    assert (await person.get(f"{USERS}me/"))[1]["email"] == EMAIL


@pytest.mark.parametrize(("login_field", "username", "activation"), [("either", "optional", False)])
async def test_an_account_without_both_is_a_fault_beside_the_others(client: Client) -> None:
    missing = {"password": REQUIRED, "email": REQUIRED}
    for nothing in ({}, {"username": None}, {"username": "", "email": ""}):
        assert await post(client, USERS, **nothing) == (400, missing)
    assert await post(client, USERS, password=PASSWORD, email=" ") == (400, {"email": BLANK})
