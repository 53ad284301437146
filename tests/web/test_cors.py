"""CORS: which origins may call, in preflights and in responses (contract 11.21, 11.32, 12)."""

from dataclasses import replace

import pytest

from server.settings.settings import Settings
from tests.conftest import Client, Person

SECURITY_HEADERS = {
    "Server": "Frontdesk",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
PREFLIGHT = {
    "Origin": "https://app.example",
    "Access-Control-Request-Method": "PATCH",
    "Access-Control-Request-Headers": "authorization,content-type",
}


async def test_without_the_setting_no_origin_is_allowed(client: Client) -> None:
    response = await client.options("/auth/users/", headers=PREFLIGHT)
    assert response.status == 401
    assert not [name for name in response.headers if name.startswith("Access-Control")]


class TestListedOrigin:
    """CORS_ORIGINS=https://app.example"""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, cors_origins=("https://app.example",))

    async def test_a_preflight_of_the_listed_origin_is_answered(self, client: Client) -> None:
        for path in ("/auth/users/", "/auth/users/me/", "/auth/jwt/create/", "/api/accounts/profile/1"):
            response = await client.options(path, headers=PREFLIGHT)
            assert response.status == 204
            assert response.headers["Access-Control-Allow-Origin"] == "https://app.example"
            assert "PATCH" in response.headers["Access-Control-Allow-Methods"]
            assert response.headers["Access-Control-Allow-Headers"] == "authorization,content-type"
            assert response.headers["Access-Control-Allow-Credentials"] == "true"
            assert {name: response.headers.get(name) for name in SECURITY_HEADERS} == SECURITY_HEADERS
            assert "X-Request-ID" in response.headers

    async def test_responses_and_errors_name_the_origin(self, anna: Person) -> None:
        for path, status in (("/auth/users/me/", 200), ("/nope", 404)):
            headers = anna.header | {"Origin": "https://app.example"}
            response = await anna.client.get(path, headers=headers)
            assert (response.status, response.headers["Access-Control-Allow-Origin"]) == (status, "https://app.example")
            assert response.headers["Vary"] == "Accept, Origin"

    @pytest.mark.parametrize("origin", ["https://APP.example", "HTTPS://app.example:443"])
    async def test_an_origin_is_compared_in_its_canonical_form(self, client: Client, origin: str) -> None:
        response = await client.get("/healthz", headers={"Origin": origin})
        assert response.headers["Access-Control-Allow-Origin"] == origin

    @pytest.mark.parametrize(
        "names", ["x-csrftoken, x-requested-with", "sentry-trace,baggage,traceparent", "cache-control", "if-none-match"]
    )
    async def test_a_preflight_allows_the_headers_that_it_names(self, client: Client, names: str) -> None:
        headers = PREFLIGHT | {"Access-Control-Request-Headers": names}
        response = await client.options("/auth/users/", headers=headers)
        assert response.headers["Access-Control-Allow-Headers"] == names
        assert "Access-Control-Request-Headers" in response.headers["Vary"]

    @pytest.mark.parametrize("names", ["", "a b", "a,,b", "x" * 2001, "<script>"])
    async def test_what_is_no_list_of_names_is_not_repeated(self, client: Client, names: str) -> None:
        response = await client.options("/auth/users/", headers=PREFLIGHT | {"Access-Control-Request-Headers": names})
        assert response.headers["Access-Control-Allow-Headers"].startswith("Accept, Authorization")

    @pytest.mark.parametrize(
        "origin", ["https://evil.example", "http://app.example", "https://app.example.evil", "null"]
    )
    async def test_another_origin_is_not_allowed(self, client: Client, origin: str) -> None:
        for response in (
            await client.options("/auth/users/", headers=PREFLIGHT | {"Origin": origin}),
            await client.get("/healthz", headers={"Origin": origin}),
        ):
            assert "Access-Control-Allow-Origin" not in response.headers
            assert "Origin" in response.headers["Vary"]


class TestEveryOrigin:
    """CORS_ORIGINS=*"""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, cors_origins=("*",))

    async def test_every_origin_is_allowed_without_being_named(self, client: Client) -> None:
        response = await client.get("/healthz", headers={"Origin": "https://anything.example"})
        assert response.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in response.headers


class TestOriginOfAnotherScheme:
    """CORS_ORIGINS of the shells of mobile applications"""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return replace(settings, cors_origins=("capacitor://localhost", "ionic://localhost"))

    @pytest.mark.parametrize("origin", ["capacitor://localhost", "ionic://localhost"])
    async def test_it_is_allowed_with_credentials(self, client: Client, origin: str) -> None:
        response = await client.get("/healthz", headers={"Origin": origin})
        assert response.headers["Access-Control-Allow-Origin"] == origin
        assert response.headers["Access-Control-Allow-Credentials"] == "true"
