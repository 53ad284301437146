"""What operators and explorers ask."""

from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from tests.conftest import Person

SIGNED_IN = [
    "/auth/users/",
    "/auth/users/me/",
    "/auth/users/1/",
    "/api/accounts/all-profiles",
    "/api/accounts/profile/1",
]
NO_HEADER = ["/auth/jwt/create/", "/auth/jwt/refresh/", "/auth/jwt/verify/", "/auth/jwt/blacklist/"]


async def test_the_root_tells_where_the_accounts_are(client: TestClient) -> None:
    for path in ("/auth/", "/auth"):
        response = await client.get(path)
        assert (response.status, await response.json()) == (200, {"users": str(client.make_url("/auth/users/"))})


async def test_health_and_readiness_are_public(client: TestClient) -> None:
    for path in ("/healthz", "/readyz", "/readyz/"):
        response = await client.get(path, headers={"Authorization": "Bearer nonsense"})
        assert (response.status, await response.json()) == (200, {"status": "ok"})


async def test_a_database_without_its_migrations_is_not_ready(client: TestClient, database: Any) -> None:
    database.execute("alter table _yoyo_migration rename to elsewhere")
    try:
        response = await client.get("/readyz")
    finally:
        database.execute("alter table elsewhere rename to _yoyo_migration")
    assert (response.status, response.headers["Retry-After"]) == (503, "2")
    assert "0001.users" in (await response.json())["detail"]


@pytest.mark.parametrize("path", SIGNED_IN)
async def test_an_unknown_method_is_401_to_strangers_and_405_to_the_signed_in(anna: Person, path: str) -> None:
    assert (await anna.client.request("TRACE", path)).status == 401
    assert await anna.ask("TRACE", path) == (405, {"detail": 'Method "TRACE" not allowed.'})


@pytest.mark.parametrize("path", [*NO_HEADER, "/healthz", "/auth/"])
async def test_an_unknown_method_is_405_to_all_where_nobody_need_sign_in(client: TestClient, path: str) -> None:
    response = await client.delete(path)
    assert (response.status, await response.json()) == (405, {"detail": 'Method "DELETE" not allowed.'})


@pytest.mark.parametrize(
    ("path", "allow"),
    [
        ("/auth/", "GET, HEAD, OPTIONS"),
        ("/auth/users/", "GET, POST, HEAD, OPTIONS"),
        ("/api/accounts/all-profiles", "GET, POST, HEAD, OPTIONS"),
        ("/auth/users/me/", "GET, PUT, PATCH, DELETE, HEAD, OPTIONS"),
        ("/auth/users/1/", "GET, PUT, PATCH, DELETE, HEAD, OPTIONS"),
        ("/api/accounts/profile/1", "GET, PUT, PATCH, DELETE, HEAD, OPTIONS"),
        *((path, "POST, OPTIONS") for path in NO_HEADER),
    ],
)
async def test_every_answer_tells_the_methods(anna: Person, path: str, allow: str) -> None:
    for method in ("GET", "OPTIONS", "POST"):
        for headers in ({}, anna.header):
            response = await anna.client.request(method, path, headers=headers)
            assert response.headers["Allow"] == allow


@pytest.mark.parametrize("path", ["/auth/users/me/", "/auth/users/", "/api/accounts/all-profiles"])
async def test_head_is_get_without_its_body(anna: Person, path: str) -> None:
    head = await anna.client.head(path, headers=anna.header)
    get = await anna.client.get(path, headers=anna.header)
    assert (head.status, await head.read()) == (200, b"")
    assert head.headers["Content-Length"] == get.headers["Content-Length"]


async def test_options_describe_the_path(anna: Person) -> None:
    status, told = await anna.ask("OPTIONS", "/auth/users/me/")
    assert (status, list(told)) == (200, ["name", "description", "renders", "parses"])
    assert told["renders"] == ["application/json"]
    assert (await anna.client.options("/auth/users/me/")).status == 401
    assert (await anna.client.options("/auth/jwt/create/")).status == 200


@pytest.mark.parametrize(
    "path", ["/", "/nope", "/auth/jwt/createXYZ", "/auth/jwt/create/any/thing", "/auth/users.json"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_an_unknown_path_is_a_json_404(anna: Person, method: str, path: str) -> None:
    assert await anna.ask(method, path) == (404, {"detail": "Not found."})
    assert (await anna.client.request(method, path)).status == 404
