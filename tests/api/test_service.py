"""The root of the API, health checks, OPTIONS, Allow, Accept and unknown paths."""

import pytest

from tests.conftest import PASSWORD, Client, Person, post
from tests.rows import Connection

SIGNED_IN = [
    "/auth/users/",
    "/auth/users/me/",
    "/auth/users/1/",
    "/api/accounts/all-profiles",
    "/api/accounts/profile/1",
]
NO_HEADER = ["/auth/jwt/create/", "/auth/jwt/refresh/", "/auth/jwt/verify/", "/auth/jwt/blacklist/"]


async def test_the_root_links_to_the_accounts(client: Client) -> None:
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
async def test_the_link_of_the_root_has_the_host_of_the_request(client: Client, host: str, users: str) -> None:
    response = await client.get("/auth/", headers={"Host": host})
    assert (response.status, await response.json()) == (200, {"users": users})


@pytest.mark.parametrize("settings", [{"public_url": "https://accounts.example/sub"}], indirect=True)
async def test_the_link_of_the_root_starts_with_public_url_if_it_is_set(client: Client) -> None:
    response = await client.get("/auth/", headers={"Host": "evil.example"})
    assert (response.status, await response.json()) == (200, {"users": "https://accounts.example/sub/auth/users/"})


async def test_health_and_readiness_are_public(client: Client) -> None:
    for path in ("/healthz", "/readyz", "/readyz/"):
        response = await client.get(path, headers={"Authorization": "Bearer nonsense"})
        assert (response.status, await response.json()) == (200, {"status": "ok"})


async def test_a_database_without_its_migrations_is_not_ready(client: Client, database: Connection) -> None:
    database.execute("alter table _yoyo_migration rename to renamed")
    try:
        response = await client.get("/readyz")
    finally:
        database.execute("alter table renamed rename to _yoyo_migration")
    assert (response.status, response.headers["Retry-After"]) == (503, "2")
    assert "0001.users" in (await response.json())["detail"]


async def test_a_database_that_can_only_be_read_is_not_ready(client: Client, database: Connection) -> None:
    def end_connections_and_set(value: str) -> None:
        database.execute(f"alter database {database.info.dbname} set default_transaction_read_only = {value}")
        database.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
            " where application_name = 'frontdesk' and datname = current_database()"
        )

    end_connections_and_set("on")
    try:
        responses = [await client.get("/readyz") for _ in range(2)]
    finally:
        database.execute(f"alter database {database.info.dbname} reset default_transaction_read_only")
    assert [response.status for response in responses] == [503, 503]
    assert await responses[1].json() == {"detail": "The database can only be read."}
    assert (await client.get("/readyz")).status == 200  # over a new connection


@pytest.mark.parametrize(
    ("rename", "back"),
    [
        ("table users rename to renamed", "table renamed rename to users"),
        ("table users rename username to renamed", "table users rename renamed to username"),
        ("function username_key rename to renamed", "function renamed rename to username_key"),
    ],
)
async def test_a_request_that_needs_a_missing_migration_is_503_without_a_traceback(
    anna: Person, database: Connection, caplog: pytest.LogCaptureFixture, rename: str, back: str
) -> None:
    given = {"username": "boris", "password": PASSWORD}
    database.execute(f"alter {rename}")
    try:
        responses = [await anna.post(path, given) for path in ("/auth/users/", "/auth/jwt/create/")]
        response = await anna.client.get("/auth/users/me/", headers=anna.header)
    finally:
        database.execute(f"alter {back}")
    responses.append((response.status, await response.json()))
    assert 500 not in [status for status, _ in responses]
    assert (503, {"detail": "The service is temporarily unavailable."}) in responses
    assert [record for record in caplog.records if record.exc_info] == []


@pytest.mark.parametrize("path", SIGNED_IN)
async def test_an_unknown_method_is_401_without_a_sign_in_and_405_with_one(anna: Person, path: str) -> None:
    assert (await anna.client.request("TRACE", path)).status == 401
    assert await anna.ask("TRACE", path) == (405, {"detail": 'Method "TRACE" not allowed.'})


@pytest.mark.parametrize("path", [*NO_HEADER, "/healthz", "/auth/"])
async def test_an_unknown_method_is_405_on_paths_that_need_no_sign_in(client: Client, path: str) -> None:
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
async def test_every_response_has_the_allow_header(anna: Person, path: str, allow: str) -> None:
    for method in ("GET", "OPTIONS", "POST"):
        for headers in ({}, anna.header):
            response = await anna.client.request(method, path, headers=headers)
            assert response.headers["Allow"] == allow


@pytest.mark.parametrize("path", [*SIGNED_IN, *NO_HEADER, "/auth/", "/healthz", "/readyz"])
async def test_every_path_answers_the_same_with_and_without_its_trailing_slash(anna: Person, path: str) -> None:
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
async def test_head_is_get_without_the_body(anna: Person, path: str) -> None:
    head = await anna.client.head(path, headers=anna.header)
    get = await anna.client.get(path, headers=anna.header)
    assert (head.status, await head.read()) == (200, b"")
    assert head.headers["Content-Length"] == get.headers["Content-Length"]


@pytest.mark.parametrize("path", [*SIGNED_IN, *NO_HEADER])
async def test_options_describe_the_path(anna: Person, path: str) -> None:
    status, described = await anna.ask("OPTIONS", path)
    assert (status, list(described)) == (200, ["name", "description", "renders", "parses"])
    assert described["renders"] == ["application/json"]
    assert described["parses"] == ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"]
    assert (await anna.client.options(path)).status == (401 if path in SIGNED_IN else 200)


async def test_a_refused_head_has_no_body(client: Client) -> None:
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


async def test_registration_is_open_with_and_without_a_sign_in(anna: Person) -> None:
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


async def test_several_accept_headers_are_read_as_one_list(client: Client) -> None:
    headers = [("Accept", "text/html"), ("Accept", "application/json")]
    assert (await client.get("/auth/", headers=headers)).status == 200
