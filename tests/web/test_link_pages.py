"""What the link pages do: GET changes nothing, the button acts once, faults are shown at their fields (security 26)."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from yarl import URL

from server.auth.one_time_tokens import ACTIVATION, EMAIL_CHANGE, EMAIL_RESET, PASSWORD_RESET, USERNAME_RESET, write_uid
from server.telemetry.logs import request_id
from server.web.app_keys import DB
from tests.conftest import PASSWORD, Client, Person, post
from tests.web.page_reading import NEW_PASSWORD, PAGES, VALID_FIELDS, Outline, fault_of, issue, send, sign_in, title


@pytest.fixture
def waiting(client: Client, database: Any) -> Callable[[], Awaitable[Person]]:
    """A function that registers an account, clara, that waits for its activation."""

    async def register() -> Person:
        status, user = await post(client, "/auth/users/", username="clara", password=PASSWORD, email="c@example.com")
        assert status == 201
        statement = "update users set is_active = false, awaits_activation = true where id = %s"
        await asyncio.to_thread(database.execute, statement, [user["id"]])
        return Person(client, "clara", user["id"])

    return register


async def test_opening_a_page_sends_one_statement_that_only_reads(
    client: Client, anna: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    forged = tuple(path.replace("/MQ/", f"/{write_uid(anna.id)}/") for path in PAGES)
    unreadable = tuple(path.replace("/MQ/", "/bm9ib2R5/") for path in PAGES)
    live = await issue(client, anna, PASSWORD_RESET)
    db, queries = client.app[DB], list[Any]()

    def recorded(name: str, query: Callable[..., Any]) -> Callable[..., Any]:
        def record(*arguments: Any) -> Any:
            if request_id.get():  # background work, which queries too, has no request id
                queries.append((name, *arguments[:1]))
            return query(*arguments)

        return record

    for name in ("rows", "transaction", "find"):
        monkeypatch.setattr(db, name, recorded(name, getattr(db, name)))
    opened = (live, *PAGES, *forged, *unreadable)
    for path in opened:
        status = 200 if path == live else 404
        assert (await client.get(path)).status == (await client.head(path)).status == status
    assert queries == [("rows", "one_time_tokens/look")] * len(opened) * 2


async def test_opening_a_page_changes_no_row(client: Client, live_pages: tuple[str, ...], database: Any) -> None:
    def rows() -> list[Any]:
        tables = ("users", "one_time_tokens", "letters", "sessions")
        return [
            database.execute(f"select xmin::text, t.* from {table} t order by t::text").fetchall() for table in tables
        ]

    before = await asyncio.to_thread(rows)
    for path in (*live_pages, *PAGES):
        for _ in range(3):
            await client.get(path)
            await client.head(path)
    assert await asyncio.to_thread(rows) == before
    activate, password, username = live_pages
    for path in (activate, username, password):  # a new password ends the other links
        assert (await send(client, path, **VALID_FIELDS[path[:9]]))[0] == 200


async def test_the_page_of_a_forged_link_is_the_same_for_every_account_and_for_none(
    client: Client, anna: Person
) -> None:
    for path in PAGES:
        links = [path, path.replace("/MQ/", f"/{write_uid(anna.id)}/"), path.replace("/MQ/", "/bm9ib2R5/")]
        pages = [await client.get(link) for link in links]
        assert {(page.status, await page.text()) for page in pages} == {(404, await pages[0].text())}
        assert title(await pages[0].text()) == "This link does not work – Frontdesk"


@pytest.mark.parametrize(
    ("statement", "shown"),
    [
        ("update one_time_tokens set used_at = now()", "This link was used already – Frontdesk"),
        ("update one_time_tokens set expires_at = now() - interval '1 second'", "This link does not work – Frontdesk"),
        ("delete from one_time_tokens", "This link does not work – Frontdesk"),
        ("update users set email = 'other@example.com'", "This link does not work – Frontdesk"),
    ],
)
@pytest.mark.parametrize("purpose", [PASSWORD_RESET, USERNAME_RESET])
async def test_the_page_of_a_dead_link_says_so_when_it_is_opened(
    client: Client, anna: Person, database: Any, purpose: str, statement: str, shown: str
) -> None:
    path = await issue(client, anna, purpose)
    await asyncio.to_thread(database.execute, statement)
    page = await client.get(path)
    assert (page.status, title(await page.text())) == (404, shown)
    assert (await client.head(path)).status == 404


async def test_a_link_of_another_purpose_is_dead(client: Client, anna: Person) -> None:
    path = await issue(client, anna, PASSWORD_RESET)
    for other in ("/activate", "/username/reset"):
        assert (await client.get(path.replace("/password/reset", other))).status == 404


async def test_the_page_of_a_followed_activation_link_says_that_the_account_is_active(
    client: Client, waiting: Callable[[], Awaitable[Person]], database: Any
) -> None:
    path = await issue(client, await waiting(), ACTIVATION)
    await send(client, path)
    page = await client.get(path)
    assert (page.status, title(await page.text())) == (404, "Your account is active already – Frontdesk")
    await asyncio.to_thread(database.execute, "update users set is_active = false")
    assert title(await (await client.get(path)).text()) == "This link was used already – Frontdesk"


async def test_the_page_of_an_address_that_no_longer_waits_says_that_the_link_was_used(
    client: Client, anna: Person
) -> None:
    page = await client.get(await issue(client, anna, EMAIL_CHANGE))
    assert (page.status, title(await page.text())) == (404, "This link was used already – Frontdesk")


async def test_faults_in_the_form_of_a_dead_link_say_that_the_link_does_not_work(client: Client) -> None:
    status, text = await send(client, "/password/reset/MQ/abc", new_password="short", re_new_password="short")
    assert (status, title(text)) == (400, "This link does not work – Frontdesk")


@pytest.mark.parametrize(
    "glued",
    [".", ">", ")", ";", "%22", ",", "'", '"', "%3E", "%29.", "%E2%80%9D", "/", "./", "*", "%20", "%0D%0A", "&gt;"],
)
async def test_a_link_opens_with_what_a_mail_program_took_for_its_end(client: Client, anna: Person, glued: str) -> None:
    path = await issue(client, anna, PASSWORD_RESET)
    async with client.get(URL(path + glued, encoded=True)) as page:
        assert page.status == 200
    async with client.post(URL(path + glued, encoded=True), data=VALID_FIELDS["/password"]) as done:
        assert done.status == 200


@pytest.mark.parametrize("purpose", [PASSWORD_RESET, USERNAME_RESET])
async def test_a_link_still_works_after_its_page_was_opened_twenty_times(
    client: Client, anna: Person, purpose: str
) -> None:
    path = await issue(client, anna, purpose)
    for _ in range(10):
        assert (await client.get(path)).status == (await client.head(path)).status == 200
    assert (await send(client, path, **VALID_FIELDS[path[:9]]))[0] == 200


async def test_the_button_activates_an_account(client: Client, waiting: Callable[[], Awaitable[Person]]) -> None:
    path = await issue(client, await waiting(), ACTIVATION)
    for _ in range(20):
        await client.get(path)
    assert await sign_in(client, "clara") == 401
    status, text = await send(client, path)
    assert (status, title(text)) == (200, "Your account is active – Frontdesk")
    assert await sign_in(client, "clara") == 200


async def test_a_second_press_says_that_the_account_is_active_already(
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


async def test_an_address_that_another_account_took_meanwhile_is_reported(
    client: Client, anna: Person, boris: Person, database: Any
) -> None:
    database.execute("update users set pending_email = 'boris@example.com' where id = %s", [anna.id])
    status, text = await send(client, await issue(client, anna, EMAIL_CHANGE))
    assert (status, title(text)) == (400, "The address is taken – Frontdesk")


async def test_a_new_password_signs_in_and_ends_every_session(client: Client, anna: Person) -> None:
    path = await issue(client, anna, PASSWORD_RESET)
    status, text = await send(client, path, new_password=NEW_PASSWORD, re_new_password=NEW_PASSWORD)
    assert (status, title(text)) == (200, "Your password is changed – Frontdesk")
    assert (await sign_in(client, "anna", NEW_PASSWORD), await sign_in(client, "anna")) == (200, 401)
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
        (NEW_PASSWORD, "staple gun", "re_new_password", "The two password fields didn't match."),
    ],
)
async def test_a_weak_password_is_refused_beside_its_field_and_the_link_still_works(
    client: Client, anna: Person, typed: str, again: str, field: str, fault: str
) -> None:
    path = await issue(client, anna, PASSWORD_RESET)
    status, text = await send(client, path, new_password=typed, re_new_password=again)
    page = Outline(text)
    assert (status, title(text)) == (400, "Error: Choose a new password – Frontdesk")
    assert fault in fault_of(text, field)
    faulty = next(each for each in page.all("input") if each.get("name") == field)
    assert faulty["aria-invalid"] == "true"
    assert "autofocus" in faulty
    assert (faulty["aria-describedby"] or "").split()[0] == f"{field}-fault"
    assert [each["value"] for each in page.all("input")] == ["anna", "", ""]
    assert {"class": "faults", "role": "alert"} in page.all("div")
    assert {"href": f"#{field}"} in page.all("a")
    assert (await send(client, path, **VALID_FIELDS["/password"]))[0] == 200


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
async def test_an_invalid_username_is_shown_again_with_its_fault(
    client: Client, anna: Person, boris: Person, typed: str, fault: str
) -> None:
    path = await issue(client, anna, USERNAME_RESET)
    status, text = await send(client, path, new_username=typed)
    assert (status, title(text)) == (400, "Error: Choose a new username – Frontdesk")
    assert fault in fault_of(text, "new_username")
    assert [each["value"] for each in Outline(text).all("input")] == [typed]
    assert (await send(client, path, **VALID_FIELDS["/username"]))[0] == 200


@pytest.mark.parametrize(
    "typed", ['"><script>alert(1)</script>', "{{ 7 * 7 }}{% raise %}", "a\r\nSet-Cookie: b", "\0", "é" * 2000]
)
async def test_a_typed_value_is_shown_as_escaped_text(client: Client, anna: Person, typed: str) -> None:
    path = await issue(client, anna, USERNAME_RESET)
    async with client.post(path, data={"new_username": typed}) as response:
        text = await response.text()
    assert response.status == 400
    assert "Set-Cookie" not in response.headers
    assert "<script" not in text
    assert "49" not in text
    assert len(text) < 5000


@pytest.mark.parametrize("settings", [{"login_field": "email"}], indirect=True)
async def test_an_account_that_signs_in_by_address_chooses_a_new_address(client: Client, database: Any) -> None:
    _, user = await post(client, "/auth/users/", username="anna", password=PASSWORD, email="anna@example.com")
    path = await issue(client, Person(client, "anna", user["id"]), EMAIL_RESET)
    form = Outline(await (await client.get(path)).text()).all("input")
    assert [(each["name"], each["autocomplete"]) for each in form] == [("new_email", "email")]
    status, text = await send(client, path, new_email="not an address")
    assert (status, title(text)) == (400, "Error: Choose a new e-mail address – Frontdesk")
    assert (await send(client, path, new_email="new@example.com"))[0] == 200
    assert (await post(client, "/auth/jwt/create/", email="new@example.com", password=PASSWORD))[0] == 200


@pytest.mark.parametrize("language", ["en", "de"])
@pytest.mark.parametrize(
    ("settings", "purpose", "field", "signs_in"),
    [
        ({}, USERNAME_RESET, "new_username", True),
        ({"login_field": "either"}, USERNAME_RESET, "new_username", True),
        ({"login_field": "email"}, USERNAME_RESET, "new_username", False),
        ({"login_field": "email"}, EMAIL_RESET, "new_email", True),
    ],
    indirect=["settings"],
)
async def test_the_pages_say_that_it_signs_in_only_where_it_does(
    client: Client, language: str, purpose: str, field: str, signs_in: bool
) -> None:
    _, user = await post(client, "/auth/users/", username="anna", password=PASSWORD, email="anna@example.com")
    path = await issue(client, Person(client, "anna", user["id"]), purpose)
    said = {"en": ("what you sign in with", "sign in with it"), "de": ("Damit melden Sie sich an", "damit anmelden")}
    headers = {"Accept-Language": language}
    form = await (await client.get(path, headers=headers)).text()
    response = await client.post(path, data={field: "new@example.com"}, headers=headers)
    assert response.status == 200
    done = await response.text()
    assert (said[language][0] in form, said[language][1] in done) == (signs_in, signs_in)


@pytest.mark.parametrize("settings", [{"username_reset_confirm_retype": True}], indirect=True)
async def test_the_form_asks_for_a_username_twice_if_the_setting_is_on(client: Client, anna: Person) -> None:
    path = await issue(client, anna, USERNAME_RESET)
    status, text = await send(client, path, new_username="anna.k", re_new_username="anna.j")
    assert status == 400
    assert "The two username fields didn't match." in fault_of(text, "re_new_username")
    assert (await send(client, path, new_username="anna.k", re_new_username="anna.k"))[0] == 200


@pytest.mark.parametrize("path", PAGES)
async def test_a_link_that_was_never_sent_does_not_work(client: Client, anna: Person, path: str) -> None:
    for link in (path, path.replace("/MQ/", f"/{write_uid(anna.id)}/"), path.replace("/MQ/", "/bm9ib2R5/")):
        status, text = await send(client, link, **VALID_FIELDS[path[:9]])
        assert (status, title(text)) == (400, "This link does not work – Frontdesk")


async def test_a_link_works_once_and_only_for_its_purpose(client: Client, anna: Person) -> None:
    path = await issue(client, anna, PASSWORD_RESET)
    for other in ("/activate", "/username/reset"):
        status, _ = await send(client, path.replace("/password/reset", other), **VALID_FIELDS[other[:9]])
        assert status == 400
    assert [(await send(client, path, **VALID_FIELDS["/password"]))[0] for _ in range(3)] == [200, 400, 400]


async def test_an_expired_link_does_not_work(client: Client, anna: Person, database: Any) -> None:
    path = await issue(client, anna, PASSWORD_RESET)
    database.execute("update one_time_tokens set expires_at = now() - interval '1 second'")
    status, text = await send(client, path, **VALID_FIELDS["/password"])
    assert (status, title(text)) == (400, "This link does not work – Frontdesk")


@pytest.mark.parametrize("purpose", [ACTIVATION, PASSWORD_RESET, USERNAME_RESET])
async def test_of_several_presses_at_once_one_succeeds(
    client: Client, waiting: Callable[[], Awaitable[Person]], purpose: str
) -> None:
    path = await issue(client, await waiting(), purpose)
    found = await asyncio.gather(*(send(client, path, **VALID_FIELDS[path[:9]]) for _ in range(8)))
    assert sorted(status for status, _ in found)[:2] == [200, 403 if purpose == ACTIVATION else 400]
