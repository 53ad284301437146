"""Profiles: every signed-in account reads them; only the owner changes one (contract 2, 3.3, 3.4, 11.16, 11.17)."""

import asyncio
import re
from typing import Any

import pytest
from aiohttp import FormData
from yarl import URL

from tests.api.profiles import path_of
from tests.conftest import Client, Person
from tests.rows import Connection

SHAPE = ["id", "user", "description", "location", "date_joined", "updated_on", "is_creator"]
FORBIDDEN = (403, {"detail": "You do not have permission to perform this action."})
MISSING = (404, {"detail": "No userProfile matches the given query."})


async def test_a_profile_has_the_shape_of_the_contract(anna: Person, boris: Person) -> None:
    status, profile = await boris.get(await path_of(anna))
    assert (status, list(profile), profile["user"]) == (200, SHAPE, "anna")
    assert profile["date_joined"].endswith("Z")


async def test_me_is_the_profile_of_the_caller(anna: Person, boris: Person) -> None:
    for person in (boris, anna):
        own = await person.get(await path_of(person))
        for path in ("/api/accounts/profile/me", "/api/accounts/profile/me/"):
            assert await person.get(path) == own
        assert own[1]["user"] == person.username


async def test_me_is_missing_without_a_profile_and_no_other_method_has_it(anna: Person, client: Client) -> None:
    await anna.delete(await path_of(anna))
    assert await anna.get("/api/accounts/profile/me") == MISSING
    assert (await anna.patch("/api/accounts/profile/me", {}))[0] == 405
    assert (await client.get("/api/accounts/profile/me")).status == 401


async def test_an_account_inserted_by_psql_has_a_profile(anna: Person, database: Connection) -> None:
    database.execute("insert into users (username) values ('imported')")
    _, profiles = await anna.get("/api/accounts/all-profiles")
    assert [profile["user"] for profile in profiles] == ["anna", "imported"]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_an_edit_changes_only_the_given_fields(anna: Person, method: str) -> None:
    path = await path_of(anna)
    state: dict[str, Any] = {"description": None, "location": "", "is_creator": False}
    for given in (
        {"description": " trimmed "},
        {"location": "Lisbon"},
        {"is_creator": True},
        {"description": None},
        {"description": "", "location": ""},
        {"id": 1, "user": "boris", "date_joined": "x", "user_id": 1, "nonsense": {}},
        {},
    ):
        status, profile = await anna.ask(method, path, json=given)
        state |= {
            name: value.strip() if isinstance(value, str) else value for name, value in given.items() if name in state
        }
        assert (status, list(profile)) == (200, SHAPE)
        assert profile.items() >= (state | {"user": "anna"}).items()


@pytest.mark.parametrize(
    ("given", "faults"),
    [
        ({"location": "x" * 31}, {"location": ["Ensure this field has no more than 30 characters."]}),
        ({"location": None}, {"location": ["This field may not be null."]}),
        ({"description": []}, {"description": ["Not a valid string."]}),
        ({"description": "a\0b"}, {"description": ["Null characters are not allowed."]}),
        ({"is_creator": "maybe"}, {"is_creator": ["Must be a valid boolean."]}),
        ({"is_creator": None}, {"is_creator": ["This field may not be null."]}),
        (
            {"is_creator": [], "location": {}},
            {"is_creator": ["Must be a valid boolean."], "location": ["Not a valid string."]},
        ),
    ],
)
async def test_an_invalid_edit_reports_every_fault_and_changes_nothing(anna: Person, given: Any, faults: Any) -> None:
    before = await anna.profile()
    path = await path_of(anna)
    for method in ("PUT", "PATCH"):
        assert await anna.ask(method, path, json=given) == (400, faults)
    assert await anna.profile() == before


@pytest.mark.parametrize(
    ("method", "flag"), [("PUT", False), ("PATCH", True)], ids=["put means false", "patch leaves it"]
)
@pytest.mark.parametrize("multipart", [False, True], ids=["form", "multipart"])
async def test_a_form_put_without_the_flag_means_false_and_a_patch_leaves_it(
    anna: Person, method: str, flag: bool, multipart: bool
) -> None:
    path = await path_of(anna)
    await anna.patch(path, {"description": "kept", "is_creator": True})
    form = FormData({"location": "Rome"}, default_to_multipart=multipart)
    status, profile = await anna.ask(method, path, data=form)
    assert (status, profile["is_creator"], profile["location"], profile["description"]) == (200, flag, "Rome", "kept")


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
@pytest.mark.parametrize("multipart", [False, True], ids=["form", "multipart"])
async def test_a_blank_flag_in_a_form_and_an_empty_form_leave_the_flag(
    anna: Person, method: str, multipart: bool
) -> None:
    path = await path_of(anna)
    await anna.patch(path, {"is_creator": True})
    form = FormData({"location": "Rome", "is_creator": " "}, default_to_multipart=multipart)
    status, profile = await anna.ask(method, path, data=form)
    assert (status, profile["is_creator"], profile["location"]) == (200, True, "Rome")
    status, profile = await anna.ask(method, path, data=b"")
    assert (status, profile["is_creator"], profile["location"]) == (200, True, "Rome")
    assert (await anna.ask(method, path, json={"is_creator": ""}))[0] == 400


