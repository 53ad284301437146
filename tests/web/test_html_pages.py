"""How the link pages look: form, labels, headers, language, and the templates of a site."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient

from server.app import create_app
from server.auth.one_time_tokens import PASSWORD_RESET
from server.settings.settings import Settings
from tests.conftest import PASSWORD, Client, FrontdeskServer, Person, post
from tests.web.page_reading import PAGES, Outline, issue, title


async def test_a_page_shows_a_form_that_posts_to_itself(client: Client, live_pages: tuple[str, ...]) -> None:
    for path in live_pages:
        response = await client.get(path)
        page = Outline(await response.text())
        assert (response.status, response.content_type, response.charset) == (200, "text/html", "utf-8")
        assert page.all("form") == [{"method": "post"}]
        assert len(page.all("button")) == len(page.all("h1")) == len(page.all("main")) == 1


async def test_every_field_has_a_label_and_the_page_a_language(client: Client, live_pages: tuple[str, ...]) -> None:
    for path in (*live_pages, *PAGES, "/password/reset"):
        text = await (await client.get(path)).text()
        page = Outline(text)
        assert page.all("html") == [{"lang": "en"}]
        assert title(text).endswith(" – Frontdesk")
        fields = [each for each in page.all("input") if "name" in each]
        assert [each["for"] for each in page.all("label")] == [each["id"] for each in fields]
        ids = {attributes.get("id") for _, attributes in page.found}
        assert {word for each in fields for word in (each.get("aria-describedby") or "").split()} <= ids


async def test_a_password_manager_finds_the_account_of_a_live_link(client: Client, anna: Person) -> None:
    text = await (await client.get(await issue(client, anna, PASSWORD_RESET))).text()
    account, *passwords = Outline(text).all("input")
    assert (account["value"], account["autocomplete"], "name" in account) == ("anna", "username", False)
    assert re.search("<div hidden><input[^>]*></div>", text)
    assert {each["autocomplete"] for each in passwords} == {"new-password"}
    assert "anna" not in await (await client.get("/password/reset/MQ/abc")).text()


@pytest.mark.parametrize("settings", [{"login_field": "email"}], indirect=True)
async def test_the_account_is_named_by_what_it_signs_in_with(client: Client) -> None:
    _, user = await post(client, "/auth/users/", username="anna", password=PASSWORD, email="anna@example.com")
    path = await issue(client, Person(client, "anna", user["id"]), PASSWORD_RESET)
    assert Outline(await (await client.get(path)).text()).all("input")[0]["value"] == "anna@example.com"


async def test_the_form_asks_for_a_new_password_twice_and_states_its_rules(
    client: Client, live_pages: tuple[str, ...]
) -> None:
    text = await (await client.get(live_pages[1])).text()
    fields = Outline(text).all("input")[1:]
    assert [each["name"] for each in fields] == ["new_password", "re_new_password"]
    assert {(each["type"], each["autocomplete"]) for each in fields} == {("password", "new-password")}
    assert fields[0]["aria-describedby"] == "new_password-rules"
    assert "At least 8 characters" in text


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_loads_nothing_from_other_sites_and_is_not_stored(client: Client, path: str) -> None:
    for response in (await client.get(path), await client.post(path), await client.put(path)):
        headers = response.headers
        assert headers["Content-Security-Policy"] == (
            "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
        assert (headers["Referrer-Policy"], headers["Cache-Control"]) == ("no-referrer", "no-store")
        assert (headers["X-Frame-Options"], headers["X-Content-Type-Options"]) == ("DENY", "nosniff")
        assert (headers["Server"], headers["Vary"]) == ("Frontdesk", "Accept-Language")
        assert "X-Request-ID" in headers
        text = await response.text()
        assert re.findall(r"https?:|<script|style=|\son\w+=", text) == []
        assert re.findall('(?:src|href)="(.*?)"', text)[0] == "/pages/style.css"


@pytest.mark.parametrize(
    ("wanted", "language"), [("de", "de"), ("de-AT,de;q=0.9,en;q=0.5", "de"), ("fr, en", "en"), ("", "en")]
)
@pytest.mark.parametrize("path", PAGES)
async def test_a_page_is_in_the_language_of_the_client(client: Client, path: str, wanted: str, language: str) -> None:
    for send in (client.get, client.post, client.put):
        response: ClientResponse = await send(path, headers={"Accept-Language": wanted})
        assert Outline(await response.text()).all("html") == [{"lang": language}]


GERMAN = {
    "short": "Das Passwort ist zu kurz, es braucht mindestens 8 Zeichen.",
    "password1": "Dieses Passwort benutzen zu viele.",
    "73920184650": "Das Passwort besteht nur aus Ziffern.",
    "anna@example": "Das Passwort ist der E-Mail-Adresse zu ähnlich.",
    "": "Bitte ausfüllen.",
}


@pytest.mark.parametrize(("typed", "fault"), GERMAN.items())
async def test_faults_are_shown_in_german(client: Client, anna: Person, typed: str, fault: str) -> None:
    path = await issue(client, anna, PASSWORD_RESET)
    fields = {"new_password": typed, "re_new_password": typed}
    async with client.post(path, data=fields, headers={"Accept-Language": "de"}) as response:
        text = await response.text()
    assert (response.status, title(text)) == (400, "Fehler: Neues Passwort wählen – Frontdesk")
    assert fault in text


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template folder of a site."""
    folder = tmp_path_factory.mktemp("own")
    for name in ("pages", "en/pages"):
        (folder / name).mkdir(parents=True)
    return folder


