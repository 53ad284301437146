"""The table of symptoms in docs/migrate-a-front-end.md: what a front end sees, and the setting that ends it."""

from typing import Any

import pytest

from server.settings import site
from server.settings.settings import Settings
from tests.conftest import PASSWORD, Client, Letters, Person, post
from tests.frontends.shapes import ADDRESS, EXAMPLES

USERS = "/auth/users/"
REQUIRED = ["This field is required."]
ACCOUNT = {"username": "anna", "email": ADDRESS, "password": PASSWORD}
NAMES = {"first_name": "Anna", "last_name": "Kovač", "email": ADDRESS, "password": PASSWORD}
ORIGIN = "https://app.example.com"


def site_with(**changed: Any) -> pytest.MarkDecorator:
    """Run a test on a site with these settings."""
    return pytest.mark.parametrize("settings", [changed], indirect=True, ids=[", ".join(changed)])


def served_by(name: str, **changed: Any) -> pytest.MarkDecorator:
    """Run a test on a site with a site file of examples/site."""
    return site_with(site_file=site.read(str(EXAMPLES / f"{name}.toml")), **changed)


class TestAFrontEndWithoutUsernames:
    async def test_cannot_sign_up_without_a_site_file(self, client: Client) -> None:
        assert await post(client, USERS, **NAMES) == (400, {"username": REQUIRED})

    @served_by("email-and-names", login_field="email")
    async def test_signs_up_with_one(self, client: Client) -> None:
        assert (await post(client, USERS, **NAMES))[0] == 201

    @site_with(login_field="email")
    async def test_may_send_the_address_as_the_username(self, client: Client) -> None:
        assert (await post(client, USERS, **ACCOUNT | {"username": ADDRESS}))[0] == 201
        assert (await post(client, "/auth/jwt/create/", email=ADDRESS, password=PASSWORD))[0] == 200


class TestNames:
    async def test_are_dropped_without_a_declaration(self, client: Client) -> None:
        status, user = await post(client, USERS, **ACCOUNT, full_name="Anna K.")
        assert (status, list(user)) == (201, ["email", "username", "id"])

    @served_by("username-and-full-name")
    async def test_are_kept_with_one(self, client: Client) -> None:
        status, user = await post(client, USERS, **ACCOUNT, full_name="Anna K.", agreed_to_terms=True)
        assert (status, user["full_name"]) == (201, "Anna K.")


class TestPasswordsThatAreSentTwice:
    @site_with(user_create_password_retype=True)
    async def test_are_asked_for_by_a_setting(self, client: Client) -> None:
        assert await post(client, USERS, **ACCOUNT) == (400, {"re_password": REQUIRED})

    async def test_are_taken_without_it(self, client: Client) -> None:
        assert (await post(client, USERS, **ACCOUNT, re_password=PASSWORD))[0] == 201


class TestSignIn:
    async def test_by_address_asks_for_a_username(self, client: Client, anna: Person) -> None:
        given = {"email": ADDRESS, "password": PASSWORD}
        assert await post(client, "/auth/jwt/create/", **given) == (400, {"username": REQUIRED})
        unable = {"non_field_errors": ["Unable to log in with provided credentials."]}
        assert await post(client, "/auth/token/login/", **given) == (400, unable)

    @site_with(login_field="email")
    async def test_by_address_is_a_setting(self, client: Client) -> None:
        await post(client, USERS, **ACCOUNT)
        for path in ("/auth/jwt/create", "/auth/token/login"):
            assert (await post(client, path, email=ADDRESS, password=PASSWORD))[0] == 200

    @site_with(send_activation_email=True)
    async def test_waits_for_the_letter(self, client: Client) -> None:
        await post(client, USERS, **ACCOUNT)
        refused = (401, {"detail": "No active account found with the given credentials"})
        assert await post(client, "/auth/jwt/create/", username="anna", password=PASSWORD) == refused

    async def test_with_a_token_of_any_kind_is_ended_by_token_logout(self, client: Client, anna: Person) -> None:
        assert await anna.post("/auth/token/logout/") == (204, None)
        assert (await anna.get(f"{USERS}me/"))[0] == 401
        assert (await post(client, "/auth/jwt/refresh/", refresh=anna.tokens["refresh"]))[0] == 401