@pytest.mark.parametrize("number", [2**31, 2**63, 10**30])
async def test_a_profile_beyond_the_range_of_ids_is_missing_like_any_other(anna: Person, number: int) -> None:
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        assert await anna.ask(method, f"/api/accounts/profile/{number}") == MISSING


async def test_a_form_that_creates_a_profile_may_omit_every_field(anna: Person) -> None:
    await anna.delete(await path_of(anna))
    status, profile = await anna.ask("POST", "/api/accounts/all-profiles", data={"description": ""})
    assert (status, profile["description"], profile["location"], profile["is_creator"]) == (201, "", "", False)


async def test_dates_are_utc_and_an_edit_changes_updated_on_only(anna: Person) -> None:
    before = await anna.profile()
    edited = (await anna.put(await path_of(anna), {"location": "Oslo"}))[1]
    assert edited["date_joined"] == before["date_joined"]
    assert edited["updated_on"] > before["updated_on"]
    for written in (before["date_joined"], edited["updated_on"]):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z", written)


async def test_a_time_on_the_full_second_is_written_without_a_fraction(anna: Person, database: Connection) -> None:
    database.execute("update profiles set date_joined = '2026-01-02 03:04:05+01'")
    assert (await anna.profile())["date_joined"] == "2026-01-02T02:04:05Z"


async def test_an_empty_text_in_a_form_is_stored(anna: Person) -> None:
    path = await path_of(anna)
    await anna.patch(path, {"location": "Rome"})
    assert (await anna.ask("PATCH", path, data="location="))[0] == 415
    _, profile = await anna.ask("PATCH", path, data={"location": "", "description": ""})
    assert (profile["location"], profile["description"]) == ("", "")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_only_the_owner_may_change_a_profile_and_staff_may_not(
    anna: Person, boris: Person, staff: Person, method: str
) -> None:
    before, path = await anna.profile(), await path_of(anna)
    valid = {"description": "not mine", "location": "Oslo", "is_creator": True}
    for other in (boris, staff):
        assert await other.ask(method, path, json=valid) == FORBIDDEN
        assert await other.ask(method, path, data=b"{broken") == FORBIDDEN, "before the body is read (contract 1.1)"
    assert await boris.get(path) == (200, before)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
async def test_a_missing_profile_is_404_before_the_body_is_read(anna: Person, method: str) -> None:
    assert await anna.ask(method, "/api/accounts/profile/999999999", data=b"{broken") == MISSING
    assert (await anna.ask(method, f"/api/accounts/profile/{10**40}", data=b"{broken"))[0] == 404


async def test_a_deleted_profile_can_be_created_again_once(anna: Person) -> None:
    path = await path_of(anna)
    assert await anna.delete(path) == (204, None)
    assert (await anna.get(path))[0] == 404
    given = {"description": "new", "location": "Oslo", "is_creator": "yes"}
    status, profile = await anna.post("/api/accounts/all-profiles", given)
    assert (status, list(profile)) == (201, SHAPE)
    assert profile.items() >= (given | {"is_creator": True, "user": "anna"}).items()
    assert await anna.post("/api/accounts/all-profiles", given) == (409, {"detail": "You have a profile already."})


async def test_of_many_profiles_created_at_once_one_is_stored(anna: Person) -> None:
    await anna.delete(await path_of(anna))
    responses = await asyncio.gather(*(anna.post("/api/accounts/all-profiles", {}) for _ in range(20)))
    assert sorted(status for status, _ in responses) == [201] + [409] * 19


LISTS = ["/auth/users/", "/auth/users", "/api/accounts/all-profiles", "/api/accounts/all-profiles/"]


