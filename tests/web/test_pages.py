"""Pages behind the links in letters: who fetches one changes nothing, the button does it once, faults stand beside."""

import asyncio
import html
import io
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient

from server.app import create_app
from server.auth.one_time_tokens import ACTIVATION, EMAIL_CHANGE, PASSWORD_RESET, USERNAME_RESET, write_uid
from server.errors import Unavailable
from server.settings.settings import Settings
from server.telemetry.logs import request_id
from server.web.app_keys import DB, ONE_TIME_TOKENS
from tests.conftest import PASSWORD, Client, FrontdeskServer, Person, post

FRESH = "staple gun theory"
PATHS = {
    ACTIVATION: "/activate/{}/{}",
    EMAIL_CHANGE: "/activate/{}/{}",
    PASSWORD_RESET: "/password/reset/{}/{}",
    USERNAME_RESET: "/username/reset/{}/{}",
}
PAGES = tuple(path.format("MQ", "a-token-that-nobody-issued") for path in sorted(set(PATHS.values())))
GOOD = {
    "/activate": {},
    "/password": {"new_password": FRESH, "re_new_password": FRESH},
    "/username": {"new_username": "anna.k"},
}


class Outline(HTMLParser):
    """What a reader of the page meets: the elements in order, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.found if name == tag]


async def issue(client: Client, person: Person, purpose: str) -> str:
    """The path of the page that a letter would link to."""
    one_time_tokens = client.app[ONE_TIME_TOKENS]
    async with client.app[DB].transaction() as transaction:
        token = one_time_tokens.token(await one_time_tokens.issue(transaction, person.id, purpose))
    return PATHS[purpose].format(write_uid(person.id), token)


def title(text: str) -> str:
    return html.unescape(re.search("<title>(.*?)</title>", text)[1])


def fault_of(text: str, field: str) -> str:
    return html.unescape(re.search(f'id="{field}-fault">(.*?)</ul>', text, re.DOTALL)[1])


async def send(client: Client, path: str, **fields: str) -> tuple[int, str]:
    async with client.post(path, data=fields) as response:
        assert response.content_type == "text/html"
        return response.status, await response.text()


async def sign_in(client: Client, username: str, password: str = PASSWORD) -> int:
    return (await post(client, "/auth/jwt/create/", username=username, password=password))[0]


@pytest.fixture
def waiting(client: Client, database: Any) -> Callable[[], Awaitable[Person]]:
    """Registers somebody whose account waits to be activated."""

    async def register() -> Person:
        status, user = await post(client, "/auth/users/", username="clara", password=PASSWORD, email="c@example.com")
        assert status == 201
        statement = "update users set is_active = false, awaits_activation = true where id = %s"
        await asyncio.to_thread(database.execute, statement, [user["id"]])
        return Person(client, "clara", user["id"])

    return register


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_shows_a_form_that_posts_to_itself(client: Client, path: str) -> None:
    response = await client.get(path)
    page = Outline(await response.text())
    assert (response.status, response.content_type, response.charset) == (200, "text/html", "utf-8")
    assert page.all("form") == [{"method": "post"}]
    assert len(page.all("button")) == len(page.all("h1")) == len(page.all("main")) == 1


@pytest.mark.parametrize("path", PAGES)
async def test_every_field_has_a_label_and_the_page_a_language(client: Client, path: str) -> None:
    text = await (await client.get(path)).text()
    page = Outline(text)
    assert page.all("html") == [{"lang": "en"}]
    assert title(text).endswith(" – Frontdesk")
    assert [each["for"] for each in page.all("label")] == [each["id"] for each in page.all("input")]
    ids = {attributes.get("id") for _, attributes in page.found}
    assert {word for each in page.all("input") for word in (each.get("aria-describedby") or "").split()} <= ids


async def test_a_new_password_is_asked_for_twice_and_its_rules_are_told(client: Client) -> None:
    text = await (await client.get("/password/reset/MQ/abc")).text()
    fields = Outline(text).all("input")
    assert [each["name"] for each in fields] == ["new_password", "re_new_password"]
    assert {(each["type"], each["autocomplete"]) for each in fields} == {("password", "new-password")}
    assert fields[0]["aria-describedby"] == "new_password-rules"
    assert "At least 8 characters" in text


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_lets_nothing_in_and_nothing_out(client: Client, path: str) -> None:
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


async def test_a_page_asks_the_database_nothing(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    db, asked = client.app[DB], []

    def noticed(name: str, ask: Callable[..., Any]) -> Callable[..., Any]:
        def noticing(*arguments: Any) -> Any:
            if request_id.get():  # what works beside the service asks, too
                asked.append((name, *arguments))
            return ask(*arguments)

        return noticing

    for name in ("rows", "transaction", "find"):
        monkeypatch.setattr(db, name, noticed(name, getattr(db, name)))
    for path in PAGES:
        assert (await client.get(path)).status == (await client.head(path)).status == 200
    assert asked == []
    await client.post("/activate/MQ/abc")
    assert asked == [("rows", "users/find", 1)]


async def test_a_page_of_an_account_that_is_there_looks_like_one_of_nobody(client: Client, anna: Person) -> None:
    path = await issue(client, anna, PASSWORD_RESET)
    assert await (await client.get(path)).text() == await (await client.get("/password/reset/MQ/abc")).text()


@pytest.mark.parametrize("purpose", [PASSWORD_RESET, USERNAME_RESET])
async def test_a_page_fetched_twenty_times_still_works(client: Client, anna: Person, purpose: str) -> None:
    path = await issue(client, anna, purpose)
    for _ in range(10):
        assert (await client.get(path)).status == (await client.head(path)).status == 200
    assert (await send(client, path, **GOOD[path[:9]]))[0] == 200


async def test_the_button_activates_an_account(client: Client, waiting: Callable[[], Awaitable[Person]]) -> None:
    path = await issue(client, await waiting(), ACTIVATION)
    for _ in range(20):
        await client.get(path)
    assert await sign_in(client, "clara") == 401
    status, text = await send(client, path)
    assert (status, title(text)) == (200, "Your account is active – Frontdesk")
    assert await sign_in(client, "clara") == 200


async def test_a_second_press_says_that_the_account_is_active(
    client: Client, waiting: Callable[[], Awaitable[Person]]
) -> None:
    path = await issue(client, await waiting(), ACTIVATION)
    await send(client, path)
    status, text = await send(client, path)
    assert (status, title(text)) == (403, "Your account is active already – Frontdesk")


async def test_the_button_puts_a_new_address_in_force(client: Client, anna: Person, database: Any) -> None:
    database.execute("update users set pending_email = 'new@example.com' where id = %s", [anna.id])
    status, text = await send(client, await issue(client, anna, EMAIL_CHANGE))
    assert (status, title(text)) == (200, "Your new address is confirmed – Frontdesk")
    assert (await anna.get("/auth/users/me/"))[1]["email"] == "new@example.com"


async def test_an_address_that_somebody_else_took_meanwhile_is_told(
    client: Client, anna: Person, boris: Person, database: Any
) -> None:
    database.execute("update users set pending_email = 'boris@example.com' where id = %s", [anna.id])
    status, text = await send(client, await issue(client, anna, EMAIL_CHANGE))
    assert (status, title(text)) == (400, "The address is taken – Frontdesk")


async def test_a_new_password_signs_in_and_ends_every_session(client: Client, anna: Person) -> None:
    path = await issue(client, anna, PASSWORD_RESET)
    status, text = await send(client, path, new_password=FRESH, re_new_password=FRESH)
    assert (status, title(text)) == (200, "Your password is changed – Frontdesk")
    assert (await sign_in(client, "anna", FRESH), await sign_in(client, "anna")) == (200, 401)
    assert (await anna.get("/auth/users/me/"))[0] == 401


@pytest.mark.parametrize(
    ("typed", "again", "field", "fault"),
    [
        ("", "", "new_password", "This field may not be blank."),
        ("short", "short", "new_password", "This password is too short. It must contain at least 8 characters."),
        ("password1", "password1", "new_password", "This password is too common."),
        ("73920184650", "73920184650", "new_password", "This password is entirely numeric."),
        ("anna@example", "anna@example", "new_password", "The password is too similar to the email address."),
        ("x" * 4097, "x" * 4097, "new_password", "Ensure this field has no more than 4096 bytes."),
        (FRESH, "staple gun", "re_new_password", "The two password fields didn't match."),
    ],
)
async def test_a_weak_password_is_refused_beside_its_field_and_uses_up_nothing(
    client: Client, anna: Person, typed: str, again: str, field: str, fault: str
) -> None:
    path = await issue(client, anna, PASSWORD_RESET)
    status, text = await send(client, path, new_password=typed, re_new_password=again)
    page = Outline(text)
    assert (status, title(text)) == (400, "Error: Choose a new password – Frontdesk")
    assert fault in fault_of(text, field)
    faulty = next(each for each in page.all("input") if each["name"] == field)
    assert faulty["aria-invalid"] == "true"
    assert "autofocus" in faulty
    assert faulty["aria-describedby"].split()[0] == f"{field}-fault"
    assert [each["value"] for each in page.all("input")] == ["", ""]
    assert {"class": "faults", "role": "alert"} in page.all("div")
    assert {"href": f"#{field}"} in page.all("a")
    assert (await send(client, path, **GOOD["/password"]))[0] == 200


async def test_a_new_username_signs_in(client: Client, anna: Person) -> None:
    status, text = await send(client, await issue(client, anna, USERNAME_RESET), new_username="anna.k")
    assert (status, title(text)) == (200, "Your username is changed – Frontdesk")
    assert (await sign_in(client, "anna.k"), await sign_in(client, "anna")) == (200, 401)


@pytest.mark.parametrize(
    ("typed", "fault"),
    [
        ("", "This field may not be blank."),
        ("two words", "Enter a valid username."),
        ("x" * 151, "Ensure this field has no more than 150 characters."),
        ("BORIS", "A user with that username already exists."),
    ],
)
async def test_a_username_that_cannot_be_is_shown_again_with_its_fault(
    client: Client, anna: Person, boris: Person, typed: str, fault: str
) -> None:
    path = await issue(client, anna, USERNAME_RESET)
    status, text = await send(client, path, new_username=typed)
    assert (status, title(text)) == (400, "Error: Choose a new username – Frontdesk")
    assert fault in fault_of(text, "new_username")
    assert [each["value"] for each in Outline(text).all("input")] == [typed]
    assert (await send(client, path, **GOOD["/username"]))[0] == 200


@pytest.mark.parametrize(
    "typed", ['"><script>alert(1)</script>', "{{ 7 * 7 }}{% raise %}", "a\r\nSet-Cookie: b", "\0", "é" * 100_000]
)
async def test_what_was_typed_stays_text(client: Client, anna: Person, typed: str) -> None:
    path = await issue(client, anna, USERNAME_RESET)
    async with client.post(path, data={"new_username": typed}) as response:
        text = await response.text()
    assert response.status == 400
    assert "Set-Cookie" not in response.headers
    assert "<script" not in text
    assert "49" not in text
    assert len(text) < 5000


@pytest.mark.parametrize("settings", [{"login_field": "email"}], indirect=True)
async def test_who_signs_in_by_address_chooses_a_new_one(client: Client, database: Any) -> None:
    _, user = await post(client, "/auth/users/", username="anna", password=PASSWORD, email="anna@example.com")
    path = await issue(client, Person(client, "anna", user["id"]), USERNAME_RESET)
    form = Outline(await (await client.get(path)).text()).all("input")
    assert [(each["name"], each["autocomplete"]) for each in form] == [("new_email", "email")]
    status, text = await send(client, path, new_email="nobody")
    assert (status, title(text)) == (400, "Error: Choose a new e-mail address – Frontdesk")
    assert (await send(client, path, new_email="new@example.com"))[0] == 200
    assert (await post(client, "/auth/jwt/create/", email="new@example.com", password=PASSWORD))[0] == 200


@pytest.mark.parametrize("settings", [{"username_reset_confirm_retype": True}], indirect=True)
async def test_a_username_is_asked_for_twice_where_the_switch_says_so(client: Client, anna: Person) -> None:
    path = await issue(client, anna, USERNAME_RESET)
    status, text = await send(client, path, new_username="anna.k", re_new_username="anna.j")
    assert status == 400
    assert "The two username fields didn't match." in fault_of(text, "re_new_username")
    assert (await send(client, path, new_username="anna.k", re_new_username="anna.k"))[0] == 200


@pytest.mark.parametrize("path", PAGES)
async def test_a_link_that_nobody_was_sent_does_not_work(client: Client, anna: Person, path: str) -> None:
    for link in (path, path.replace("/MQ/", f"/{write_uid(anna.id)}/"), path.replace("/MQ/", "/bm9ib2R5/")):
        status, text = await send(client, link, **GOOD[path[:9]])
        assert (status, title(text)) == (400, "This link does not work – Frontdesk")


async def test_a_link_works_once_and_for_its_purpose_alone(client: Client, anna: Person) -> None:
    path = await issue(client, anna, PASSWORD_RESET)
    for other in ("/activate", "/username/reset"):
        status, _ = await send(client, path.replace("/password/reset", other), **GOOD[other[:9]])
        assert status == 400
    assert [(await send(client, path, **GOOD["/password"]))[0] for _ in range(3)] == [200, 400, 400]


async def test_an_expired_link_does_not_work(client: Client, anna: Person, database: Any) -> None:
    path = await issue(client, anna, PASSWORD_RESET)
    database.execute("update one_time_tokens set expires_at = now() - interval '1 second'")
    status, text = await send(client, path, **GOOD["/password"])
    assert (status, title(text)) == (400, "This link does not work – Frontdesk")


@pytest.mark.parametrize("purpose", [ACTIVATION, PASSWORD_RESET, USERNAME_RESET])
async def test_of_two_presses_at_once_one_succeeds(
    client: Client, waiting: Callable[[], Awaitable[Person]], purpose: str
) -> None:
    path = await issue(client, await waiting(), purpose)
    found = await asyncio.gather(*(send(client, path, **GOOD[path[:9]]) for _ in range(8)))
    assert sorted(status for status, _ in found)[:2] == [200, 403 if purpose == ACTIVATION else 400]


@pytest.mark.parametrize(
    "link", ["MQ/abc.", "MQ/abc%3E", "MQ/a%20b", "MQ/" + "a" * 257, "M.Q/abc", "MQ/%00", "MQ/a%0Ab", "MQ/é"]
)
async def test_a_link_that_is_not_whole_is_404_as_a_page(client: Client, link: str) -> None:
    for path in ("/activate/", "/password/reset/", "/username/reset/"):
        for response in (await client.get(path + link), await client.post(path + link)):
            assert (response.status, response.content_type) == (404, "text/html")
            assert title(await response.text()) == "There is nothing here – Frontdesk"


@pytest.mark.parametrize("path", ["/activate/MQ", "/activate/MQ/a/b", "/activate//a", "/password/MQ/a", "/pages/x"])
async def test_other_paths_are_404_in_json(client: Client, path: str) -> None:
    response = await client.get(path)
    assert (response.status, await response.json()) == (404, {"detail": "Not found."})


@pytest.mark.parametrize("path", PAGES)
async def test_other_methods_are_405_as_a_page(client: Client, path: str) -> None:
    for method in ("PUT", "PATCH", "DELETE", "TRACE"):
        response = await client.request(method, path, headers={"Accept": "text/html"})
        assert (response.status, response.content_type) == (405, "text/html")
        assert response.headers["Allow"] == "GET, POST, HEAD, OPTIONS"


@pytest.mark.parametrize(
    ("sent", "content_type", "status"),
    [
        (b"<xml/>", "text/xml", 415),
        (b"x" * (1024 * 1024 + 1), "application/x-www-form-urlencoded", 413),
        (b"a=%ff", "application/x-www-form-urlencoded", 400),
        (b"&".join([b"a=b"] * 2000), "application/x-www-form-urlencoded", 400),
        (b"[]", "application/json", 400),
        (b'{"new_username": "\\ud800"}', "application/json", 400),
        (b'{"new_username": []}', "application/json", 400),
        (b"--x", "multipart/form-data; boundary=x", 400),
    ],
)
@pytest.mark.parametrize("path", PAGES)
async def test_a_body_that_no_form_sends_is_refused_on_a_page(
    client: Client, path: str, sent: bytes, content_type: str, status: int
) -> None:
    response = await client.post(path, data=io.BytesIO(sent), headers={"Content-Type": content_type})
    assert (response.status, response.content_type) == (status, "text/html")
    assert "Frontdesk</title>" in await response.text()


@pytest.mark.parametrize("path", PAGES)
async def test_a_bad_header_is_not_looked_at(client: Client, path: str) -> None:
    for header in ("Bearer nonsense", "Token", "Bearer a b"):
        assert (await client.get(path, headers={"Authorization": header, "Accept": "image/png"})).status == 200
        response = await client.post(path, headers={"Authorization": header})
        assert response.status == 400


async def test_a_database_that_is_away_is_a_page_with_a_way_back(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*arguments: Any) -> Any:
        raise Unavailable

    monkeypatch.setattr(client.app[DB], "row", away)
    for path in PAGES:
        async with client.post(path, data=GOOD[path[:9]]) as response:
            text = await response.text()
        assert (response.status, response.headers["Retry-After"]) == (503, "2")
        assert (title(text), {"href": ""} in Outline(text).all("a")) == ("Please try again – Frontdesk", True)


async def test_something_unforeseen_is_a_page_that_tells_nothing(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*arguments: Any) -> Any:
        raise asyncpg.DataError("a row with a secret")

    monkeypatch.setattr(client.app[DB], "row", broken)
    status, text = await send(client, "/activate/MQ/a-token-that-nobody-issued")
    assert (status, title(text)) == (500, "Something went wrong – Frontdesk")
    assert "secret" not in text
    assert "POST /activate/{uid}/{token} failed" in caplog.text
    assert "a-token-that-nobody-issued" not in caplog.text


@pytest.mark.parametrize("settings", [{"access_log": True}], indirect=True)
async def test_no_log_line_has_the_token(client: Client, anna: Person, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    path = await issue(client, anna, PASSWORD_RESET)
    uid, token = path.split("/")[-2:]
    await client.get(path)
    await client.put(path)
    await client.get(path + ".")
    await client.get(path + "/more")
    await client.get(path.replace("/password", "/passwords"))
    await client.post(path, data=b"a=%ff", headers={"Content-Type": "application/x-www-form-urlencoded"})
    await client.post(path, data=b"", headers={"Expect": "the-impossible"})
    await send(client, path, **GOOD["/password"])
    for raw in (f"GET {path} HTTP/1.1\r\nbroken\r\n\r\n", f"GET {path} HTTP/9\r\n\r\n", f"{path}\r\n\r\n"):
        reader, writer = await asyncio.open_connection(client.host, client.port)
        writer.write(raw.encode())
        await reader.read()
        writer.close()
    assert caplog.text.count("/password/reset/{uid}/{token}") == 5
    assert f"GET /password/reset/{uid}/…/more 404" in caplog.text
    assert f"GET /passwords/reset/{uid}/… 404" in caplog.text
    assert caplog.text.count("malformed request") == 3
    assert token not in caplog.text


@pytest.mark.parametrize(
    ("wanted", "language"), [("de", "de"), ("de-AT,de;q=0.9,en;q=0.5", "de"), ("fr, en", "en"), ("", "en")]
)
@pytest.mark.parametrize("path", PAGES)
async def test_a_page_speaks_the_readers_language(client: Client, path: str, wanted: str, language: str) -> None:
    for answer in (client.get, client.post, client.put):
        response: ClientResponse = await answer(path, headers={"Accept-Language": wanted})
        assert Outline(await response.text()).all("html") == [{"lang": language}]


GERMAN = {
    "short": "Das Passwort ist zu kurz, es braucht mindestens 8 Zeichen.",
    "password1": "Dieses Passwort benutzen zu viele.",
    "73920184650": "Das Passwort besteht nur aus Ziffern.",
    "anna@example": "Das Passwort ist der E-Mail-Adresse zu ähnlich.",
    "": "Bitte ausfüllen.",
}


@pytest.mark.parametrize(("typed", "fault"), GERMAN.items())
async def test_faults_are_told_in_german(client: Client, anna: Person, typed: str, fault: str) -> None:
    path = await issue(client, anna, PASSWORD_RESET)
    fields = {"new_password": typed, "re_new_password": typed}
    async with client.post(path, data=fields, headers={"Accept-Language": "de"}) as response:
        text = await response.text()
    assert (response.status, title(text)) == (400, "Fehler: Neues Passwort wählen – Frontdesk")
    assert fault in text


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site's own folder of templates."""
    folder = tmp_path_factory.mktemp("own")
    for name in ("pages", "en/pages"):
        (folder / name).mkdir(parents=True)
    return folder


