"""Account fields that the site declares: flat members of bodies and of the user object (contract 11.27, 11.28)."""

import asyncio
import dataclasses
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from server.settings import site
from server.settings.account_model import ACCOUNT_FIELDS_MAX_BYTES
from tests.conftest import PASSWORD, Client, Letters, Person, post
from tests.rows import Connection

SITE = """
[account]
shown_as = "name"
[account.fields]
type = "object"
required = ["name"]
properties.name = { type = "string", title = "Name", maxLength = 20 }
properties.phone = { type = "string", maxLength = 10000 }
properties.bio = { type = "string" }
properties.age = { type = "integer", minimum = 1, maximum = 130 }
properties.news = { type = "boolean" }
properties.tags = { type = "array", maxItems = 2, items = { type = "string" } }
properties.plan = { type = "string", enum = ["free", "paid"], default = "free" }
properties.invited_by = { type = "string", format = "email" }
properties.nickname = { type = "string", minLength = 3 }
properties.code_name = { type = "string", pattern = "^[a-z-]*$" }
properties.is_tested = { type = "boolean" }
[account.written_by]
plan = "staff"
is_tested = "staff"
invited_by = "registration"
[account.read_by]
name = "everyone"
"""
USERS = "/auth/users/"
ME = "/auth/users/me/"
REQUIRED = ["This field is required."]
EMPTY = {"phone": "", "bio": "", "age": None, "news": None, "tags": None, "plan": "free", "invited_by": None}
EMPTY |= {"nickname": None, "code_name": None, "is_tested": None}


def site_of(text: str, folder: Path) -> site.Site:
    (folder / "site.toml").write_text(text)
    return site.read(str(folder / "site.toml"))


@pytest.fixture
def settings(settings: Any, tmp_path: Path) -> Any:
    letter = tmp_path / "en" / "letters" / "password_changed.txt"
    letter.parent.mkdir(parents=True)
    letter.write_text("Subject: Hello\n\n{{ user.shown_name }}, {{ user.age }}")
    return dataclasses.replace(settings, site_file=site_of(SITE, tmp_path), templates_dir=tmp_path)


def account(**given: Any) -> dict[str, Any]:
    return {"username": "anna", "password": PASSWORD, "name": "Anna K."} | given


async def registered(client: Client, **given: Any) -> Any:
    status, user = await post(client, USERS, **account(**given))
    assert status == 201, user
    return user


@pytest.fixture
async def anna(client: Client) -> Person:
    user = await registered(client, email="anna@example.com")
    return await Person(client, "anna", user["id"]).sign_in()


async def test_registration_stores_the_fields_and_shows_them_in_their_order(client: Client) -> None:
    user = await registered(client, age=41, news=True, tags=["a"], bio=" film ", unknown="x")
    assert list(user) == ["email", "username", "id", "name", *EMPTY]
    expected = EMPTY | {"name": "Anna K.", "age": 41, "news": True, "tags": ["a"], "bio": "film"}
    assert {name: user[name] for name in expected} == expected
    person = await Person(client, "anna", user["id"]).sign_in()
    assert (await person.get(ME))[1] == {"email": "", "id": user["id"], "username": "anna"} | expected


async def test_forms_carry_the_same_values(client: Client) -> None:
    fields = account(age="41", news="on", tags='["a"]')
    async with client.post(USERS, data=fields) as response:
        assert response.status == 201, await response.text()
        user = await response.json()
    assert (user["age"], user["news"], user["tags"]) == (41, True, ["a"])
    form = aiohttp.FormData(fields | {"username": "boris"})
    form.add_field("unknown", b"x", filename="x.bin")
    async with client.post(USERS, data=form) as response:
        assert response.status == 201, await response.text()
        user = await response.json()
    assert (user["age"], user["news"], user["tags"]) == (41, True, ["a"])


async def test_all_faults_are_reported_together(client: Client) -> None:
    given = {"username": "a b", "password": PASSWORD, "age": 0, "news": "perhaps", "tags": ["a", 1, "c"]}
    status, faults = await post(client, USERS, **given, invited_by="x")
    assert status == 400
    assert faults == {
        "username": ["Enter a valid username. This value may contain only letters, numbers, and @/./+/-/_ characters."],
        "name": REQUIRED,
        "age": ["Ensure this value is greater than or equal to 1."],
        "news": ["Must be a valid boolean."],
        "tags": {"1": ["Not a valid string."], "non_field_errors": ["Ensure this field has no more than 2 elements."]},
        "invited_by": ["Enter a valid email address."],
    }


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("", ["This field may not be blank."]),
        (" ", ["This field may not be blank."]),
        (None, ["This field may not be null."]),
        ("x" * 21, ["Ensure this field has no more than 20 characters."]),
        (["x"], ["Not a valid string."]),
        ("a\0", ["Null characters are not allowed."]),
    ],
)
async def test_a_required_text_is_a_text(client: Client, name: Any, texts: list[str]) -> None:
    assert await post(client, USERS, **account(name=name)) == (400, {"name": texts})


