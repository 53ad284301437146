"""Swagger UI in a browser: the first page that a newcomer sees."""

import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Locator, Route, expect

from tests.browser.npm import AXE
from tests.browser.visitors import Site, Visitor
from tests.conftest import PASSWORD
from tests.processes import ROOT

PICTURE = ROOT / "docs" / "pictures" / "swagger-ui.png"


@pytest.fixture
def desktop(invite: Callable[..., Visitor]) -> Visitor:
    """A visitor with one screen, for what no width changes."""
    return invite("desktop")


def authorize(visitor: Visitor, token: str) -> None:
    """Enter a token in Swagger UI."""
    visitor.page.get_by_role("button", name="Authorize").first.click()
    box = visitor.page.locator(".auth-container").first
    box.locator("input").fill(token)
    box.get_by_role("button", name="Apply credentials").click()
    box.get_by_role("button", name="Close").click()


def sign_in(visitor: Visitor, name: str, password: str = PASSWORD) -> None:
    """Open the page and send the form."""
    visitor.open(f"{visitor.site.url}/docs")
    visitor.page.get_by_label("Username", exact=True).fill(name)
    visitor.page.get_by_label("Password", exact=True).fill(password)
    visitor.page.get_by_role("button", name="Sign in", exact=True).click()


def signed_in(visitor: Visitor, name: str) -> None:
    """Check that the page says who is signed in."""
    expect(visitor.page.locator("#signed-in")).to_contain_text(f"Signed in as {name}")


def operation(visitor: Visitor, tag: str, operation_id: str) -> Locator:
    """An operation, opened."""
    found = visitor.page.locator(f"#operations-{tag}-{operation_id}")
    found.scroll_into_view_if_needed()
    if found.locator(".opblock-body").count() == 0:
        found.locator(".opblock-summary-control").click()
    return found


def answers(found: Locator, status: int) -> None:
    """Execute an operation, and check the status of the answer."""
    found.get_by_role("button", name="Execute").click()
    shown = found.locator(".live-responses-table .response .response-col_status")
    expect(shown).to_contain_text(str(status))


