"""Letters requested by address: which account gets one, what it says, what the caller learns (security 6, 8, 27)."""

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from server.settings.settings import Settings
from tests.conftest import PASSWORD, Client, Letters, Person, in_mode, post
from tests.links import (
    ACTIVATION,
    ASKED_AT,
    DONE,
    EMAIL_CHANGE,
    INVALID_TOKEN,
    PASSWORD_RESET,
    TAKEN_AT,
    USERNAME_RESET,
    activated,
    asked_by,
    confirm,
    register,
)
from tests.mail.reading import Read
from tests.rows import Connection

ANNA = "anna@example.com"

in_activation = in_mode("activation")
every_request = pytest.mark.parametrize("kind", ASKED_AT)


async def prepare(client: Client, letters: Letters, kind: str) -> None:
    """Register anna such that the account may have a letter of `kind`."""
    if kind == ACTIVATION:
        await register(client)
    else:
        await activated(client, letters)
    await letters()


@every_request
@in_activation
async def test_a_known_and_an_unknown_address_cause_the_same_work_and_answer(
    client: Client, letters: Letters, database: Connection, statements: list[str], hashes: Counter[str], kind: str
) -> None:
    await prepare(client, letters, kind)
    database.execute("insert into users (username, email) values ('unusable', 'unusable@example.com')")
    hashes.clear()
    done = []
    for address in (ANNA, "nobody@example.com", "unusable@example.com", "ANNA@EXAMPLE.COM"):
        statements.clear()
        response = await client.post(ASKED_AT[kind], json={"email": address})
        headers = {name: value for name, value in response.headers.items() if name not in ("Date", "X-Request-ID")}
        done.append((response.status, await response.read(), headers, list(statements)))
    assert done[0][:2] == (204, b"")
    assert done == [done[0]] * 4
    assert hashes["run"] == 0
    assert {letter.to for letter in await letters()} == {ANNA}


@every_request
@pytest.mark.parametrize("typed", ["ANNA@EXAMPLE.COM", "Anna@example.com", " anna@example.com\n"])
@in_activation
async def test_an_address_typed_in_another_case_gets_its_letter_at_the_stored_address(
    client: Client, letters: Letters, kind: str, typed: str
) -> None:
    await prepare(client, letters, kind)
    assert await post(client, ASKED_AT[kind], email=typed) == DONE
    assert [letter.to for letter in await letters()] == [ANNA]


LOOK_ALIKES = [
    "mıke@example.com",  # a dotless i
    "mİke@example.com",  # a dotted capital
    "mi\u212ae@example.com",  # the Kelvin sign
    "mike@exampıe.com",
    "mike@examp\u2113e.com",
    "mike@ｅxample.com",
    "mike@example.com.",
    "mike@\u0435xample.com",  # Cyrillic
]


@pytest.mark.parametrize("typed", LOOK_ALIKES)
@pytest.mark.parametrize("kind", [PASSWORD_RESET, USERNAME_RESET])
async def test_a_look_alike_address_sends_to_the_stored_address_or_not_at_all(
    client: Client, letters: Letters, kind: str, typed: str
) -> None:
    await register(client, "mike")
    assert (await post(client, ASKED_AT[kind], email=typed))[0] in (204, 400)
    assert {letter.to for letter in await letters()} <= {"mike@example.com"}


@pytest.mark.parametrize("typed", LOOK_ALIKES)
async def test_an_account_with_a_look_alike_address_gets_its_own_link_only(
    client: Client, letters: Letters, typed: str
) -> None:
    await register(client, "mike")
    status, _ = await post(client, "/auth/users/", username="mallory", password=PASSWORD, email=typed)
    await letters()
    assert await post(client, ASKED_AT[PASSWORD_RESET], email="mike@example.com") == DONE
    assert [letter.to for letter in await letters()] == ["mike@example.com"]
    if status == 201:
        assert await post(client, ASKED_AT[PASSWORD_RESET], email=typed) == DONE
        for letter in await letters():
            assert await confirm(client, PASSWORD_RESET, letter.uid_and_token) == DONE
        assert (await post(client, "/auth/jwt/create/", username="mike", password=PASSWORD))[0] == 200