async def test_a_number_becomes_text_and_text_a_number(client: Client) -> None:
    user = await registered(client, name=7, age="41")
    assert (user["name"], user["age"]) == ("7", 41)


async def test_an_optional_field_may_be_null_or_blank(client: Client) -> None:
    user = await registered(client, phone="", age="", invited_by="", bio=None, tags=None)
    assert {name: user[name] for name in EMPTY} == EMPTY


@pytest.mark.parametrize("field", ["name", "nickname", "code_name"])
async def test_a_password_like_a_name_is_refused(client: Client, field: str) -> None:
    faults = {"password": [f"The password is too similar to the {field.replace('_', ' ')}."]}
    given = account(**{field: "wolfgang-amadeus"}, password="w0lfgang-amadeus")
    assert await post(client, USERS, **given) == (400, faults)


async def test_a_new_password_like_a_name_is_refused(anna: Person) -> None:
    await anna.patch(ME, {"name": "Wolfgang Amadeus"})
    given = {"current_password": PASSWORD, "new_password": "w0lfgang-amadeus"}
    faults = {"new_password": ["The password is too similar to the name."]}
    assert await anna.post("/auth/users/set_password/", given) == (400, faults)


async def test_a_page_in_german_says_that_a_password_is_like_a_field(anna: Person, letters: Letters) -> None:
    await anna.patch(ME, {"nickname": "wolfgang-amadeus"})
    await post(anna.client, "/auth/users/reset_password/", email="anna@example.com")
    (letter,) = await letters()
    typed = {"new_password": "w0lfgang-amadeus", "re_new_password": "w0lfgang-amadeus"}
    async with anna.client.post(urlsplit(letter.link).path, data=typed, headers={"Accept-Language": "de"}) as response:
        assert "Das Passwort ist einer Ihrer Angaben zu ähnlich." in await response.text()


async def test_patch_changes_what_it_names_and_null_removes(anna: Person) -> None:
    assert (await anna.patch(ME, {"phone": "1", "age": 41}))[0] == 200
    status, user = await anna.patch(ME, {"age": None, "bio": "film"})
    assert (status, user["phone"], user["age"], user["bio"], user["name"]) == (200, "1", None, "film", "Anna K.")
    assert (await anna.patch(ME, {"name": None})) == (400, {"name": ["This field may not be null."]})


async def test_put_needs_the_required_fields_and_keeps_the_others(anna: Person) -> None:
    assert await anna.put(ME, {"phone": "1"}) == (400, {"name": REQUIRED})
    status, user = await anna.put(ME, {"name": "Anna L.", "phone": "1"})
    assert (status, user["name"], user["phone"]) == (200, "Anna L.", "1")
    status, user = await anna.put(f"/auth/users/{anna.id}/", {"name": "Anna M."})
    assert (status, user["name"], user["phone"]) == (200, "Anna M.", "1")


async def test_an_unticked_box_in_a_form_is_false(anna: Person) -> None:
    await anna.patch(ME, {"news": True})
    status, user = await anna.ask("PUT", ME, data={"name": "Anna K."})
    assert (status, user["news"]) == (200, False)


async def test_a_field_is_written_by_those_the_site_names(anna: Person, make_person: Any) -> None:
    invited = await registered(anna.client, username="clara", plan="paid", invited_by="boris@example.com")
    assert (invited["plan"], invited["invited_by"]) == ("free", "boris@example.com")
    clara = await Person(anna.client, "clara", invited["id"]).sign_in()
    status, user = await clara.patch(ME, {"plan": "paid", "invited_by": "x@example.com"})
    assert (status, user["plan"], user["invited_by"]) == (200, "free", "boris@example.com")
    staff = await make_person("sofia", staff=True, name="Sofia")
    status, user = await staff.patch(f"/auth/users/{clara.id}/", {"plan": "paid", "invited_by": None})
    assert (status, user["plan"], user["invited_by"]) == (200, "paid", None)
    status, faults = await staff.patch(f"/auth/users/{clara.id}/", {"plan": "gold"})
    assert (status, faults) == (400, {"plan": ["Not a valid choice."]})


