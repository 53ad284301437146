"""Pages on which people ask for a new link, and where every page leads on."""

from typing import Any

import pytest

from server.auth.one_time_tokens import EMAIL_CHANGE, PASSWORD_RESET, USERNAME_RESET
from server.settings.faults import SettingsError
from server.settings.rates import Rate
from server.settings.settings import Settings
from tests.conftest import Client, Person
from tests.web.page_reading import NEW_PASSWORD, PAGES, Outline, fault_of, issue, send, title

SIGN_IN = "https://www.example.com/sign-in?from=mail#form"
HOME = "https://www.example.com"
LEADING_ON = {"sign_in_url": SIGN_IN, "home_url": HOME}
WITH_ACTIVATION = {"send_activation_email": True}


def links(text: str) -> list[str | None]:
    """Where the links of a page lead, those of its header left out."""
    return [each["href"] for each in Outline(text.partition("</header>")[2]).all("a")]


@pytest.mark.parametrize(("path", "kind"), [("/password/reset", PASSWORD_RESET), ("/username/reset", USERNAME_RESET)])
async def test_a_new_link_is_asked_for_without_script(
    client: Client, recorded_queries: list[Any], path: str, kind: str
) -> None:
    page = Outline(await (await client.get(path)).text())
    assert page.all("form") == [{"method": "post", "action": path}]
    assert [(each["name"], each["autocomplete"]) for each in page.all("input")] == [("email", "email")]
    status, text = await send(client, path, email="Anna@example.com")
    assert (status, title(text)) == (200, "Please look at your e-mails – Frontdesk")
    assert recorded_queries[-1] == ("letters/queue", kind, None, "", "Anna@example.com")


@pytest.mark.parametrize("settings", [{}, {"password_reset_show_email_not_found": True}], indirect=True)
@pytest.mark.parametrize("path", ["/password/reset", "/username/reset"])
async def test_known_and_unknown_addresses_are_answered_alike(client: Client, anna: Person, path: str) -> None:
    pages = [await send(client, path, email=address) for address in ("anna@example.com", "unknown@example.com")]
    assert pages[0] == pages[1]
    assert pages[0][0] == 200


@pytest.mark.parametrize("path", ["/password/reset", "/username/reset"])
async def test_a_known_and_an_unknown_address_cost_the_same_statements(
    client: Client, anna: Person, recorded_queries: list[Any], path: str
) -> None:
    counts = []
    for address in ("anna@example.com", "unknown@example.com"):
        recorded_queries.clear()
        await send(client, path, email=address)
        counts.append([name for name, *_ in recorded_queries])
    assert counts[0] == counts[1]
    assert counts[0][-1] == "letters/queue"


@pytest.mark.parametrize("settings", [{"limit_letters_address": Rate(2, 900)}], indirect=True)
async def test_too_many_letters_to_an_address_are_a_429_page(client: Client) -> None:
    found = [await send(client, "/password/reset", email="anna@example.com") for _ in range(3)]
    assert [status for status, _ in found] == [200, 200, 429]
    assert title(found[2][1]) == "Too many tries – Frontdesk"


async def test_a_faulty_address_is_shown_again_with_its_fault(client: Client) -> None:
    status, text = await send(client, "/password/reset", email='"><script>')
    assert (status, title(text)) == (400, "Error: Ask for a link to choose a new password – Frontdesk")
    assert "Enter a valid email address." in fault_of(text, "email")
    assert Outline(text).all("input")[0]["value"] == '"><script>'
    assert "<script" not in text


