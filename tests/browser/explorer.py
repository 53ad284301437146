"""Swagger UI in a browser."""

import requests
from playwright.sync_api import expect

from tests.browser.visitors import Site, Visitor
from tests.conftest import PASSWORD


def authorize(visitor: Visitor, token: str) -> None:
    """Enter a token in Swagger UI."""
    visitor.page.get_by_role("button", name="Authorize").first.click()
    box = visitor.page.locator(".auth-container").first
    box.locator("input").fill(token)
    box.get_by_role("button", name="Apply credentials").click()
    box.get_by_role("button", name="Close").click()


def test_requests_have_the_entered_token_until_the_page_is_left(site: Site, visitor: Visitor, name: str) -> None:
    site.join(name)
    signed_in = requests.post(f"{site.url}/auth/jwt/create/", json={"username": name, "password": PASSWORD}, timeout=10)
    visitor.open(f"{site.url}/docs")
    expect(visitor.page.get_by_role("button", name="Authorize").first).to_be_visible()
    authorize(visitor, signed_in.json()["access"])
    operation = visitor.page.locator("#operations-users-read_me")
    operation.scroll_into_view_if_needed()
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table .response .response-col_status")).to_contain_text("200")
    visitor.screenshot("docs")
    assert visitor.page.evaluate("localStorage.length + sessionStorage.length") == 0
    visitor.page.reload()
    expect(visitor.page.locator(".authorization__btn.locked, .authorize.locked")).to_have_count(0)
    expect(visitor.page.get_by_role("button", name="Authorize").first).to_have_class("btn authorize unlocked")


def test_no_query_parameter_shows_another_document(site: Site, visitor: Visitor) -> None:
    visitor.open(f"{site.url}/docs?url=https://evil.example/a.json&configUrl=https://evil.example/b.json")
    expect(visitor.page.locator(".info .title")).to_contain_text("Frontdesk")