async def test_staff_write_with_put_what_only_staff_writes_and_what_they_leave_out_stays(
    anna: Person, make_person: Any
) -> None:
    staff, path = await make_person("sofia", staff=True, name="Sofia"), f"/auth/users/{anna.id}/"
    given = {"name": "Anna", "plan": "paid", "invited_by": "boris@example.com", "is_tested": True}
    status, user = await staff.put(path, given)
    assert (status, {name: user[name] for name in given}) == (200, given)
    status, user = await staff.ask("PUT", path, data={"name": "Anna"})  # a form: an absent flag of the owner is false
    assert (status, {name: user[name] for name in given}, user["news"]) == (200, given, False)
    status, user = await anna.put(ME, {"name": "Anna", "plan": "free", "is_tested": False})
    assert (status, {name: user[name] for name in given}) == (200, given)


async def test_others_see_only_what_everyone_may_read(anna: Person) -> None:
    await anna.patch(ME, {"phone": "1"})
    await registered(anna.client, username="boris", name="Boris")
    boris = await Person(anna.client, "boris", 0).sign_in()
    _, profiles = await boris.get("/api/accounts/all-profiles")
    shown = next(each for each in profiles if each["user"] == "Anna K.")
    assert shown["name"] == "Anna K."
    assert not {"phone", "email", "username", "account_fields"} & shown.keys()
    assert (await boris.get(f"/api/accounts/profile/{shown['id']}"))[1] == shown
    assert (await boris.get(f"/auth/users/{anna.id}/"))[0] == 404


async def test_the_fields_of_an_account_are_bounded_together(anna: Person) -> None:
    text = "x" * 9000
    assert (await anna.patch(ME, {"phone": text}))[0] == 200
    too_long = f"Ensure the fields of an account have no more than {ACCOUNT_FIELDS_MAX_BYTES} bytes together."
    assert await anna.patch(ME, {"bio": text}) == (400, {"non_field_errors": [too_long]})
    assert (await anna.get(ME))[1]["bio"] == ""
    given = account(username="boris", phone=text, bio=text)
    assert await post(anna.client, USERS, **given) == (400, {"non_field_errors": [too_long]})


async def test_the_identity_is_still_one_statement(anna: Person, statements: list[str]) -> None:
    statements.clear()
    await anna.get(ME)
    assert [each for each in statements if not each.startswith("letters")] == []
    assert (await anna.get(ME))[1]["name"] == "Anna K."


async def test_a_letter_of_the_site_names_the_person(anna: Person, letters: Letters) -> None:
    await anna.patch(ME, {"age": 41})
    await anna.post("/auth/users/set_password/", {"current_password": PASSWORD, "new_password": "staple gun theory"})
    (letter,) = await letters()
    assert letter.text.strip() == "Anna K., 41"


async def test_a_front_end_reads_what_to_ask(client: Client) -> None:
    async with client.get("/api/site/") as response:
        assert response.status == 200
        described = await response.json()
    assert described["login_field"] == "username"
    assert list(described["account"]["fields"]["properties"]) == ["name", *EMPTY]
    assert described["account"]["fields"]["required"] == ["name"]
    assert (described["account"]["written_by"]["plan"], described["account"]["read_by"]["name"]) == (
        "staff",
        "everyone",
    )


async def test_simultaneous_edits_of_different_fields_lose_nothing(anna: Person) -> None:
    edits = [anna.patch(ME, {name: value}) for name, value in (("phone", "1"), ("bio", "b"), ("age", 5))]
    assert {status for status, _ in await asyncio.gather(*edits)} == {200}
    _, user = await anna.get(ME)
    assert (user["phone"], user["bio"], user["age"]) == ("1", "b", 5)


async def test_defaults_are_stored_at_registration(anna: Person, database: Connection) -> None:
    row = database.execute("select account_fields from users").fetchone()
    assert row == {"account_fields": {"name": "Anna K.", "plan": "free"}}


