"""A front end of another origin in a browser: each registration body, with axios and with fetch."""

import http.server
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jwt
import pytest
from playwright.sync_api import Response, expect

from tests.browser.npm import AXIOS
from tests.browser.visitors import Site, Visitor, serve
from tests.conftest import KEY, PASSWORD
from tests.frontends.shapes import EXAMPLES, SHAPES, Shape

NEW_PASSWORD = "staple gun theory"
FOLDER = Path(__file__).parent / "front_end"
CLIENTS = [pytest.param("axios", "desktop", id="axios"), pytest.param("fetch", "phone", id="fetch")]


class Files(http.server.SimpleHTTPRequestHandler):
    """The files of the front end, `config.js` of one site, and axios."""

    def __init__(self, *arguments: Any, config: dict[str, Any], **named: Any) -> None:
        self.config = config
        super().__init__(*arguments, directory=str(FOLDER), **named)

    def do_GET(self) -> None:
        scripts = {
            "/config.js": f"const CONFIG = {json.dumps(self.config)}".encode(),
            "/axios.min.js": AXIOS.path.read_bytes(),
        }
        script = scripts.get(self.path)
        if script is None:
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/javascript")
        self.send_header("Content-Length", str(len(script)))
        self.end_headers()
        self.wfile.write(script)

    def log_message(self, *arguments: Any) -> None:
        """Keep the requests out of the output of the tests."""


@contextmanager
def serve_files(config: dict[str, Any]) -> Iterator[str]:
    """Serve the front end on an origin of its own, `localhost`; give its URL. `config` may be filled later."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Files, config=config)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()


@dataclass
class FrontEnd:
    """The front end of one registration body, and the service that serves it."""

    site: Site
    url: str
    shape: Shape

    def person(self, name: str) -> dict[str, Any]:
        """What a person called `name` types into the form of registration."""
        own = {"username": name, "email": f"{name}@example.com"}
        return {field: own.get(field, value) for field, value in self.shape.fields.items()}


@pytest.fixture(scope="module")
def front_end(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FrontEnd]:
    """The front end of the shape `request.param`; its paths begin with /api/v1 where the shape has a username."""
    shape = SHAPES[request.param]
    places = {"AUTH_PATH": "/api/v1", "ACCOUNTS_PATH": "/api/v1/accounts"} if "username" in shape.fields else {}
    config: dict[str, Any] = {
        "fields": list(shape.fields),
        "login": "email" if shape.login_field == "email" else "username",
        "greets": shape.greets_with,
    }
    with serve_files(config) as url:
        settings = {
            "SIGNING_KEY": KEY,
            "SITE_FILE": str(EXAMPLES / f"{shape.site_file}.toml") if shape.site_file else "",
            "LOGIN_FIELD": shape.login_field,
            "CORS_ORIGINS": url,
            "ACTIVATION_URL": f"{url}/#/activate/{{uid}}/{{token}}",
            "PASSWORD_RESET_CONFIRM_URL": f"{url}/#/reset/{{uid}}/{{token}}",
        }
        with serve(tmp_path_factory.mktemp("front-end"), **settings, **places) as site:
            config["api"] = site.url + places.get("AUTH_PATH", "/auth")
            config["accounts"] = site.url + places.get("ACCOUNTS_PATH", "/api/accounts")
            site.other_origins.append(url)
            yield FrontEnd(site, url, shape)


def fill(visitor: Visitor, values: dict[str, Any]) -> None:
    """Type `values` into the form, as people do."""
    for name, value in values.items():
        field = visitor.page.locator(f"[name={name}]")
        field.check() if value is True else field.fill(value)


def sign_in(visitor: Visitor, front_end: FrontEnd, name: str, password: str) -> None:
    """Sign in and see the greeting with the name."""
    login = "email" if front_end.shape.login_field == "email" else "username"
    person = front_end.person(name)
    fill(visitor, {login: person[login], "password": password})
    visitor.press("Sign in")
    greeted = person[front_end.shape.greets_with]
    visitor.sees(f"Welcome, {greeted}")
    expect(visitor.page.get_by_text(re.compile(rf"Members: .*{re.escape(greeted)}"))).to_be_visible()


def expire(visitor: Visitor) -> None:
    """Replace the access token that the front end keeps with an expired one of the same session."""
    claims = jwt.decode(visitor.page.evaluate("localStorage.access"), KEY, ["HS256"])
    expired = jwt.encode(claims | {"exp": int(time.time()) - 1}, KEY, "HS256")
    visitor.page.evaluate("token => { localStorage.access = token }", expired)


def statuses_of_loading_again(visitor: Visitor) -> list[int]:
    """Press the button that sends four GET requests at once; return the sorted statuses of all."""
    statuses: list[int] = []

    def record(response: Response) -> None:
        if response.request.method == "GET":
            statuses.append(response.status)

    visitor.context.on("response", record)
    visitor.press("Load again")
    expect(visitor.page.get_by_text("Members: ")).to_be_visible()
    visitor.context.remove_listener("response", record)
    return sorted(statuses)


@pytest.mark.parametrize("front_end", SHAPES, indirect=True)
@pytest.mark.parametrize(("client", "screen"), CLIENTS)
def test_a_front_end_of_another_origin_works_unchanged(
    front_end: FrontEnd, invite: Callable[..., Visitor], client: str, screen: str, request: pytest.FixtureRequest
) -> None:
    shown = request.node.callspec.id.replace(" ", "-").replace(",", "")
    name = f"anna-{client}"
    visitor = invite(screen, site=front_end.site)
    visitor.open(f"{front_end.url}/?client={client}#/register")
    fill(visitor, front_end.person(name) | {"password": PASSWORD, "re_password": PASSWORD})
    visitor.screenshot(f"front-end-{shown}-sign-up")
    visitor.press("Sign up")
    visitor.sees("Look into your mail")

    visitor.open(front_end.site.link(name, "#/activate", front_end.url))
    visitor.press("Confirm")
    visitor.sees("Sign in")
    sign_in(visitor, front_end, name, PASSWORD)
    visitor.screenshot(f"front-end-{shown}-signed-in")

    expire(visitor)
    assert statuses_of_loading_again(visitor) == [200] * 4 + [401] * 4
    greeted = front_end.person(name)[front_end.shape.greets_with]
    visitor.sees(f"Welcome, {greeted}")

    visitor.press("Sign out")
    visitor.sees("Signed out")
    visitor.page.get_by_role("link", name="Sign in").click()
    visitor.page.get_by_role("link", name="Forgot your password?").click()
    visitor.sees("Forgot your password?")
    fill(visitor, {"email": f"{name}@example.com"})
    visitor.press("Forgot your password?")
    visitor.sees("Look into your mail")
    visitor.open(front_end.site.link(name, "#/reset", front_end.url))
    visitor.sees("Choose a new password")
    fill(visitor, {"new_password": NEW_PASSWORD, "re_new_password": NEW_PASSWORD})
    visitor.press("Choose a new password")
    visitor.sees("Sign in")
    sign_in(visitor, front_end, name, NEW_PASSWORD)
    refresh = visitor.page.evaluate("localStorage.refresh")
    visitor.press("Sign out")
    visitor.sees("Signed out")
    path = "/api/v1/jwt/refresh/" if "username" in front_end.shape.fields else "/auth/jwt/refresh/"
    assert front_end.site.post(path, refresh=refresh) == 401
