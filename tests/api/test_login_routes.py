"""The routes of what people sign in with are named after it (contract 11.29)."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from server.app import create_app
from server.settings import site
from server.settings.account_model import AccountModel
from server.settings.settings import Settings
from server.settings.site import Site
from server.web.documentation.endpoints import document
from tests.conftest import PASSWORD, Client, Letters, Person, in_mode, post
from tests.links import DONE, EMAIL_RESET, INVALID_TOKEN, USERNAME_RESET, confirm, link, register
from tests.locks import Race
from tests.rows import Connection

EXAMPLES = Path(__file__).parent.parent.parent / "examples" / "site"
ANNA, BORIS, NEW = "anna@example.com", "boris@example.com", "new@example.com"
ME = "/auth/users/me/"
NOT_FOUND = (404, {"detail": "Not found."})
TAKEN_USERNAME = {"username": ["A user with that username already exists."]}

BY_EMAIL: dict[str, Any] = {"login_field": "email"}
WITHOUT_USERNAMES: dict[str, Any] = BY_EMAIL | {"site_file": site.read(str(EXAMPLES / "email-and-names.toml"))}
OPTIONAL = Site(account=AccountModel(username="optional"))
WITH_OPTIONAL_USERNAMES: dict[str, Any] = BY_EMAIL | {"site_file": OPTIONAL}
EITHER_WITH_OPTIONAL_USERNAMES: dict[str, Any] = {"login_field": "either", "site_file": OPTIONAL}
USERNAME_ROUTES = ("set_username/", "reset_username/", "reset_username_confirm/")
EMAIL_ROUTES = ("set_email/", "reset_email/", "reset_email_confirm/")

by_email = pytest.mark.parametrize("settings", [BY_EMAIL], indirect=True)


async def signed_in(client: Client, **given: str) -> Person:
    user = await register(client, **given)
    status, tokens = await post(client, "/auth/jwt/create/", email=ANNA, password=PASSWORD)
    assert status == 200, tokens
    return Person(client, "anna", user["id"], tokens)


@pytest.mark.parametrize(
    ("settings", "routes"),
    [
        ({}, USERNAME_ROUTES),
        ({"login_field": "either"}, USERNAME_ROUTES),
        (EITHER_WITH_OPTIONAL_USERNAMES, USERNAME_ROUTES),
        (BY_EMAIL, USERNAME_ROUTES + EMAIL_ROUTES),
        (WITH_OPTIONAL_USERNAMES, USERNAME_ROUTES + EMAIL_ROUTES),
        (WITHOUT_USERNAMES, EMAIL_ROUTES),
    ],
    ids=[
        "username",
        "either",
        "either, optional usernames",
        "email",
        "email, optional usernames",
        "email without usernames",
    ],
    indirect=["settings"],
)
async def test_only_the_routes_of_the_site_exist(client: Client, settings: Settings, routes: tuple[str, ...]) -> None:
    written = document(create_app(settings))
    paths = written["paths"]
    assert [name for name in written["components"]["schemas"] if name[-1].isdigit()] == []  # one schema, one name
    for route in USERNAME_ROUTES + EMAIL_ROUTES:
        status, said = await post(client, f"/auth/users/{route}")
        assert ((status, said) == NOT_FOUND) is (route not in routes), route
        assert (f"/auth/users/{route}" in paths) is (route in routes), route


@pytest.mark.parametrize("settings", [WITHOUT_USERNAMES], indirect=True)
@pytest.mark.parametrize("path", ["/username/reset", "/username/reset/MQ/abc"])
async def test_a_site_without_usernames_has_no_page_for_them(client: Client, path: str) -> None:
    assert (await client.get(path)).status == 404
    assert (await client.post(path)).status == 404


@by_email
async def test_set_username_changes_the_username_where_the_address_signs_in(client: Client, letters: Letters) -> None:
    anna = await signed_in(client)
    await register(client, "boris")
    given = {"new_username": "anna.k", "current_password": PASSWORD}
    status, said = await anna.post("/auth/users/set_username/", given | {"new_username": "BORIS"})
    assert (status, said) == (400, {"new_username": TAKEN_USERNAME["username"]})
    assert await anna.post("/auth/users/set_username/", given) == DONE
    assert (await anna.get(ME))[1] == {"email": ANNA, "id": anna.id, "username": "anna.k"}
    assert [letter.to for letter in await letters()] == [ANNA]


@by_email
async def test_a_letter_resets_the_username_and_another_one_the_address(client: Client, letters: Letters) -> None:
    anna = await signed_in(client)
    username_route, email_route = "/auth/users/reset_username", "/auth/users/reset_email"
    for kind, field, value, asked_at, other in (
        (USERNAME_RESET, "new_username", "anna.k", username_route, email_route),
        (EMAIL_RESET, "new_email", NEW, email_route, username_route),
    ):
        assert await post(client, f"{asked_at}/", email=ANNA) == DONE
        given = await link(letters, ANNA)
        both = {"new_username": "x", "new_email": "x@example.com"}
        assert await post(client, f"{other}_confirm/", **given, **both) == INVALID_TOKEN  # one purpose (security 26)
        assert await confirm(client, kind, given, **{field: value}) == DONE
        assert (await confirm(client, kind, given, **{field: value}))[0] == 400
    assert (await anna.get(ME))[1] == {"email": NEW, "id": anna.id, "username": "anna.k"}


@by_email
async def test_an_edit_changes_the_username_and_not_the_login_field(client: Client, letters: Letters) -> None:
    anna = await signed_in(client)
    await register(client, "boris")
    await letters()
    status, user = await anna.patch(ME, {"username": "anna.k", "email": NEW})
    assert (status, user) == (200, {"email": ANNA, "id": anna.id, "username": "anna.k"})
    assert len(await letters()) == 1
    assert (await anna.put(ME, {"username": "ａｎｎａ.k"}))[1]["username"] == "anna.k"
    assert await letters() == []  # the same name is no change
    assert (await anna.put(ME, {}))[0] == 200
    assert await anna.patch(ME, {"username": "Boris"}) == (400, TAKEN_USERNAME)
    status, said = await anna.patch(ME, {"username": "a b"})
    assert (status, [*said]) == (400, ["username"])


@pytest.mark.parametrize("settings", [WITH_OPTIONAL_USERNAMES], indirect=True)
async def test_an_optional_username_is_taken_given_up_and_chosen_again(client: Client, letters: Letters) -> None:
    status, user = await post(client, "/auth/users/", email=ANNA, password=PASSWORD)
    assert (status, user["username"]) == (201, None)
    _, tokens = await post(client, "/auth/jwt/create/", email=ANNA, password=PASSWORD)
    anna = Person(client, "", user["id"], tokens)
    assert (await anna.patch(ME, {"username": "anna"}))[1]["username"] == "anna"
    assert (await anna.patch(ME, {"username": None}))[1]["username"] is None
    await register(client, email=BORIS)  # the name that was given up is free
    given = {"new_username": "anna.k", "current_password": PASSWORD}
    assert await anna.post("/auth/users/set_username/", given) == DONE
    assert (await anna.put(ME, {}))[1]["username"] == "anna.k"
    assert (await anna.put(ME, {"username": ""}))[1]["username"] is None


@by_email
async def test_a_username_that_two_accounts_choose_at_once_is_one_accounts(client: Client) -> None:
    people = []
    for name in ("anna", "boris"):
        user = await register(client, name)
        _, tokens = await post(client, "/auth/jwt/create/", email=user["email"], password=PASSWORD)
        people.append(Person(client, name, user["id"], tokens))
    responses = await asyncio.gather(
        people[0].patch(ME, {"username": "clara"}), people[1].patch(ME, {"username": "CLARA"})
    )
    assert sorted(status for status, _ in responses) == [200, 400]
    assert TAKEN_USERNAME in [said for _, said in responses]


@by_email
async def test_an_edit_of_an_account_that_is_deleted_at_the_same_moment_is_refused(client: Client, race: Race) -> None:
    anna = await signed_in(client)
    response = await race("delete from users", anna.patch(ME, {"username": "anna.k"}))
    assert response == (401, {"detail": "User not found", "code": "user_not_found"})


@pytest.mark.parametrize("settings", [{}, {"login_field": "either"}], indirect=True, ids=["username", "either"])
async def test_an_edit_does_not_change_a_username_that_signs_in(anna: Person) -> None:
    status, user = await anna.patch(ME, {"username": "anne"})
    assert (status, user["username"]) == (200, "anna")


@pytest.mark.parametrize("settings", [WITHOUT_USERNAMES], indirect=True)
async def test_without_usernames_an_edit_ignores_one(client: Client, database: Connection) -> None:
    names = {"first_name": "Anna", "last_name": "K"}
    status, user = await post(client, "/auth/users/", email=ANNA, password=PASSWORD, **names)
    assert status == 201, user
    _, tokens = await post(client, "/auth/jwt/create/", email=ANNA, password=PASSWORD)
    anna = Person(client, "", user["id"], tokens)
    status, user = await anna.patch(ME, {"username": "anna"})
    assert status == 200
    assert "username" not in user


@pytest.mark.parametrize("settings", [WITHOUT_USERNAMES], indirect=True)
async def test_without_usernames_the_address_is_set_and_reset(client: Client, letters: Letters) -> None:
    names = {"first_name": "Anna", "last_name": "K"}
    status, user = await post(client, "/auth/users/", email=ANNA, password=PASSWORD, **names)
    assert status == 201, user
    _, tokens = await post(client, "/auth/jwt/create/", email=ANNA, password=PASSWORD)
    anna = Person(client, "", user["id"], tokens)
    given = {"new_email": "second@example.com", "current_password": PASSWORD}
    assert await anna.post("/auth/users/set_email/", given) == DONE
    assert [(letter.to, letter.link) for letter in await letters()] == [(ANNA, "")]  # security 28
    assert await post(client, "/auth/users/reset_email/", email="second@example.com") == DONE
    assert await confirm(client, EMAIL_RESET, await link(letters, "second@example.com"), new_email=NEW) == DONE
    assert (await post(client, "/auth/jwt/create/", email=NEW, password=PASSWORD))[0] == 200


@in_mode("default", login_field="email", email_reset_confirm_url="#/email/{uid}/{token}")
async def test_the_link_of_the_letter_is_a_setting(client: Client, letters: Letters) -> None:
    await register(client)
    await letters()
    await post(client, "/auth/users/reset_email/", email=ANNA)
    (letter,) = await letters()
    assert "/#/email/" in letter.link
    assert letter.subject == "New e-mail address for Frontdesk"


@in_mode("activation", login_field="email")
async def test_with_activation_a_reset_address_waits_for_its_link(client: Client, letters: Letters) -> None:
    await register(client)
    assert await confirm(client, "activation", await link(letters, ANNA)) == DONE
    await letters()
    assert await post(client, "/auth/users/reset_email/", email=ANNA) == DONE
    assert await confirm(client, EMAIL_RESET, await link(letters, ANNA), new_email=NEW) == DONE
    assert (await post(client, "/auth/jwt/create/", email=NEW, password=PASSWORD))[0] == 401
    assert await confirm(client, "email_change", await link(letters, NEW)) == DONE
    assert (await post(client, "/auth/jwt/create/", email=NEW, password=PASSWORD))[0] == 200