def serious_findings(visitor: Visitor) -> list[str]:
    """What axe finds on the page that keeps people from using it: what is closed looks alike, so one group of it."""
    visitor.page.evaluate(AXE.path.read_text())
    found: Any = visitor.page.evaluate(
        """() => {
            const [groups, kept] = [".opblock-tag-section", 3]
            const rest = [...document.querySelectorAll(groups)].slice(kept)
            document.getElementById("sign-in").hidden = false  // the form, too
            return axe.run({ exclude: rest }, { resultTypes: ["violations"] })
        }"""
    )
    return [
        f"{each['id']}: {node['html'][:120]}"
        for each in found["violations"]
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


def test_requests_have_the_entered_token_until_the_page_is_left(site: Site, desktop: Visitor, name: str) -> None:
    site.join(name)
    answer = requests.post(f"{site.url}/auth/jwt/create/", json={"username": name, "password": PASSWORD}, timeout=10)
    desktop.open(f"{site.url}/docs")
    expect(desktop.page.get_by_role("button", name="Authorize").first).to_be_visible()
    authorize(desktop, answer.json()["access"])
    answers(operation(desktop, "users", "get_me"), 200)
    desktop.page.reload()
    expect(desktop.page.locator(".authorization__btn.locked, .authorize.locked")).to_have_count(0)
    expect(desktop.page.get_by_role("button", name="Authorize").first).to_have_class("btn authorize unlocked")


def test_a_name_and_a_password_sign_in_and_every_call_has_the_token(site: Site, visitor: Visitor, name: str) -> None:
    site.join(name)
    sign_in(visitor, name)
    signed_in(visitor, name)
    answers(operation(visitor, "users", "get_me"), 200)
    visitor.screenshot("docs")
    assert visitor.page.evaluate("localStorage.length + sessionStorage.length") == 0
    visitor.page.reload()
    expect(visitor.page.locator("#sign-in")).to_be_visible()


def test_signing_out_ends_the_session(site: Site, desktop: Visitor, name: str) -> None:
    site.join(name)
    sign_in(desktop, name)
    signed_in(desktop, name)
    with desktop.page.expect_response(f"{site.url}/auth/jwt/blacklist/") as ended:
        desktop.page.get_by_role("button", name="Sign out", exact=True).click()
    assert ended.value.status == 200
    expect(desktop.page.locator("#sign-in")).to_be_visible()
    answers(operation(desktop, "users", "get_me"), 401)


def test_a_wrong_password_is_told(site: Site, desktop: Visitor, name: str) -> None:
    site.join(name)
    sign_in(desktop, name, "wrong")
    told = desktop.page.get_by_role("status")
    expect(told).to_have_text("No active account found with the given credentials")
    expect(desktop.page.locator("#sign-in")).to_be_visible()


def test_a_token_that_expires_is_renewed_before_a_call(site: Site, desktop: Visitor, name: str) -> None:
    site.join(name)
    sign_in(desktop, name)
    signed_in(desktop, name)
    found = operation(desktop, "users", "get_me")
    with desktop.page.expect_request(f"{site.url}/auth/users/me/") as first:
        answers(found, 200)
    desktop.page.clock.set_fixed_time(time.time() + 290)  # of 300 s that the token lives
    with desktop.page.expect_response(f"{site.url}/auth/users/me/") as second:
        found.get_by_role("button", name="Execute").click()
    assert second.value.status == 200
    assert second.value.request.headers["authorization"] != first.value.headers["authorization"]


def test_a_session_that_ended_elsewhere_is_told(site: Site, desktop: Visitor, name: str) -> None:
    site.join(name)
    sign_in(desktop, name)
    signed_in(desktop, name)
    site.database.execute("delete from sessions s using users u where u.id = s.user_id and u.username = %s", [name])
    answers(operation(desktop, "users", "get_me"), 401)
    expect(desktop.page.get_by_role("status")).to_have_text("The session has ended.")
    expect(desktop.page.locator("#sign-in")).to_be_visible()


def test_a_renewal_that_fails_for_now_does_not_end_the_session(site: Site, desktop: Visitor, name: str) -> None:
    site.join(name)
    sign_in(desktop, name)
    signed_in(desktop, name)
    refused = {"detail": "Request was throttled."}
    desktop.page.route("**/auth/jwt/refresh/", lambda route: route.fulfill(status=429, json=refused))
    found = operation(desktop, "users", "get_me")
    desktop.page.clock.set_fixed_time(time.time() + 290)  # of 300 s that the token lives
    answers(found, 200)
    expect(desktop.page.get_by_role("status")).to_have_text(refused["detail"])
    signed_in(desktop, name)


def test_the_line_of_curl_is_shown_whole(site: Site, visitor: Visitor, name: str) -> None:
    site.join(name)
    sign_in(visitor, name)
    signed_in(visitor, name)
    found = operation(visitor, "users", "get_me")
    answers(found, 200)
    line = found.locator(".curl-command pre.curl")
    line.scroll_into_view_if_needed()
    line.screenshot(path=visitor.pictures / f"curl-{visitor.screen}.png")
    expect(line).to_have_text(re.compile(r"-H 'Authorization: Bearer [\w-]+\.[\w-]+\.[\w-]+'$"))
    assert line.evaluate("pre => [pre.scrollWidth - pre.clientWidth, pre.scrollHeight - pre.clientHeight]") == [0, 0]


def test_a_token_that_is_renewed_while_a_person_signs_out_signs_nobody_in(
    site: Site, desktop: Visitor, name: str
) -> None:
    site.join(name)
    sign_in(desktop, name)
    signed_in(desktop, name)
    late: list[Route] = []

    def hold(route: Route) -> None:  # Playwright takes no built-in method such as late.append
        late.append(route)

    desktop.page.route("**/auth/jwt/refresh/", hold)
    # The session goes on, so that the late token is good.
    desktop.page.route("**/auth/jwt/blacklist/", lambda route: route.fulfill(status=429, json={}))
    found = operation(desktop, "users", "get_me")
    desktop.page.clock.set_fixed_time(time.time() + 290)  # of 300 s that the token lives
    with desktop.page.expect_request("**/auth/jwt/refresh/"):
        found.get_by_role("button", name="Execute").click()
    with desktop.page.expect_response("**/auth/jwt/blacklist/"):
        desktop.page.get_by_role("button", name="Sign out", exact=True).click()
    (route,) = late
    answer = route.fetch()
    assert answer.status == 200
    with desktop.page.expect_response("**/auth/users/me/"):  # the call that waited for the token
        route.fulfill(response=answer)
    expect(desktop.page.locator("#sign-in")).to_be_visible()
    expect(desktop.page.get_by_role("button", name="Authorize").first).to_have_class("btn authorize unlocked")
    with desktop.page.expect_request("**/auth/users/me/") as asked:
        found.get_by_role("button", name="Execute").click()
    assert "authorization" not in asked.value.headers


def test_a_newcomer_is_led_to_the_registration(visitor: Visitor, site: Site) -> None:
    visitor.open(f"{site.url}/docs")
    visitor.page.get_by_role("button", name="Register", exact=True).click()
    expect(visitor.page.locator("#operations-users-create_user textarea")).to_be_in_viewport()


def test_everybody_can_use_the_page_on_any_screen(site: Site, visitor: Visitor, name: str) -> None:
    site.join(name)
    # One scheme for each screen: the width changes no colour.
    visitor.page.emulate_media(color_scheme="dark" if visitor.screen == "phone" else "light")
    sign_in(visitor, name)
    signed_in(visitor, name)
    answers(operation(visitor, "users", "get_me"), 200)
    operation(visitor, "users", "create_user")
    operation(visitor, "users", "list_users")
    assert serious_findings(visitor) == []
    root = "document.documentElement"
    assert visitor.page.evaluate(f"{root}.scrollWidth") <= visitor.page.evaluate(f"{root}.clientWidth")


def test_the_picture_of_the_page_is_renewed(desktop: Visitor, site: Site, pytestconfig: pytest.Config) -> None:
    site.database.execute("delete from users where username = 'anna'")
    site.join("anna")
    sign_in(desktop, "anna")
    signed_in(desktop, "anna")
    picture: Path = desktop.pictures / f"swagger-ui-{desktop.screen}.png"
    desktop.page.screenshot(path=picture)
    if pytestconfig.getoption("--renew"):
        PICTURE.parent.mkdir(exist_ok=True)
        shutil.copy(picture, PICTURE)


def test_no_query_parameter_shows_another_document(site: Site, desktop: Visitor) -> None:
    desktop.open(f"{site.url}/docs?url=https://evil.example/a.json&configUrl=https://evil.example/b.json")
    expect(desktop.page.locator(".info .title")).to_contain_text("Frontdesk")
