"""The fields of a role in profiles: what they accept and how they are edited (docs/decisions/roles.md)."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from server.settings.roles import Roles
from server.settings.settings import Settings
from tests.api.profiles import SHAPE_WITH_ROLE, fields_of, path_of
from tests.conftest import MakePerson, Person
from tests.rows import Connection, only_row

REQUIRED = ["This field is required."]
UNKNOWN = ["Unknown field."]
NO_ROLE = (400, {"fields": ["Without a role there are no fields."]})


@pytest.fixture
def settings(settings: Settings, school_roles: Roles) -> Settings:
    return replace(settings, roles_file=school_roles)


async def test_put_replaces_the_fields_and_patch_merges_them(tess: Person) -> None:
    path = await path_of(tess)
    for method, given, expected in (
        ("PATCH", {"subjects": ["latin"]}, {"school": "Lyceum", "subjects": ["latin"]}),
        ("PATCH", {"subjects": None}, {"school": "Lyceum"}),
        ("PATCH", {}, {"school": "Lyceum"}),
        (
            "PUT",
            {"school": " Gymnasium ", "address": {"city": "Rome"}},
            {"school": "Gymnasium", "address": {"city": "Rome"}},
        ),
        ("PUT", {"school": "Lyceum"}, {"school": "Lyceum"}),
    ):
        status, profile = await tess.ask(method, path, json={"fields": given})
        assert (status, list(profile), profile["fields"]) == (200, SHAPE_WITH_ROLE, expected)
        assert (await tess.get(path))[1] == profile


async def test_an_edit_without_fields_keeps_them(tess: Person) -> None:
    path = await path_of(tess)
    for method in ("PUT", "PATCH"):
        status, profile = await tess.ask(method, path, json={"location": method})
        assert (status, profile["location"], profile["fields"]) == (200, method, {"school": "Lyceum"})


async def test_fields_and_the_rest_of_the_profile_change_together_or_not_at_all(tess: Person) -> None:
    path = await path_of(tess)
    given = {"location": "Rome", "fields": {"school": "Liceo"}}
    status, profile = await tess.put(path, given)
    assert (status, profile.items() >= given.items()) == (200, True)
    for faulty in ({"location": "Oslo", "fields": {"school": 7}}, {"location": "x" * 31, "fields": {"school": "Oslo"}}):
        assert (await tess.put(path, faulty))[0] == 400
    assert await tess.profile() == profile


@pytest.mark.parametrize(
    ("method", "given", "faults"),
    [
        ("PUT", {}, {"school": REQUIRED}),
        ("PATCH", {"school": None}, {"school": REQUIRED}),
        ("PATCH", {"more": 1}, {"more": UNKNOWN}),
        ("PUT", {"school": 7, "more": 1}, {"school": ["Not a valid string."], "more": UNKNOWN}),
        ("PATCH", {"address": {}}, {"address": {"city": REQUIRED}}),
        ("PATCH", {"subjects": ["a", "a"]}, {"subjects": ["Ensure this field has no repeated elements."]}),
        ("PATCH", {"school": "x\0"}, {"school": ["Null characters are not allowed."]}),
        ("PUT", [], {"non_field_errors": ["Invalid data. Expected a dictionary, but got list."]}),
        ("PUT", None, ["This field may not be null."]),
        ("PATCH", {"school": "x" * 17_000}, {"non_field_errors": ["Ensure this field has no more than 16384 bytes."]}),
    ],
)
async def test_invalid_fields_are_reported_together_with_other_faults(
    tess: Person, method: str, given: Any, faults: Any
) -> None:
    path = await path_of(tess)
    before = await tess.profile()
    assert await tess.ask(method, path, json={"fields": given}) == (400, {"fields": faults})
    both = {"fields": faults, "is_creator": ["Must be a valid boolean."]}
    assert await tess.ask(method, path, json={"fields": given, "is_creator": "maybe"}) == (400, both)
    assert await tess.profile() == before


async def test_unknown_fields_are_ignored_if_the_schema_does_not_forbid_them(
    make_person: MakePerson,
) -> None:
    student = await make_person("stan", role="student", profile={"fields": {"grade": 3, "is_staff": True}})
    assert await fields_of(student) == {"grade": 3}
    await student.patch(await path_of(student), {"fields": {"role": "principal", "nick": "st"}})
    assert await fields_of(student) == {"grade": 3, "nick": "st"}


async def test_an_account_without_a_role_has_no_fields(anna: Person, database: Connection) -> None:
    path = await path_of(anna)
    for method in ("PUT", "PATCH"):
        assert await anna.ask(method, path, json={"fields": {"school": "x"}, "location": "Rome"}) == NO_ROLE
        # A client may send the profile back as it was read.
        assert (await anna.ask(method, path, json=await anna.profile()))[0] == 200
    assert database.execute("select from role_fields").fetchall() == []


async def test_a_form_sends_fields_as_json_text(tess: Person) -> None:
    path = await path_of(tess)
    status, profile = await tess.ask("PATCH", path, data={"fields": '{"subjects": ["latin"]}'})
    assert (status, profile["fields"]) == (200, {"school": "Lyceum", "subjects": ["latin"]})
    status, faults = await tess.ask("PUT", path, data={"fields": "school=x"})
    assert (status, list(faults)) == (400, ["fields"])
    # In JSON a text stays a text: it is not parsed as an object.
    assert (await tess.ask("PUT", path, json={"fields": '{"school": "x"}'}))[0] == 400


async def test_edits_of_different_fields_at_once_are_all_kept(tess: Person) -> None:
    path = await path_of(tess)
    givens: list[Any] = [
        {"fields": {"school": "Liceo"}},
        {"fields": {"subjects": ["latin"]}},
        {"fields": {"address": {"city": "Rome"}}},
        {"location": "Rome"},
    ]
    responses = await asyncio.gather(*(tess.patch(path, given) for given in givens * 5))
    assert {status for status, _ in responses} == {200}
    profile = await tess.profile()
    assert profile["fields"] == {"school": "Liceo", "subjects": ["latin"], "address": {"city": "Rome"}}
    assert profile["location"] == "Rome"


async def test_deleting_the_profile_deletes_the_fields_and_both_can_be_created_again(
    tess: Person, database: Connection
) -> None:
    await tess.delete(await path_of(tess))
    assert only_row(database, "select fields from role_fields") == {"fields": {}}
    path = "/api/accounts/all-profiles"
    assert await tess.post(path, {"fields": {"subjects": []}}) == (400, {"fields": {"school": REQUIRED}})
    given = {"location": "Rome", "fields": {"school": "Liceo"}}
    status, profile = await tess.post(path, given)
    assert (status, list(profile), profile.items() >= given.items()) == (201, SHAPE_WITH_ROLE, True)
    assert await tess.post(path, given) == (409, {"detail": "You have a profile already."})


class TestWithARemovedRole:
    """ROLES_FILE has no role of this name any more, or the schema requires more than before."""

    async def test_it_is_shown_unchanged_and_its_fields_cannot_be_edited(
        self, tess: Person, database: Connection
    ) -> None:
        database.execute("insert into role_fields (user_id, role, fields) values (%s, 'gone', '{\"a\": 1}')", [tess.id])
        database.execute("update users set role = 'gone' where id = %s", [tess.id])
        profile = await tess.profile()
        assert (profile["role"], profile["fields"]) == ("gone", {"a": 1})
        assert (await tess.get("/auth/users/me/"))[1]["role"] == "gone"
        for method in ("PUT", "PATCH"):
            refused = await tess.ask(method, await path_of(tess), json={"fields": {"a": 2}})
            assert refused == (400, {"fields": ["The role of this account has no fields any more."]})
            assert (await tess.ask(method, await path_of(tess), json={"location": "Rome"}))[0] == 200
        assert await fields_of(tess) == {"a": 1}

    async def test_stored_fields_are_shown_and_checked_again_only_when_they_are_edited(
        self, tess: Person, database: Connection
    ) -> None:
        database.execute("update role_fields set fields = '{}'")
        assert await fields_of(tess) == {}
        assert (await tess.patch(await path_of(tess), {"location": "Rome"}))[0] == 200
        faults = {"fields": {"school": REQUIRED}}
        assert await tess.patch(await path_of(tess), {"fields": {"subjects": []}}) == (400, faults)
