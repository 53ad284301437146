"""Where the paths of the contract are: AUTH_PATH, ACCOUNTS_PATH, and below a path of a proxy (contract 11.33)."""

import re
from dataclasses import replace
from typing import Any

import pytest

from server.settings.faults import SettingsError
from server.settings.settings import Settings
from server.web.documentation.endpoints import SWAGGER_FILES, document
from tests.conftest import PASSWORD, Client, Letters, post

PLACES = [
    ("/api/auth", "/api/accounts"),
    ("/api/v1/auth", "/api/v1/accounts"),
    ("/api/v1", "/api/v1"),
    ("/api", "/api/accounts"),
    ("/people/sign-in", "/people"),
]


@pytest.fixture
def settings(settings: Settings, places: tuple[str, str]) -> Settings:
    auth_path, accounts_path = places
    return replace(settings, auth_path=auth_path, accounts_path=accounts_path, send_confirmation_email=True)


async def get(client: Client, path: str, access: str = "") -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {access}"} if access else {}
    async with client.get(path, headers=headers, allow_redirects=False) as response:
        return response.status, await response.json()


@pytest.mark.parametrize("places", PLACES, ids=lambda places: places[0])
async def test_both_groups_are_where_the_settings_say(
    client: Client, places: tuple[str, str], letters: Letters
) -> None:
    auth, accounts = places
    given = {"username": "anna", "password": PASSWORD, "email": "anna@example.com"}
    assert (await post(client, f"{auth}/users/", **given))[0] == 201
    assert [letter.to for letter in await letters()] == ["anna@example.com"]
    status, tokens = await post(client, f"{auth}/jwt/create", username="anna", password=PASSWORD)
    assert status == 200
    assert (await get(client, f"{auth}/users/me/", tokens["access"]))[1]["username"] == "anna"
    status, profiles = await get(client, f"{accounts}/all-profiles", tokens["access"])
    assert (status, profiles[0]["user"]) == (200, "anna")
    assert (await get(client, f"{accounts}/profile/{profiles[0]['id']}", tokens["access"]))[0] == 200
    status, root = await get(client, f"{auth}/")
    assert (status, root["users"].endswith(f"{auth}/users/")) == (200, True)
    for path in ("/auth/users/me/", "/api/accounts/profile/1"):
        if not path.startswith((f"{auth}/", f"{accounts}/")):
            assert (await get(client, path, tokens["access"]))[0] == 404


@pytest.mark.parametrize("places", PLACES, ids=lambda places: places[0])
async def test_the_document_and_allow_follow(client: Client, places: tuple[str, str]) -> None:
    auth, accounts = places
    described = document(client.app)
    assert f"{auth}/users/me/" in described["paths"]
    assert f"{accounts}/profile/{{id}}" in described["paths"]
    assert f"`POST {auth}/users/`" in described["info"]["description"]
    async with client.put(f"{auth}/users/") as response:
        assert response.headers["Allow"] == "GET, POST, HEAD, OPTIONS"


WRONG = ["auth", "/", "/a b", "/docs", "/docs/api", "/healthz", "/a//b", "/{x}", "/a?b", "/.", "/a/../b", "/a/.."]


@pytest.mark.parametrize("wrong", [*WRONG, "/.well-known/auth"])
@pytest.mark.parametrize("name", ["AUTH_PATH", "ACCOUNTS_PATH"])
def test_a_place_is_a_path_of_its_own(name: str, wrong: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is a path such as /api/v1/auth"):
        Settings.read({name: wrong})


@pytest.mark.parametrize("places", [("/auth", "/api/accounts")])
async def test_a_place_is_none_that_another_part_of_the_service_has(client: Client, places: tuple[str, str]) -> None:
    own = {
        path.rstrip("/").partition("/{")[0]
        for path in (resource.canonical for resource in client.app.router.resources())
        if not path.startswith(tuple(f"{place}/" for place in places)) and path.strip("/")
    } - set(places)
    assert {"/docs", "/healthz", "/api/site", "/api/roles", "/activate", "/pages/style.css"} <= own
    for path in own:
        with pytest.raises(SettingsError, match="AUTH_PATH is a path such as"):
            Settings.read({"AUTH_PATH": f"{path}/"})


@pytest.mark.parametrize(
    ("auth", "accounts", "fault"),
    [
        ("/a", "/a/users", "ACCOUNTS_PATH is /a/users, and /a/users is a path of AUTH_PATH"),
        ("/a", "/a/jwt/x", "ACCOUNTS_PATH is /a/jwt/x, and /a/jwt is a path of AUTH_PATH"),
        ("/auth", "/auth/token", "ACCOUNTS_PATH is /auth/token, and /auth/token is a path of AUTH_PATH"),
        ("/a/profile", "/a", "AUTH_PATH is /a/profile, and /a/profile is a path of ACCOUNTS_PATH"),
        ("/a/all-profiles/x", "/a", "AUTH_PATH is /a/all-profiles/x, and /a/all-profiles is a path of ACCOUNTS_PATH"),
    ],
)
def test_a_place_among_the_paths_of_the_other_stops_the_start(auth: str, accounts: str, fault: str) -> None:
    with pytest.raises(SettingsError, match=f"^{fault}: choose a place outside of it$"):
        Settings.read({"AUTH_PATH": auth, "ACCOUNTS_PATH": accounts})


@pytest.mark.parametrize(("auth", "accounts"), [("/api", "/api"), ("/api/v1", "/api/v1/accounts"), ("/a/b", "/a")])
def test_one_place_may_be_the_other_or_inside_it(auth: str, accounts: str) -> None:
    settings = Settings.read({"AUTH_PATH": auth, "ACCOUNTS_PATH": accounts})
    assert (settings.auth_path, settings.accounts_path) == (auth, accounts)


def test_the_last_slash_of_a_place_does_not_count() -> None:
    assert Settings.read({"AUTH_PATH": "/api/auth/"}).auth_path == "/api/auth"


class TestBelowAPathOfAProxy:
    """PUBLIC_URL=https://host.example/accounts; the proxy strips /accounts."""

    @pytest.fixture
    def places(self) -> tuple[str, str]:
        return ("/auth", "/api/accounts")

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, public_url="https://host.example/accounts")

    async def test_a_link_to_the_next_page_has_the_path(self, client: Client) -> None:
        for name in ("anna", "boris"):
            await post(client, "/auth/users/", username=name, password=PASSWORD)
        _, tokens = await post(client, "/auth/jwt/create/", username="anna", password=PASSWORD)
        headers = {"Authorization": f"Bearer {tokens['access']}"}
        async with client.get("/api/accounts/all-profiles?limit=1", headers=headers) as response:
            link = response.headers["Link"]
        assert re.fullmatch(r'</accounts/api/accounts/all-profiles\?limit=1&after=\d+>; rel="next"', link)

    async def test_swagger_ui_and_the_document_name_the_path(self, client: Client) -> None:
        assert document(client.app)["servers"] == [{"url": "/accounts"}]
        async with client.get("/docs") as response:
            page = await response.text()
        assert set(re.findall(r'(?:href|src)="(.*?)"', page)) == {
            *(f"/accounts/docs/{name}" for name in SWAGGER_FILES),
            "/accounts/openapi.json",
        }
        async with client.get("/", allow_redirects=False) as response:
            assert response.headers["Location"] == "/accounts/docs"