FORGED = {
    "Host": "evil.example",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "gopher",
    "X-Forwarded-Server": "evil.example",
    "X-Host": "evil.example",
    "X-Original-URL": "//evil.example/",
    "Forwarded": "host=evil.example;proto=gopher",
    "Origin": "https://evil.example",
    "Referer": "https://evil.example/",
}


@pytest.mark.parametrize(
    "settings",
    [
        {"send_activation_email": True},
        {
            "send_activation_email": True,
            "public_url": "https://accounts.example.org/base",
            "activation_url": "#/activate/{uid}/{token}",
            "password_reset_confirm_url": "#/password/reset/confirm/{uid}/{token}",
            "username_reset_confirm_url": "https://app.example.org/#/username/{uid}/{token}",
        },
    ],
    indirect=True,
    ids=["default links", "links of a site"],
)
async def test_no_header_of_a_request_changes_the_link_in_a_letter(
    client: Client, letters: Letters, settings: Settings
) -> None:
    sent = []

    async def ask(path: str, **fields: Any) -> Read:
        response = await client.request("POST", path, json=fields, headers=FORGED)
        assert response.status in (201, 204), await response.text()
        sent.extend(await letters())
        return sent[-1]

    fields = {"username": "anna", "password": PASSWORD, "email": ANNA}
    starts = {ACTIVATION: await ask("/auth/users/", **fields)}
    await ask(ASKED_AT[ACTIVATION], email=ANNA)
    assert await confirm(client, ACTIVATION, sent[-1].uid_and_token) == DONE
    starts[PASSWORD_RESET] = await ask(ASKED_AT[PASSWORD_RESET], email=ANNA)
    starts[USERNAME_RESET] = await ask(ASKED_AT[USERNAME_RESET], email=ANNA)
    anna = await Person(client, "anna").sign_in()
    assert (await anna.patch("/auth/users/me/", {"email": "new@example.com"}, headers=FORGED))[0] == 200
    sent.extend(await letters())
    patterns = {
        ACTIVATION: settings.activation_url,
        PASSWORD_RESET: settings.password_reset_confirm_url,
        USERNAME_RESET: settings.username_reset_confirm_url,
    }
    for kind, letter in starts.items():
        wanted = patterns[kind].format(**letter.uid_and_token)
        assert letter.link == (wanted if "://" in wanted else f"{settings.site_url}/{wanted}")
    for letter in sent:
        assert "evil" not in letter.message.as_string() + letter.text + letter.html
        assert "gopher" not in letter.text + letter.html


@pytest.mark.parametrize(
    ("wanted", "language"),
    [("de", "de"), ("de-AT, en;q=0.5", "de"), ("fr, de;q=0.3", "de"), ("en, de;q=0.9", "en"), ("", "en"), ("xx", "en")],
)
@in_activation
async def test_every_letter_is_in_the_language_accepted_at_registration(
    client: Client, letters: Letters, wanted: str, language: str
) -> None:
    fields = {"username": "anna", "password": PASSWORD, "email": ANNA}
    other = {"Accept-Language": "en" if language == "de" else "de"}
    assert (await client.post("/auth/users/", json=fields, headers={"Accept-Language": wanted})).status == 201
    sent = await letters()
    assert (await client.post(ASKED_AT[ACTIVATION], json={"email": ANNA}, headers=other)).status == 204
    sent += await letters()
    await confirm(client, ACTIVATION, sent[-1].uid_and_token)
    for kind in (PASSWORD_RESET, USERNAME_RESET):
        assert (await client.post(ASKED_AT[kind], json={"email": ANNA}, headers=other)).status == 204
    sent += await letters()
    assert len(sent) == 5
    for letter in sent:
        assert f'lang="{language}"' in letter.html, letter.subject


