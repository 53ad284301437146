"""A service that writes its letters to a folder, a browser, and visitors that record errors and foreign requests."""

import email
import email.policy
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from server.postgres.bundled import attach
from tests.browser.chromium import ARGUMENTS, CHROMIUM
from tests.conftest import PASSWORD
from tests.processes import Started

SCREENS: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 800}},
    "phone": {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True},
}
LETTER_SECONDS = 20
# A page with a fault has a status of 4xx, and the browser logs that for every such page.
EXPECTED_MESSAGE = re.compile(r"Failed to load resource: the server responded with a status of 4\d\d")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pictures", type=Path, required=True, help="folder for screenshots")
    parser.addoption("--renew", action="store_true", help="renew the picture of README")


@dataclass
class Site:
    """A service that writes letters to a folder, and the steps that need no browser."""

    url: str
    letters: Path
    database: "psycopg.Connection[Any]"
    other_origins: list[str] = field(default_factory=list)  # where pages of this site may load from, too

    def post(self, path: str, **fields: str) -> int:
        return requests.post(f"{self.url}{path}", json=fields, timeout=30).status_code

    def register(self, name: str) -> None:
        assert self.post("/auth/users/", username=name, password=PASSWORD, email=f"{name}@example.com") == 201

    def sign_in(self, name: str, password: str = PASSWORD) -> int:
        return self.post("/auth/jwt/create/", username=name, password=password)

    def ask(self, what: str, name: str) -> str:
        """Ask for a letter of the kind `what`: its link."""
        assert self.post(f"/auth/users/{what}/", email=f"{name}@example.com") == 204
        return self.link(name, {"reset_password": "password/reset", "reset_username": "username/reset"}[what])

    def join(self, name: str) -> None:
        """Register an account and activate it in the database, without its letter."""
        self.register(name)
        self.database.execute(
            "update users set is_active = true, awaits_activation = false where username = %s", [name]
        )

    def link(self, name: str, page: str, url: str = "") -> str:
        """The link to `page` in a letter to the account `name`; waits for the letter, and removes it.

        `url` is where the page is, if not at the service.
        """
        pattern = re.compile(rf"{re.escape(url or self.url)}/{page}/\S+/\S+")
        ends = time.monotonic() + LETTER_SECONDS
        while time.monotonic() < ends:
            for file in sorted(self.letters.glob("*.eml")):
                letter = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
                text = letter.get_body(("plain",))
                found = pattern.search(text.get_content()) if text else None
                if found and letter["To"] == f"{name}@example.com":
                    file.unlink()
                    return found[0]
            time.sleep(0.05)
        raise AssertionError(f"no letter to {name} with a link to {page}")


@dataclass
class Visitor:
    """A browser window. `leave` checks that it logged no error and sent no request to another server."""

    site: Site
    screen: str
    context: BrowserContext
    pictures: Path
    page: Page = field(init=False)
    errors: list[str] = field(default_factory=list)
    requested: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.context.on("request", lambda request: self.requested.add(request.url))
        self.context.on("console", self._record)
        self.context.on("weberror", lambda error: self.errors.append(str(error.error)))
        self.page = self.context.new_page()

    def _record(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not EXPECTED_MESSAGE.match(message.text):
            self.errors.append(message.text)

    def open(self, link: str) -> None:
        self.page.goto(link)

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name).click()

    def sees(self, heading: str) -> None:
        """Check that the page has this heading and does not scroll sideways."""
        expect(self.page.get_by_role("heading", level=1)).to_have_text(heading)
        root = "document.documentElement"
        assert self.page.evaluate(f"{root}.scrollWidth") <= self.page.evaluate(f"{root}.clientWidth")

    def screenshot(self, name: str) -> None:
        """Write a screenshot of the page."""
        self.page.screenshot(path=self.pictures / f"{name}-{self.screen}.png", full_page=True)

    def leave(self) -> None:
        self.context.close()
        assert self.errors == []
        own = (*(f"{origin}/" for origin in (self.site.url, *self.site.other_origins)), "data:")
        assert [url for url in self.requested if not url.startswith(own)] == []


@contextmanager
def serve(folder: Path, **settings: str) -> Iterator[Site]:
    """The service in activation mode, with its data and letters in `folder`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    letters = folder / "mail"
    service = Started(
        PORT=str(port),
        PUBLIC_URL=url,
        DATA_DIR=str(folder),
        MAIL_DIR=str(letters),
        SEND_ACTIVATION_EMAIL="true",
        SITE_NAME="Film club",
        BCRYPT_ROUNDS="4",
        **settings,
    )
    postgres = attach(folder, say=lambda text: None)
    with psycopg.connect(postgres.url(), autocommit=True) as database:
        yield Site(url, letters, database)
    service.stop()
    postgres.release()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The service in activation mode, without a site file."""
    with serve(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """The browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def invite(
    chromium: Browser, request: pytest.FixtureRequest, pytestconfig: pytest.Config
) -> Iterator[Callable[..., Visitor]]:
    """A function that opens a visitor with a screen of SCREENS, or with a name and options of its own.

    `site` is the site that it visits, if not the one without a site file.
    """
    opened: list[Visitor] = []

    def open_visitor(screen: str, site: Site | None = None, **options: Any) -> Visitor:
        context = chromium.new_context(**SCREENS.get(screen, {}) | options)
        visited = site or request.getfixturevalue("site")
        opened.append(Visitor(visited, screen, context, pytestconfig.getoption("--pictures")))
        return opened[-1]

    yield open_visitor
    for visitor in opened:
        visitor.leave()


@pytest.fixture(params=tuple(SCREENS))
def visitor(invite: Callable[..., Visitor], request: pytest.FixtureRequest) -> Visitor:
    """A visitor with each of the screens."""
    return invite(request.param)


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A username of this test alone."""
    words = re.findall("[a-z]+", request.node.name)
    return f"{words[-1]}{abs(hash(request.node.name)) % 10**6}"