async def test_a_form_of_another_site_sends_no_letter(
    client: Client, anna: Person, recorded_queries: list[Any]
) -> None:
    for site, status in (("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)):
        recorded_queries.clear()
        headers = {"Sec-Fetch-Site": site, "Origin": "null"}
        response = await client.post("/password/reset", data={"email": "anna@example.com"}, headers=headers)
        assert (response.status, response.content_type) == (status, "text/html")
        assert ("letters/queue" in [name for name, *_ in recorded_queries]) is (status == 200)


@pytest.mark.parametrize("settings", [WITH_ACTIVATION], indirect=True)
async def test_an_activation_link_is_asked_for_if_accounts_need_one(client: Client) -> None:
    assert title(await (await client.get("/activate")).text()) == "Ask for a new activation link – Frontdesk"
    assert (await send(client, "/activate", email="anna@example.com"))[0] == 200


async def test_no_activation_link_is_asked_for_if_accounts_need_none(client: Client) -> None:
    for response in (await client.get("/activate"), await client.post("/activate", data={"email": "a@example.com"})):
        assert (response.status, response.content_type) == (404, "text/html")
    assert Outline(await (await client.get(PAGES[0])).text()).all("form") == []


@pytest.mark.parametrize("settings", [WITH_ACTIVATION], indirect=True)
@pytest.mark.parametrize("path", PAGES)
async def test_the_page_of_a_dead_link_has_a_form_that_asks_for_a_new_one(client: Client, path: str) -> None:
    asking = path.rsplit("/", 2)[0]
    for text in (await (await client.get(path)).text(), (await send(client, path, **_valid(path)))[1]):
        assert title(text) == "This link does not work – Frontdesk"
        assert Outline(text).all("form") == [{"method": "post", "action": asking}]
    assert (await send(client, asking, email="anna@example.com"))[0] == 200


@pytest.mark.parametrize("settings", [LEADING_ON], indirect=True)
async def test_pages_lead_on_to_the_site(client: Client, anna: Person) -> None:
    path = await issue(client, anna, PASSWORD_RESET)
    _, done = await send(client, path, new_password=NEW_PASSWORD, re_new_password=NEW_PASSWORD)
    used = await (await client.get(path)).text()
    dead = await (await client.get(PAGES[1])).text()
    _, asked = await send(client, "/password/reset", email="anna@example.com")
    lost = await (await client.get("/nothing", headers={"Accept": "text/html"})).text()
    for text in (done, used, dead, asked, lost, await (await client.get("/password/reset")).text()):
        assert links(text) == [SIGN_IN, HOME]
        assert {"href": HOME} in Outline(text.partition("</header>")[0]).all("a")


@pytest.mark.parametrize("settings", [LEADING_ON], indirect=True)
async def test_the_pages_of_a_new_address_and_a_new_name_lead_on(client: Client, anna: Person, database: Any) -> None:
    database.execute("update users set pending_email = 'new@example.com' where id = %s", [anna.id])
    for purpose, fields in ((USERNAME_RESET, {"new_username": "anna.k"}), (EMAIL_CHANGE, {})):
        status, text = await send(client, await issue(client, anna, purpose), **fields)
        assert (status, links(text)) == (200, [SIGN_IN, HOME])


async def test_pages_have_no_links_to_a_site_that_is_not_set(client: Client, anna: Person) -> None:
    path = await issue(client, anna, PASSWORD_RESET)
    _, done = await send(client, path, new_password=NEW_PASSWORD, re_new_password=NEW_PASSWORD)
    for text in (done, await (await client.get(path)).text()):
        assert Outline(text).all("a") == []


@pytest.mark.parametrize("name", ["SIGN_IN_URL", "HOME_URL", "CHANGE_PASSWORD_URL"])
@pytest.mark.parametrize(
    "value",
    ["javascript:alert(1)", "//example.com", "/sign-in", "ftp://example.com", "https://", "https://a b", 'https://a/"x',
     "https://user:secret@example.com", "data:text/html,x", "https://[::1"],
)  # fmt: skip
def test_a_setting_that_is_no_address_of_a_page_stops_the_start(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} is an address such as"):
        Settings.read({name: value})


@pytest.mark.parametrize("value", [SIGN_IN, HOME, "http://localhost:3000/#/login", "https://[::1]:8443/a"])
def test_an_address_of_a_page_is_taken_as_it_is(value: str) -> None:
    assert Settings.read({"SIGN_IN_URL": value}).sign_in_url == value
    assert Settings.read({"SIGN_IN_URL": " "}).sign_in_url == ""


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({}, "/password/reset"),
        ({"public_url": "https://example.com/accounts"}, "/accounts/password/reset"),
        ({"change_password_url": "https://www.example.com/me"}, "https://www.example.com/me"),
    ],
    indirect=["settings"],
)
async def test_a_password_manager_is_led_to_the_change_of_a_password(client: Client, place: str) -> None:
    for send_request in (client.get, client.head):
        response = await send_request("/.well-known/change-password", allow_redirects=False)
        assert (response.status, response.headers["Location"]) == (302, place)


async def test_the_change_of_a_password_is_there_without_the_setting(client: Client) -> None:
    page = await client.get("/.well-known/change-password")
    assert (page.status, title(await page.text())) == (200, "Ask for a link to choose a new password – Frontdesk")


@pytest.mark.parametrize("accept", ["*/*", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"])
async def test_a_resource_that_should_not_exist_is_a_404(client: Client, accept: str) -> None:
    # Password managers ask for it to learn whether a site's 404 can be relied on (W3C, change-password-url, §4).
    path = "/.well-known/resource-that-should-not-exist-whose-status-code-should-not-be-200"
    assert (await client.get(path, headers={"Accept": accept}, allow_redirects=False)).status == 404


@pytest.mark.parametrize(
    "accept",
    [
        "text/html",
        "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
        "text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8",
        "application/json;q=0.5, TEXT/HTML;level=1;q=0.9",
    ],
)
async def test_a_mistyped_address_is_a_page_in_a_browser(client: Client, accept: str) -> None:
    response = await client.get("/sing-in", headers={"Accept": accept})
    assert (response.status, response.content_type) == (404, "text/html")
    assert title(await response.text()) == "There is nothing here – Frontdesk"
    assert (response.headers["Vary"], "X-Request-ID" in response.headers) == ("Accept, Accept-Language", True)
    assert response.headers["Content-Security-Policy"].startswith("default-src 'none'")
    head = await client.head("/sing-in", headers={"Accept": accept})
    assert (head.status, head.content_type) == (404, "text/html")


@pytest.mark.parametrize(
    "accept",
    [
        "*/*",
        "",
        "application/json",
        "application/json, text/plain, */*",
        "text/html, application/json",
        "text/html;q=0, */*",
        "text/html;q=0.5, application/*",
        "text/*",
        "image/png",
        "text/html;q=nonsense;q=0.1, */*;q=0.2",
    ],
)
async def test_a_mistyped_path_is_json_for_a_client(client: Client, accept: str) -> None:
    for method in ("GET", "POST", "FOO"):
        response = await client.request(method, "/auth/users/nothing/", headers={"Accept": accept})
        assert (response.status, await response.json()) == (404, {"detail": "Not found."})
        assert (response.content_type, response.headers["Vary"]) == ("application/json", "Accept")


def _valid(path: str) -> dict[str, str]:
    if path.startswith("/password"):
        return {"new_password": NEW_PASSWORD, "re_new_password": NEW_PASSWORD}
    return {"new_username": "anna.k"} if path.startswith("/username") else {}