@pytest.mark.parametrize(
    "name", ["a.b@c+d_e-f", "{{7*7}}".replace("{", "+").replace("}", "-").replace("*", "."), "ß" * 50]
)
async def test_markup_and_other_scripts_in_a_username_stay_text(client: Client, letters: Letters, name: str) -> None:
    await register(client, name, email=ANNA)
    assert await post(client, ASKED_AT[PASSWORD_RESET], email=ANNA) == DONE
    (letter,) = await letters()
    assert name in letter.text
    assert name in letter.html


class TestWithSharedAddresses:
    """UNIQUE_EMAIL=false: every account of the address gets a letter of its own (contract 11.5)."""

    @pytest.fixture
    def settings(self, settings: Settings, shared_addresses: None) -> Settings:
        return replace(settings, unique_email=False)

    @every_request
    @in_activation
    async def test_each_account_gets_its_own_letter(self, client: Client, letters: Letters, kind: str) -> None:
        for name, address in (("anna", ANNA), ("boris", "ANNA@example.com"), ("clara", "clara@example.com")):
            if kind == ACTIVATION:
                await register(client, name, email=address)
            else:
                await activated(client, letters, name, email=address)
        await letters()
        assert await post(client, ASKED_AT[kind], email="anna@EXAMPLE.com") == DONE
        sent = await letters()
        assert [letter.to for letter in sorted(sent, key=lambda each: each.to)] == ["ANNA@example.com", ANNA]
        links = [letter.uid_and_token for letter in sent]
        assert len({each["uid"] for each in links}) == 2
        mixed = {"uid": links[0]["uid"], "token": links[1]["token"]}
        assert await confirm(client, kind, mixed) == INVALID_TOKEN
        for number, given in enumerate(links):
            more = {"new_username": f"new.{number}"} if kind == USERNAME_RESET else {}
            assert await confirm(client, kind, given, **more) == DONE

    @in_activation
    async def test_a_new_address_that_another_account_has_is_pending_too(
        self, client: Client, letters: Letters, database: Connection
    ) -> None:
        await activated(client, letters, "boris", email="new@example.com")
        anna = await activated(client, letters)
        assert await confirm(client, EMAIL_CHANGE, await asked_by(anna, letters, EMAIL_CHANGE)) == DONE
        assert len(database.execute("select from users where email = 'new@example.com'").fetchall()) == 2


def paths() -> list[str]:
    return sorted({*ASKED_AT.values(), *TAKEN_AT.values()})


@pytest.mark.parametrize("path", paths())
async def test_a_public_endpoint_follows_the_common_rules(anna: Person, path: str) -> None:
    client = anna.client
    for header in ("Bearer nonsense", "Bearer", "Token x", "JWT a.b.c"):
        response = await client.post(path, headers={"Authorization": header})
        assert (response.status, "code" in await response.json()) == (401, not header.startswith("Token"))
    for spelling in (path, path.rstrip("/")):
        response = await client.post(spelling)
        assert (response.status, response.headers["Allow"]) == (400, "POST, OPTIONS")
        for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"):
            assert (await client.request(method, spelling)).status == 401
            status, body = await anna.ask(method, spelling)
            assert status == (200 if method == "OPTIONS" else 405)
            assert method in ("HEAD", "OPTIONS") or body == {"detail": f'Method "{method}" not allowed.'}
    for body, text in (
        ([], "Expected a dictionary, but got list."),
        ("x", "Expected a dictionary, but got str."),
        (None, "No data provided"),
    ):
        response = await client.post(path, data=json.dumps(body), headers={"Content-Type": "application/json"})
        assert response.status == 400
        assert text in (await response.json())["non_field_errors"][0]
    response = await client.post(path, data=b"{", headers={"Content-Type": "application/json"})
    assert (await response.json())["detail"].startswith("JSON parse error")
    assert (await client.post(path, data=b"x", headers={"Content-Type": "text/plain"})).status == 415
    assert (await client.post(path, headers={"Accept": "text/html"})).status == 406