@pytest.fixture
async def site(own: Path, settings: Settings, database: Any) -> AsyncIterator[Client]:
    """The service of a site with templates of its own."""
    changed = replace(settings, templates_dir=own, site_name='Film & "Club" <b>', public_url="https://x.example/desk")
    async with TestClient(FrontdeskServer(create_app(changed))) as visitor:
        yield visitor


async def test_a_sites_own_template_and_style_win(site: Client, own: Path) -> None:
    (own / "en/pages/activate.html").write_text("Hello from {{ site_name }}")
    (own / "pages/style.css").write_text("h1 { color: red }")
    assert await (await site.get("/activate/MQ/abc")).text() == "Hello from Film &amp; &#34;Club&#34; &lt;b&gt;"
    assert await (await site.get("/pages/style.css")).text() == "h1 { color: red }"
    assert "Choose a new password" in await (await site.get("/password/reset/MQ/abc")).text()


async def test_a_sites_name_is_shown_and_stays_text(site: Client) -> None:
    text = await (await site.get("/activate/MQ/abc")).text()
    assert "<header><p>Film &amp; &#34;Club&#34; &lt;b&gt;</p></header>" in text


async def test_the_style_is_found_below_the_public_folder(site: Client) -> None:
    assert 'href="/desk/pages/style.css"' in await (await site.get("/activate/MQ/abc")).text()


async def test_a_sites_broken_template_is_a_500_in_the_log(
    site: Client, own: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (own / "en/pages/activate.html").write_text("{{ nothing_of_the_kind }}")
    response = await site.get("/activate/MQ/abc")
    assert (response.status, title(await response.text())) == (500, 'Something went wrong – Film & "Club" <b>')
    assert "GET /activate/{uid}/{token} failed" in caplog.text


async def test_where_no_page_can_be_shown_the_answer_is_json(
    site: Client, own: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (own / "pages/layout.html").write_text("{% no such thing %}")
    response = await site.get("/activate/MQ/abc")
    assert (response.status, await response.json()) == (500, {"detail": "Internal server error."})
    assert "the page of a failure cannot be shown" in caplog.text


async def test_the_style_is_sent_once_and_then_only_when_it_changed(client: Client) -> None:
    response = await client.get("/pages/style.css")
    assert (response.status, response.content_type, response.charset) == (200, "text/css", "utf-8")
    assert "prefers-color-scheme: dark" in await response.text()
    again = await client.get("/pages/style.css", headers={"If-None-Match": response.headers["ETag"]})
    assert (again.status, await again.read()) == (304, b"")