class TestHideUsersOff:
    """HIDE_USERS=false"""

    @pytest.fixture
    def settings(self, settings: Any) -> Any:
        return dataclasses.replace(settings, hide_users=False)

    async def test_others_see_no_field_of_the_owner(self, anna: Person, make_person: Any) -> None:
        await anna.patch(ME, {"phone": "1"})
        await registered(anna.client, username="boris", name="Boris")
        boris = await Person(anna.client, "boris", 0).sign_in()
        _, (seen, own) = await boris.get(USERS)
        assert seen == {"email": "anna@example.com", "username": "anna", "id": anna.id, "name": "Anna K."}
        assert own == (await boris.get(ME))[1]
        staff = await make_person("sofia", staff=True, name="Sofia")
        assert (await staff.get(USERS))[1][0]["phone"] == "1"


@pytest.mark.parametrize("typed", ["", " "])
async def test_a_blank_flag_in_a_form_leaves_it_as_it_is(anna: Person, typed: str) -> None:
    await anna.patch(ME, {"news": True})
    status, user = await anna.ask("PUT", ME, data={"name": "Anna K.", "news": typed})
    assert (status, user["news"]) == (200, True)


class TestOddFields:
    """A field of any type, and one with a name that the schema of a registration has for something else"""

    @pytest.fixture
    def settings(self, settings: Any, tmp_path: Path) -> Any:
        odd = '[account.fields]\ntype = "object"\nproperties.any = {}\nproperties.account = { type = "string" }\n'
        return dataclasses.replace(settings, site_file=site_of(odd, tmp_path))

    async def test_a_file_is_no_value(self, client: Client) -> None:
        form = aiohttp.FormData({"username": "anna", "password": PASSWORD})
        form.add_field("any", b"x", filename="x.bin")
        async with client.post(USERS, data=form) as response:
            assert (response.status, await response.json()) == (400, {"any": ["Not a valid string."]})

    async def test_a_password_is_compared_with_a_field_called_account(self, client: Client) -> None:
        given = {"username": "anna", "password": "w0lfgang-amadeus", "account": "wolfgang-amadeus"}
        faults = {"password": ["The password is too similar to the account."]}
        assert await post(client, USERS, **given) == (400, faults)


class TestTwoNames:
    """shown_as is one field, and another is called `name`"""

    @pytest.fixture
    def settings(self, settings: Any, tmp_path: Path) -> Any:
        two = 'shown_as = "alias"\n[account.fields]\ntype = "object"\n' + "".join(
            f'properties.{name} = {{ type = "string" }}\n' for name in ("alias", "name")
        )
        letter = tmp_path / "en" / "letters" / "password_changed.txt"
        letter.write_text("Subject: Hello\n\n{{ user.shown_name }}, {{ user.name }}")
        return dataclasses.replace(settings, site_file=site_of(f"[account]\n{two}", tmp_path))

    async def test_a_letter_has_both(self, client: Client, letters: Letters) -> None:
        user = await registered(client, email="anna@example.com", alias="Wolf", name="Anna K.")
        person = await Person(client, "anna", user["id"]).sign_in()
        given = {"current_password": PASSWORD, "new_password": "staple gun theory"}
        assert (await person.post("/auth/users/set_password/", given))[0] == 204
        (letter,) = await letters()
        assert letter.text.strip() == "Wolf, Anna K."


class TestOptionalUsername:
    """username = "optional", LOGIN_FIELD=either"""

    @pytest.fixture
    def settings(self, settings: Any, tmp_path: Path) -> Any:
        optional = site_of('[account]\nusername = "optional"\n', tmp_path)
        return dataclasses.replace(settings, site_file=optional, login_field="either")

    @pytest.mark.parametrize("none", [{}, {"username": ""}, {"username": None}, {"email": ""}])
    async def test_an_account_needs_a_username_or_an_address(self, client: Client, none: dict[str, Any]) -> None:
        assert await post(client, USERS, password=PASSWORD, **none) == (400, {"email": REQUIRED})

    async def test_the_last_of_the_two_cannot_be_taken_away(self, client: Client) -> None:
        status, user = await post(client, USERS, password=PASSWORD, email="anna@example.com")
        assert (status, user["username"]) == (201, None)
        status, tokens = await post(client, "/auth/jwt/create/", username="anna@example.com", password=PASSWORD)
        assert status == 200
        person = Person(client, "", user["id"], tokens)
        assert await person.patch(ME, {"email": ""}) == (400, {"email": ["This field may not be blank."]})
        assert (await person.get(ME))[1] == {"email": "anna@example.com", "id": user["id"], "username": None}
        assert (await person.profile())["user"] == ""
