"""What operators and explorers ask."""

from typing import Any

import pytest

from tests.conftest import PASSWORD, Client, Person, post

SIGNED_IN = [
    "/auth/users/",
    "/auth/users/me/",
    "/auth/users/1/",
    "/api/accounts/all-profiles",
    "/api/accounts/profile/1",
]
NO_HEADER = ["/auth/jwt/create/", "/auth/jwt/refresh/", "/auth/jwt/verify/", "/auth/jwt/blacklist/"]


async def test_the_root_tells_where_the_accounts_are(client: Client) -> None:
    for path in ("/auth/", "/auth"):
        response = await client.get(path)
        assert (response.status, await response.json()) == (200, {"users": str(client.make_url("/auth/users/"))})


@pytest.mark.parametrize(
    ("host", "users"),
    [
        ("accounts.example", "http://accounts.example/auth/users/"),
        ("accounts.example:8443", "http://accounts.example:8443/auth/users/"),
        ("[::1]:80", "http://[::1]:80/auth/users/"),
    ],
)
async def test_the_root_names_the_host_that_was_asked(client: Client, host: str, users: str) -> None:
    response = await client.get("/auth/", headers={"Host": host})
    assert (response.status, await response.json()) == (200, {"users": users})


@pytest.mark.parametrize("settings", [{"public_url": "https://accounts.example/sub"}], indirect=True)
async def test_the_root_names_the_site_where_the_settings_do(client: Client) -> None:
    response = await client.get("/auth/", headers={"Host": "evil.example"})
    assert (response.status, await response.json()) == (200, {"users": "https://accounts.example/sub/auth/users/"})


async def test_health_and_readiness_are_public(client: Client) -> None:
    for path in ("/healthz", "/readyz", "/readyz/"):
        response = await client.get(path, headers={"Authorization": "Bearer nonsense"})
        assert (response.status, await response.json()) == (200, {"status": "ok"})


async def test_a_database_without_its_migrations_is_not_ready(client: Client, database: Any) -> None:
    database.execute("alter table _yoyo_migration rename to elsewhere")
    try:
        response = await client.get("/readyz")
    finally:
        database.execute("alter table elsewhere rename to _yoyo_migration")
    assert (response.status, response.headers["Retry-After"]) == (503, "2")
    assert "0001.users" in (await response.json())["detail"]


@pytest.mark.parametrize(
    ("rename", "back"),
    [
        ("table users rename to elsewhere", "table elsewhere rename to users"),
        ("table users rename username to elsewhere", "table users rename elsewhere to username"),
        ("function username_key rename to elsewhere", "function elsewhere rename to username_key"),
    ],
)
async def test_what_a_database_without_its_migrations_cannot_do_is_503_and_no_traceback(
    anna: Person, database: Any, caplog: pytest.LogCaptureFixture, rename: str, back: str
) -> None:
    given = {"username": "boris", "password": PASSWORD}
    database.execute(f"alter {rename}")
    try:
        answers = [await anna.post(path, given) for path in ("/auth/users/", "/auth/jwt/create/")]
        response = await anna.client.get("/auth/users/me/", headers=anna.header)
    finally:
        database.execute(f"alter {back}")
    answers.append((response.status, await response.json()))
    assert 500 not in [status for status, _ in answers]
    assert (503, {"detail": "The service is temporarily unavailable."}) in answers
    assert [record for record in caplog.records if record.exc_info] == []


@pytest.mark.parametrize("path", SIGNED_IN)
async def test_an_unknown_method_is_401_to_strangers_and_405_to_the_signed_in(anna: Person, path: str) -> None:
    assert (await anna.client.request("TRACE", path)).status == 401
    assert await anna.ask("TRACE", path) == (405, {"detail": 'Method "TRACE" not allowed.'})


@pytest.mark.parametrize("path", [*NO_HEADER, "/healthz", "/auth/"])
async def test_an_unknown_method_is_405_to_all_where_nobody_need_sign_in(client: Client, path: str) -> None:
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