@pytest.fixture
async def site(own: Path, settings: Settings, database: Any) -> AsyncIterator[Client]:
    """A client of a service with the template folder `own`."""
    changed = replace(settings, templates_dir=own, site_name='Film & "Club" <b>', public_url="https://x.example/desk")
    async with TestClient(FrontdeskServer(create_app(changed))) as anonymous:
        yield anonymous


async def test_templates_and_style_of_a_site_replace_the_built_in_ones(site: Client, own: Path) -> None:
    (own / "en/pages/problem.html").write_text("Hello from {{ site_name }}")
    (own / "pages/style.css").write_text("h1 { color: red }")
    assert await (await site.get("/activate/MQ/abc")).text() == "Hello from Film &amp; &#34;Club&#34; &lt;b&gt;"
    assert await (await site.get("/pages/style.css")).text() == "h1 { color: red }"
    assert "Ask for a link" in await (await site.get("/password/reset")).text()


async def test_the_name_of_a_site_is_shown_and_escaped(site: Client) -> None:
    text = await (await site.get("/activate/MQ/abc")).text()
    assert "<header><p>Film &amp; &#34;Club&#34; &lt;b&gt;</p></header>" in text


async def test_the_style_sheet_is_below_the_path_of_the_public_url(site: Client) -> None:
    assert 'href="/desk/pages/style.css"' in await (await site.get("/activate/MQ/abc")).text()


async def test_a_broken_template_of_a_site_is_a_500_and_in_the_log(
    site: Client, own: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (own / "en/pages/ask.html").write_text("{{ nothing_of_the_kind }}")
    response = await site.get("/password/reset")
    assert (response.status, title(await response.text())) == (500, 'Something went wrong – Film & "Club" <b>')
    assert "GET /password/reset failed" in caplog.text


async def test_the_failure_is_json_if_no_page_can_be_rendered(
    site: Client, own: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (own / "pages/layout.html").write_text("{% no such thing %}")
    response = await site.get("/password/reset")
    assert (response.status, await response.json()) == (500, {"detail": "Internal server error."})
    assert "the page of a failure cannot be rendered" in caplog.text


async def test_the_style_sheet_is_sent_again_only_when_it_has_changed(client: Client) -> None:
    response = await client.get("/pages/style.css")
    assert (response.status, response.content_type, response.charset) == (200, "text/css", "utf-8")
    assert "prefers-color-scheme: dark" in await response.text()
    again = await client.get("/pages/style.css", headers={"If-None-Match": response.headers["ETag"]})
    assert (again.status, await again.read()) == (304, b"")
