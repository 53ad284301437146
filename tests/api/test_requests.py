"""Letters that are asked for by address: who gets one, what it says, what the caller learns (trust 6, 8, 27)."""

import json
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from server.database import migrate
from server.settings.settings import Settings
from tests.conftest import PASSWORD, Client, Person, in_mode, post
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

ANNA = "anna@example.com"

in_activation = in_mode("activation")
every_request = pytest.mark.parametrize("kind", ASKED_AT)


async def ready(client: Client, letters: Any, kind: str) -> None:
    """Make anna's account one that may have a letter of `kind`."""
    if kind == ACTIVATION:
        await register(client)
    else:
        await activated(client, letters)
    await letters()


@every_request
@in_activation
async def test_a_known_and_an_unknown_address_are_the_same_work(
    client: Client, letters: Any, database: Any, statements: list[str], hashes: Any, kind: str
) -> None:
    await ready(client, letters, kind)
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
async def test_an_address_typed_in_another_case_gets_its_letter_as_it_is_stored(
    client: Client, letters: Any, kind: str, typed: str
) -> None:
    await ready(client, letters, kind)
    assert await post(client, ASKED_AT[kind], email=typed) == DONE
    assert [letter.to for letter in await letters()] == [ANNA]


LOOK_ALIKES = [
    "mıke@example.com",  # a dotless i
    "mİke@example.com",  # a dotted capital
    "mi\u212ae@example.com",  # the sign of Kelvin
    "mike@exampıe.com",
    "mike@examp\u2113e.com",
    "mike@ｅxample.com",
    "mike@example.com.",
    "mike@\u0435xample.com",  # Cyrillic
]


@pytest.mark.parametrize("typed", LOOK_ALIKES)
@pytest.mark.parametrize("kind", [PASSWORD_RESET, USERNAME_RESET])
async def test_a_look_alike_address_mails_the_stored_one_or_nobody(
    client: Client, letters: Any, kind: str, typed: str
) -> None:
    await register(client, "mike")
    assert (await post(client, ASKED_AT[kind], email=typed))[0] in (204, 400)
    assert {letter.to for letter in await letters()} <= {"mike@example.com"}


@pytest.mark.parametrize("typed", LOOK_ALIKES)
async def test_a_look_alike_address_of_ones_own_gets_ones_own_link(client: Client, letters: Any, typed: str) -> None:
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
async def test_no_request_has_a_say_in_a_letters_link(client: Client, letters: Any, settings: Settings) -> None:
    sent = []

    async def ask(path: str, **says: Any) -> Any:
        response = await client.request("POST", path, json=says, headers=FORGED)
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
async def test_the_language_asked_for_at_registration_is_that_of_every_letter(
    client: Client, letters: Any, wanted: str, language: str
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
async def test_a_name_of_odd_letters_stays_text(client: Client, letters: Any, name: str) -> None:
    await register(client, name, email=ANNA)
    assert await post(client, ASKED_AT[PASSWORD_RESET], email=ANNA) == DONE
    (letter,) = await letters()
    assert name in letter.text
    assert name in letter.html


class TestWithSharedAddresses:
    """UNIQUE_EMAIL=false: every account of the address gets a letter of its own (contract 11.5)."""

    @pytest.fixture
    def settings(self, settings: Settings, database_url: str) -> Any:
        migrate.migrate(database_url, unique_email=False)
        yield replace(settings, unique_email=False)
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute("delete from users")
        migrate.migrate(database_url)

    @every_request
    @in_activation
    async def test_each_account_gets_its_own_letter(self, client: Client, letters: Any, kind: str) -> None:
        for name, address in (("anna", ANNA), ("boris", "ANNA@example.com"), ("clara", "clara@example.com")):
            if kind == ACTIVATION:
                await register(client, name, email=address)
            else:
                await activated(client, letters, name, email=address)
        await letters()
        assert await post(client, ASKED_AT[kind], email="anna@EXAMPLE.com") == DONE
        sent = await letters()
        assert [letter.to for letter in sorted(sent, key=lambda each: each.to)] == ["ANNA@example.com", ANNA]
        carried = [letter.uid_and_token for letter in sent]
        assert len({each["uid"] for each in carried}) == 2
        mixed = {"uid": carried[0]["uid"], "token": carried[1]["token"]}
        assert await confirm(client, kind, mixed) == INVALID_TOKEN
        for number, given in enumerate(carried):
            more = {"new_username": f"new.{number}"} if kind == USERNAME_RESET else {}
            assert await confirm(client, kind, given, **more) == DONE

    @in_activation
    async def test_an_address_of_somebody_else_waits_like_any_other(
        self, client: Client, letters: Any, database: Any
    ) -> None:
        await activated(client, letters, "boris", email="new@example.com")
        anna = await activated(client, letters)
        assert await confirm(client, EMAIL_CHANGE, await asked_by(anna, letters, EMAIL_CHANGE)) == DONE
        assert len(database.execute("select from users where email = 'new@example.com'").fetchall()) == 2


def paths() -> list[str]:
    return sorted({*ASKED_AT.values(), *TAKEN_AT.values()})


@pytest.mark.parametrize("path", paths())
async def test_a_public_endpoint_keeps_the_rules_of_every_other(anna: Person, path: str) -> None:
    client = anna.client
    for header in ("Bearer nonsense", "Bearer", "Token x", "JWT a.b.c"):
        response = await client.post(path, headers={"Authorization": header})
        assert (response.status, "code" in await response.json()) == (401, not header.startswith("Token"))
    for spelling in (path, path.rstrip("/")):
        response = await client.post(spelling)
        assert (response.status, response.headers["Allow"]) == (400, "POST, OPTIONS")
        for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"):
            assert (await client.request(method, spelling)).status == 401
            status, answer = await anna.ask(method, spelling)
            assert status == (200 if method == "OPTIONS" else 405)
            assert method in ("HEAD", "OPTIONS") or answer == {"detail": f'Method "{method}" not allowed.'}
    for body, says in (
        ([], "Expected a dictionary, but got list."),
        ("x", "Expected a dictionary, but got str."),
        (None, "No data provided"),
    ):
        response = await client.post(path, data=json.dumps(body), headers={"Content-Type": "application/json"})
        assert response.status == 400
        assert says in (await response.json())["non_field_errors"][0]
    response = await client.post(path, data=b"{", headers={"Content-Type": "application/json"})
    assert (await response.json())["detail"].startswith("JSON parse error")
    assert (await client.post(path, data=b"x", headers={"Content-Type": "text/plain"})).status == 415
    assert (await client.post(path, headers={"Accept": "text/html"})).status == 406
