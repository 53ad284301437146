"""What every response has, what a failure tells the client and the log, and the access log (contract 1.4)."""

import logging
import re
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from server.app import create_app
from server.settings.settings import Settings
from server.web.app_keys import DB
from server.web.endpoints import Access, Endpoints, install
from tests.conftest import Client, FrontdeskServer, Person
from tests.logs import lines, written

HEADERS = {
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Vary": "Accept",
    "Content-Type": "application/json",
    "Server": "Frontdesk",
}


@pytest.mark.parametrize(
    ("method", "path", "accept", "status"),
    [
        ("GET", "/auth/users/me/", "*/*", 200),
        ("POST", "/auth/users/", "*/*", 400),
        ("GET", "/auth/users/me/", "text/html", 406),
        ("GET", "/nope", "*/*", 404),
        ("PUT", "/auth/jwt/create/", "*/*", 405),
    ],
)
async def test_every_response_has_the_security_headers(
    anna: Person, method: str, path: str, accept: str, status: int
) -> None:
    headers = anna.header | {"Accept": accept, "X-Request-ID": "number-one"}
    response = await anna.client.request(method, path, headers=headers)
    assert {name: response.headers.get(name) for name in HEADERS} == HEADERS
    assert (response.status, response.headers["X-Request-ID"]) == (status, "number-one")
    assert "Set-Cookie" not in response.headers


async def test_a_usable_request_id_is_kept_and_any_other_is_replaced(client: Client) -> None:
    async def id_for(given: str | None) -> str:
        response = await client.get("/healthz", headers={"X-Request-ID": given} if given is not None else {})
        return response.headers["X-Request-ID"]

    assert await id_for("3f2a-b.c:d_E") == "3f2a-b.c:d_E"
    for unusable in (None, "", "a b", "x" * 65, "<script>", "é"):
        assert await id_for(unusable) not in ("", unusable)
    assert await id_for(None) != await id_for(None)


SECRETS = ("anna@example.com", "the hash of a password")


failing = Endpoints("failing")


@failing.get("/fails/in-the-handler", access=Access.ANONYMOUS)
async def fail_in_the_handler(request: web.Request) -> None:
    raise RuntimeError("the reason of the failure")


@failing.get("/fails/in-the-database", access=Access.ANONYMOUS)
async def fail_in_the_database(request: web.Request) -> None:
    # SECRETS are not literals here: the traceback in the log shows this line.
    await request.app[DB].row("users/register", "x" * 151, *SECRETS, False, None, False, "en", None)


@failing.get("/fails/in-a-connection", access=Access.ANONYMOUS)
async def fail_in_a_connection(request: web.Request) -> None:
    raise ConnectionResetError("the connection of something else")


@pytest.mark.parametrize(
    ("path", "logged"),
    [
        ("/fails/in-a-connection", "the connection of something else"),
        ("/fails/in-the-handler", "the reason of the failure"),
        ("/fails/in-the-database", "users_username_length"),
    ],
)
async def test_an_unforeseen_failure_is_in_the_log_and_not_in_the_response(
    settings: Settings, database: Any, caplog: pytest.LogCaptureFixture, path: str, logged: str
) -> None:
    app = create_app(settings)
    install(app, [failing])
    async with TestClient(FrontdeskServer(app)) as client:
        response = await client.get(path, headers={"X-Request-ID": "number-one"})
        assert (response.status, await response.json()) == (500, {"detail": "Internal server error."})
    assert {name: response.headers.get(name) for name in HEADERS} == HEADERS
    assert response.headers["X-Request-ID"] == "number-one"
    assert logged in caplog.text
    assert not re.search("|".join(SECRETS), written(caplog))


async def test_each_request_has_a_log_line_if_the_setting_is_on(
    settings: Settings, database: Any, caplog: pytest.LogCaptureFixture
) -> None:
    for is_on in (True, False):
        caplog.clear()
        caplog.set_level(logging.INFO, "server")
        async with TestClient(FrontdeskServer(create_app(replace(settings, access_log=is_on)))) as client:
            await client.get("/auth/users/7/?secret=x")
        found = lines(caplog, "server.web.middleware")
        assert len(found) == is_on
        for line in found:
            assert line.pop("ms") >= 0
            del line["time"]
            assert line == {
                "level": "INFO",
                "logger": "server.web.middleware",
                "message": "request",
                "method": "GET",
                "route": "/auth/users/{id}/",
                "path": "/auth/users/7/",
                "status": 401,
                "client": "127.0.0.1",
            }


@pytest.mark.parametrize("settings", [{"access_log": True}], indirect=True)
async def test_the_line_of_a_request_names_the_account_and_the_client_behind_a_proxy(
    anna: Person, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "server"):
        await anna.get("/auth/users/me/")
    (line,) = lines(caplog, "server.web.middleware")
    assert (line["account"], line["status"]) == (anna.id, 200)