async def read_pages(person: Person, path: str) -> list[list[dict[str, Any]]]:
    """Every page from `path` on: each page's `Link` header leads to the next."""
    response = await person.client.get(path, headers=person.header)
    assert response.status == 200
    page = await response.json()
    if "next" not in response.links:
        return [page]
    return [page, *await read_pages(person, str(URL(response.links["next"]["url"]).relative()))]


@pytest.mark.parametrize("path", LISTS)
async def test_lists_are_ordered_and_paged(staff: Person, database: Connection, path: str) -> None:
    database.execute("insert into users (username) select 'p' || n from generate_series(1, 249) n")
    pages = await read_pages(staff, path)
    rows = [row for page in pages for row in page]
    ids = [row["id"] for row in rows]
    assert ([len(page) for page in pages], ids) == ([100, 100, 50], sorted(set(ids)))
    for query, lengths in (("limit=1000", [250]), ("limit=125", [125, 125]), (f"after={ids[149]}", [100])):
        found = await read_pages(staff, f"{path}?{query}")
        assert ([len(page) for page in found], [row for page in found for row in page]) == (
            lengths,
            rows[-sum(lengths) :],
        )


@pytest.mark.parametrize("path", LISTS)
async def test_the_link_header_continues_after_the_last_row_of_the_page(staff: Person, anna: Person, path: str) -> None:
    for query, kept in (("limit=1", "limit=1&"), ("after=0&limit=1&format=xml", "limit=1&")):
        response = await staff.client.get(f"{path}?{query}", headers=staff.header)
        last = (await response.json())[-1]["id"]
        assert response.headers["Link"] == f'<{path}?{kept}after={last}>; rel="next"'
    response = await staff.client.get(f"{path}?limit=2", headers=staff.header)
    assert (len(await response.json()), response.headers.get("Link")) == (2, None)


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=1001", "limit=-1", "limit=x", "limit=", "limit=1.0", "limit=%2B1", "limit=%20", "limit=٣"),
        *("after=-1", "after=", "after=x", "after=9223372036854775808", "after=" + "9" * 5000, "after=%00", "after=²"),
    ],
)
async def test_an_invalid_page_parameter_is_a_field_error(anna: Person, query: str) -> None:
    for path in LISTS:
        status, faults = await anna.get(f"{path}?{query}")
        assert (status, list(faults)) == (400, [query.partition("=")[0]])


async def test_both_page_parameters_are_reported_together(anna: Person) -> None:
    for path in LISTS:
        status, faults = await anna.get(f"{path}?limit=x&after=y")
        assert (status, set(faults)) == (400, {"limit", "after"})


async def test_the_list_of_ones_own_account_is_paged_too(anna: Person) -> None:
    own = (await anna.get("/auth/users/me/"))[1]
    for after, rows in ((0, [own]), (anna.id - 1, [own]), (anna.id, [])):
        assert await anna.get(f"/auth/users/?after={after}") == (200, rows)


@pytest.mark.parametrize("query", ["format=xml", "format=json", "LIMIT=x", "page=%ff", "a=b&&=", "limit=1&limit=x"])
async def test_other_query_parameters_are_ignored(anna: Person, query: str) -> None:
    for path in LISTS:
        assert (await anna.get(f"{path}?{query}"))[0] == 200


async def test_profiles_of_deactivated_accounts_are_listed_for_staff_only(
    anna: Person, boris: Person, staff: Person, database: Connection
) -> None:
    database.execute("update users set is_active = false where id = %s", [boris.id])
    names = {}
    for person in (anna, staff):
        _, profiles = await person.get("/api/accounts/all-profiles")
        names[person.username] = [profile["user"] for profile in profiles]
    assert names == {"anna": ["anna", "sofia"], "sofia": ["anna", "boris", "sofia"]}


async def test_edits_of_different_fields_at_once_are_all_kept(anna: Person) -> None:
    path = await path_of(anna)
    givens = [{"description": "here"}, {"location": "Oslo"}, {"is_creator": True}]
    await asyncio.gather(*(anna.patch(path, given) for given in givens * 10))
    profile = await anna.profile()
    assert (profile["description"], profile["location"], profile["is_creator"]) == ("here", "Oslo", True)


async def test_a_read_after_an_edit_sees_the_edit(anna: Person) -> None:
    path = await path_of(anna)

    async def edit_and_read(number: int) -> None:
        _, edited = await anna.patch(path, {"description": str(number)})
        _, read = await anna.get(path)
        assert edited["description"] == str(number)
        assert read["updated_on"] >= edited["updated_on"]

    await asyncio.gather(*map(edit_and_read, range(50)))