@pytest.mark.parametrize("path", [*SIGNED_IN, *NO_HEADER, "/auth/", "/healthz", "/readyz"])
async def test_every_path_answers_the_same_with_and_without_its_last_slash(anna: Person, path: str) -> None:
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        for headers in ({}, anna.header):
            seen = []
            for spelling in (path.rstrip("/"), path.rstrip("/") + "/"):
                async with anna.client.request(
                    method, spelling, headers=headers, data=b"{broken", allow_redirects=False
                ) as response:
                    seen.append((response.status, response.headers["Allow"], await response.text()))
            assert seen[0] == seen[1], (method, path)


@pytest.mark.parametrize(
    "path", ["/auth/", "/healthz", "/auth/users/me/", "/auth/users/", "/api/accounts/all-profiles"]
)
async def test_head_is_get_without_its_body(anna: Person, path: str) -> None:
    head = await anna.client.head(path, headers=anna.header)
    get = await anna.client.get(path, headers=anna.header)
    assert (head.status, await head.read()) == (200, b"")
    assert head.headers["Content-Length"] == get.headers["Content-Length"]


@pytest.mark.parametrize("path", [*SIGNED_IN, *NO_HEADER])
async def test_options_describe_the_path(anna: Person, path: str) -> None:
    status, told = await anna.ask("OPTIONS", path)
    assert (status, list(told)) == (200, ["name", "description", "renders", "parses"])
    assert told["renders"] == ["application/json"]
    assert told["parses"] == ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"]
    assert (await anna.client.options(path)).status == (401 if path in SIGNED_IN else 200)


async def test_head_of_what_is_refused_has_no_body_either(client: Client) -> None:
    for path, status in (("/auth/users/", 401), ("/nope", 404), ("/auth/jwt/create/", 405)):
        response = await client.head(path)
        assert (response.status, await response.read()) == (status, b"")


@pytest.mark.parametrize(
    "path",
    [
        *("/nope", "/auth//users/", "/auth/users//", "/auth/jwt/", "/auth/jwt/createXYZ", "/auth/jwt/create/any"),
        *("/auth/users.json", "/auth/users/me.json", "/auth/users/1.json", "/AUTH/users/", "/auth/users/me/x"),
        *("/api/accounts/profile/", "/api/accounts/profile/x", "/api/accounts/profile/-1", "/api/accounts/profile/²"),
        *("/api/accounts/profile/%00", "/api/accounts/profile/%ff", "/api/accounts/profile/1%2F"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_an_unknown_path_is_a_json_404(anna: Person, method: str, path: str) -> None:
    assert await anna.ask(method, path) == (404, {"detail": "Not found."})
    assert (await anna.client.request(method, path)).status == 404


async def test_a_204_has_no_content_type(anna: Person) -> None:
    response = await anna.client.delete(f"/api/accounts/profile/{(await anna.profile())['id']}", headers=anna.header)
    assert (response.status, await response.read(), response.headers.get("Content-Type")) == (204, b"", None)


async def test_registration_by_somebody_signed_in_is_let_in(anna: Person) -> None:
    assert (await post(anna.client, "/auth/users/", username="boris", password="a phrase of words"))[0] == 201
    given = {"username": "clara", "password": "a phrase of words"}
    assert (await anna.post("/auth/users/", given))[0] == 201


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("*/*", 401),
        ("application/*", 401),
        ("application/json; indent=4", 401),
        ("text/html,application/xhtml+xml,*/*;q=0.8", 401),
        ("APPLICATION/JSON", 401),
        ("text/html", 406),
        ("application/json;q=0, */*", 406),
        ("*/*;q=0.000", 406),
        ("application/xml, text/*", 406),
        (";;,,", 406),
    ],
)
async def test_an_accept_header_without_json_is_406(client: Client, accept: str, status: int) -> None:
    response = await client.get("/auth/users/me/", headers={"Accept": accept})
    assert response.status == status
    if status == 406:
        assert await response.json() == {"detail": "Could not satisfy the request Accept header."}


async def test_accept_headers_are_one_list(client: Client) -> None:
    headers = [("Accept", "text/html"), ("Accept", "application/json")]
    assert (await client.get("/auth/", headers=headers)).status == 200