class TestPaths:
    async def test_with_a_fixed_prefix_are_not_found(self, client: Client) -> None:
        assert (await post(client, "/api/v1/users/", **ACCOUNT))[0] == 404

    @site_with(auth_path="/api/v1")
    async def test_begin_where_the_site_says(self, client: Client) -> None:
        assert (await post(client, "/api/v1/users/", **ACCOUNT))[0] == 201
        assert (await post(client, "/api/v1/jwt/create", username="anna", password=PASSWORD))[0] == 200
        assert (await post(client, USERS, **ACCOUNT))[0] == 404


class TestAnotherOrigin:
    ODD_HEADERS = (
        "authorization,baggage,cache-control,content-type,sentry-trace,traceparent,x-csrftoken,x-requested-with"
    )

    async def preflight(self, client: Client, origin: str) -> tuple[int, Any]:
        asked = {
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": self.ODD_HEADERS,
        }
        async with client.options(USERS, headers=asked) as response:
            return response.status, response.headers

    async def test_is_refused_unless_it_is_listed(self, client: Client) -> None:
        _, headers = await self.preflight(client, ORIGIN)
        assert "Access-Control-Allow-Origin" not in headers

    @pytest.mark.parametrize("origin", [ORIGIN, "capacitor://localhost", "ionic://localhost"])
    @site_with(cors_origins=(ORIGIN, "capacitor://localhost", "ionic://localhost"))
    async def test_sends_credentials_and_any_header(self, client: Client, origin: str) -> None:
        status, headers = await self.preflight(client, origin)
        assert status in (200, 204)
        assert headers["Access-Control-Allow-Origin"] == origin
        assert headers["Access-Control-Allow-Credentials"] == "true"
        assert {*headers["Access-Control-Allow-Headers"].split(",")} >= {*self.ODD_HEADERS.split(",")}

    @site_with(cors_origins=("*",))
    async def test_sends_no_credentials_to_a_site_for_all(self, client: Client) -> None:
        _, headers = await self.preflight(client, ORIGIN)
        assert headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in headers


class TestLinksOfLetters:
    @site_with(send_activation_email=True)
    async def test_lead_to_a_page_of_this_service(self, client: Client, letters: Letters, settings: Settings) -> None:
        await post(client, USERS, **ACCOUNT)
        (letter,) = await letters()
        assert letter.link.startswith(f"{settings.site_url}/activate/")

    @site_with(send_activation_email=True, activation_url=f"{ORIGIN}/#/activate/{{uid}}/{{token}}")
    async def test_lead_to_the_front_end_where_the_site_says(self, client: Client, letters: Letters) -> None:
        await post(client, USERS, **ACCOUNT)
        (letter,) = await letters()
        assert letter.link.startswith(f"{ORIGIN}/#/activate/")
        assert await post(client, f"{USERS}activation/", **letter.uid_and_token) == (204, None)

    @site_with(send_activation_email=True, public_url="https://accounts.example.com")
    async def test_begin_with_the_public_address(self, client: Client, letters: Letters) -> None:
        await post(client, USERS, **ACCOUNT)
        (letter,) = await letters()
        assert letter.link.startswith("https://accounts.example.com/activate/")


class TestProfiles:
    @served_by("email-and-names", login_field="email")
    async def test_show_the_member_that_the_site_names(self, client: Client) -> None:
        await post(client, USERS, **NAMES)
        _, tokens = await post(client, "/auth/jwt/create/", email=ADDRESS, password=PASSWORD)
        headers = {"Authorization": f"JWT {tokens['access']}"}
        async with client.get("/api/accounts/all-profiles", headers=headers) as response:
            assert [each["user"] for each in await response.json()] == ["Anna"]
