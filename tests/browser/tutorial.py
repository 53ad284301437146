"""The tutorial: its commands and its page, as a reader pastes them, in a browser."""

import json
import re
from collections.abc import Iterator

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from tests.browser.visitors import SCREENS
from tests.conftest import PASSWORD
from tests.shell_blocks import ROOT, block, free_port, running

TUTORIAL = "docs/tutorial.md"
LISTENS = r"listens on (\S+)/"


@pytest.fixture(scope="module")
def film_club(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the page of the tutorial, made and served by its blocks; only the ports are others."""
    folder = tmp_path_factory.mktemp("film-club")
    origin = f"http://localhost:{free_port()}"
    data = tmp_path_factory.mktemp("data")
    service = block(TUTORIAL, "tutorial: the service").replace("http://localhost:3000", origin)
    with running(service, ROOT, LISTENS, PORT=str(free_port()), DATA_DIR=str(data)) as url:
        page = block(TUTORIAL, "tutorial: the page")
        (folder / "index.html").write_text(page.replace("http://127.0.0.1:8080", url))
        serving = block(TUTORIAL, "tutorial: the page is served").replace("3000", origin.rpartition(":")[2])
        with running(serving, folder, r"(Serving HTTP)"):
            yield f"{origin}/"


def test_the_tutorial_starts_the_service_as_readme_does() -> None:
    install, serve = block(TUTORIAL, "tutorial: the service").splitlines()
    serve_without_origin = serve.removeprefix("CORS_ORIGINS=http://localhost:3000 ")
    assert f"{install} && {serve_without_origin}\n" == block("README.md", "run it")


def sign(page: Page, button: str, name: str, password: str = PASSWORD) -> None:
    """Type a name and a password, and press a button."""
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name=button).click()


@pytest.mark.parametrize("screen", SCREENS)
def test_a_reader_of_the_tutorial_has_a_page_that_people_sign_in_to(
    chromium: Browser, film_club: str, screen: str, pytestconfig: pytest.Config
) -> None:
    context = chromium.new_context(**SCREENS[screen])
    page = context.new_page()
    failures: list[str] = []
    page.on("pageerror", lambda failure: failures.append(str(failure)))
    page.goto(film_club)
    said, name = page.get_by_role("status"), f"anna-{screen}"
    greeting = page.get_by_text(f"Hello, {name}.")

    sign(page, "Register", name, "12345678")
    expect(said).to_contain_text("This password is too common.")
    sign(page, "Register", name)
    expect(greeting).to_be_visible()
    page.get_by_label("E-mail").fill(f"{name}@example.com")
    page.get_by_role("button", name="Save").click()
    expect(said).to_have_text("Saved.")
    page.reload()
    expect(page.get_by_label("E-mail")).to_have_value(f"{name}@example.com")
    root = "document.documentElement"
    assert page.evaluate(f"{root}.scrollWidth") <= page.evaluate(f"{root}.clientWidth")
    page.screenshot(path=pytestconfig.getoption("--pictures") / f"tutorial-{screen}.png")

    # The access token has expired: the page gets another one.
    tokens = json.loads(page.evaluate("sessionStorage.tokens"))
    page.evaluate("tokens => { sessionStorage.tokens = JSON.stringify(tokens) }", tokens | {"access": "expired"})
    page.reload()
    expect(greeting).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Register")).to_be_visible()
    expect(greeting).to_be_hidden()

    sign(page, "Sign in", name, "a wrong guess")
    expect(said).to_have_text("No active account found with the given credentials")
    sign(page, "Sign in", name)
    expect(greeting).to_be_visible()
    # The session was ended elsewhere: the page asks to sign in.
    api = re.search(r'API = "([^"]+)"', page.content())
    assert api
    tokens = json.loads(page.evaluate("sessionStorage.tokens"))
    requests.post(f"{api[1]}/jwt/blacklist/", json={"refresh": tokens["refresh"]}, timeout=10).raise_for_status()
    page.reload()
    expect(page.get_by_role("button", name="Register")).to_be_visible()
    expect(page.get_by_label("E-mail")).to_be_hidden()
    expect(said).to_have_text("Your session has ended. Sign in again.")
    context.close()
    assert failures == []
