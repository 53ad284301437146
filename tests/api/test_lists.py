"""Lists are searched, filtered and ordered, on pages that lead to each other (contract 2.3)."""

from typing import Any

import pytest
from yarl import URL

from server.accounts.listing import NO_PLACE
from tests.api.test_profiles import read_pages
from tests.conftest import MakePerson, Person, in_mode
from tests.rows import Connection, only_row

USERS, PROFILES = "/auth/users/", "/api/accounts/all-profiles"
NAMES = ("Mario", "maria", "МАРИЯ", "Zoë", "王小", "o'b_%")  # the last by psql, as an import may


@pytest.fixture
async def people(staff: Person, database: Connection) -> Person:
    """Some accounts, and the staff account that asks for them."""
    for name in NAMES:
        database.execute(
            "insert into users (username, email) values (%s, %s)", [name, f"{len(name)}.{ord(name[0])}@x.example"]
        )
    return staff


async def names(person: Person, path: str, **query: Any) -> list[str | None]:
    """The usernames on every page of a list."""
    pages = await read_pages(person, str(URL(path).with_query(query)))
    return [row.get("username", row.get("user")) for page in pages for row in page]


@pytest.mark.parametrize("path", [USERS, PROFILES])
@pytest.mark.parametrize(
    ("term", "found"),
    [
        ("mari", ["Mario", "maria"]),
        ("ARI", ["Mario", "maria"]),
        ("мария", ["МАРИЯ"]),
        ("АРИ", ["МАРИЯ"]),
        ("zoe\u0308", ["Zoë"]),
        ("ｍａｒｉｏ", ["Mario"]),
        ("王", ["王小"]),
        ("王小", ["王小"]),
        ("m", ["Mario", "maria"]),
        ("ma", ["Mario", "maria"]),
        ("ar", []),
        ("b_%", ["o'b_%"]),
        ("a%a", []),
        ("ma_ia", []),
        ("'", []),
        ("\\\\", []),
        ("marii", []),
        ("  mario ", ["Mario"]),
        ("", ["sofia", *NAMES]),
    ],
)
async def test_a_search_finds_usernames_in_any_spelling(people: Person, path: str, term: str, found: list[str]) -> None:
    assert await names(people, path, search=term) == found


@pytest.mark.parametrize("term", ["6.1082@x.example", "6.1082@", "@X.EXAMPLE", "6.10"])
async def test_staff_find_accounts_by_address(people: Person, database: Connection, term: str) -> None:
    database.execute("update users set email = '6.1082@x.example' where username = 'Mario'")
    assert "Mario" in await names(people, USERS, search=term)


async def test_staff_find_accounts_by_the_texts_of_their_fields(people: Person, database: Connection) -> None:
    fields = '{"first_name": "Ana Lucía", "age": 12345, "tags": ["secret"], "b": true}'
    database.execute("update users set account_fields = %s where username = 'Mario'", [fields])
    for term, found in (("lucía", ["Mario"]), ("ANA", ["Mario"]), ("12345", []), ("secret", []), ("first_name", [])):
        assert await names(people, USERS, search=term) == found


async def test_profiles_are_not_found_by_what_only_the_owner_and_staff_see(
    people: Person, make_person: MakePerson, database: Connection
) -> None:
    database.execute("update users set account_fields = '{\"phone\": \"555123\"}' where username = 'Mario'")
    anna = await make_person("anna", email="secret@example.com")
    for person in (anna, people):
        for term in ("secret", "@example.com", "x.example", "555123"):
            assert await names(person, PROFILES, search=term) == []


@pytest.mark.parametrize(
    ("path", "ordering", "key"),
    [
        (USERS, "-id", "id"),
        (USERS, "id", "id"),
        (USERS, "username", "username"),
        (USERS, "-username", "username"),
        (PROFILES, "-id", "id"),
        (PROFILES, "user", "user"),
        (PROFILES, "-user", "user"),
    ],
)
@pytest.mark.parametrize("query", ["", "&search=p", "&search=example"])
async def test_every_row_is_on_one_page_in_the_order_that_was_asked_for(
    staff: Person, database: Connection, path: str, ordering: str, key: str, query: str
) -> None:
    database.execute(
        "insert into users (username, email)"
        " select 'p' || (n * 7919) % 1000 || 'example', n || '@example.com' from generate_series(1, 25) n".replace(
            "%%", "%"
        )
    )
    pages = await read_pages(staff, f"{path}?limit=4&ordering={ordering}{query}")
    keys = [row[key] for page in pages for row in page]
    assert len(keys) == 25 + (query == "")
    assert [len(page) for page in pages[:-1]] == [4] * 6
    assert keys == sorted(set(keys), reverse=ordering.startswith("-"))


async def test_the_link_keeps_what_was_asked_for(staff: Person, database: Connection) -> None:
    database.execute("insert into users (username) select 'é&' || n from generate_series(1, 3) n")
    asked = f"{USERS}?search=%C3%A9%26&limit=2&is_active=true&ordering=-id&unknown=1"
    response = await staff.client.get(asked, headers=staff.header)
    next_page = URL(response.links["next"]["url"]).query
    assert dict(next_page) == {
        **{"search": "é&", "limit": "2", "is_active": "true", "ordering": "-id"},
        **{"after": str((await response.json())[-1]["id"])},
    }


@pytest.mark.parametrize("path", [USERS, PROFILES])
async def test_a_page_after_a_row_that_is_gone_is_a_field_error_where_its_name_is_needed(
    staff: Person, path: str
) -> None:
    ordering = "username" if path == USERS else "user"
    for after in (999999999, 2**63 - 1):
        asked = {"ordering": ordering, "after": after}
        assert await staff.get(path, params=asked) == (400, {"after": [NO_PLACE]})
        assert await staff.get(path, params={"after": after}) == (200, [])


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("is_staff=true", {"sofia"}),
        ("is_staff=false", {"active", "deactivated", "waiting"}),
        ("is_active=false", {"deactivated", "waiting"}),
        ("is_active=true", {"sofia", "active"}),
        ("awaits_activation=yes", {"waiting"}),
        ("awaits_activation=0&is_active=0", {"deactivated"}),
        ("is_active=false&search=wait", {"waiting"}),
        ("is_staff=true&is_active=false", set()),
        ("is_staff=false&ordering=-username", {"active", "deactivated", "waiting"}),
    ],
)
async def test_staff_filter_accounts_by_state(staff: Person, database: Connection, query: str, found: set[str]) -> None:
    database.execute(
        "insert into users (username, is_active, awaits_activation)"
        " values ('active', true, false), ('deactivated', false, false), ('waiting', false, true)"
    )
    assert set(await names(staff, USERS, **dict(URL(f"?{query}").query))) == found


async def test_a_site_without_roles_has_no_filter_of_the_role(staff: Person, database: Connection) -> None:
    database.execute("insert into users (username, role) values ('tess', 'teacher')")
    for path in (USERS, PROFILES):
        assert await names(staff, path, role="teacher") == ["sofia", "tess"]


async def test_a_search_shows_profiles_of_deactivated_accounts_to_staff_only(
    staff: Person, anna: Person, database: Connection
) -> None:
    database.execute("insert into users (username, is_active) values ('boris', false)")
    assert await names(anna, PROFILES, search="bor") == []
    assert await names(staff, PROFILES, search="bor") == ["boris"]


async def test_people_get_themselves_whatever_they_search(anna: Person, boris: Person) -> None:
    for query in ({"search": "bor"}, {"ordering": "-id"}, {"is_staff": "true"}):
        assert await names(anna, USERS, **query) == ["anna"]


@in_mode("default", hide_users=False)
async def test_people_who_see_all_accounts_search_the_active_ones_and_filter_none(
    anna: Person, boris: Person, staff: Person, database: Connection
) -> None:
    database.execute("insert into users (username, is_active) values ('bora', false)")
    assert await names(anna, USERS, search="bor") == ["boris"]
    assert await names(anna, USERS, is_staff="true", is_active="false") == ["anna", "boris", "sofia"]


@pytest.mark.parametrize(
    ("query", "faults"),
    [
        ({"search": "x" * 101}, {"search": ["Ensure this field has no more than 100 characters."]}),
        ({"search": "a\0b"}, {"search": ["Null characters are not allowed."]}),
        ({"ordering": "email"}, {"ordering": ["Must be one of id, -id, username, -username."]}),
        ({"ordering": ""}, {"ordering": ["Must be one of id, -id, username, -username."]}),
        ({"is_active": "maybe"}, {"is_active": ["Must be a valid boolean."]}),
        (
            {"is_staff": "", "limit": "0"},
            {"is_staff": ["Must be a valid boolean."], "limit": ["Must be a whole number from 1 to 1000."]},
        ),
    ],
)
async def test_a_wrong_query_is_a_field_error(staff: Person, query: dict[str, str], faults: dict[str, Any]) -> None:
    assert await staff.get(USERS, params=query) == (400, faults)


@pytest.mark.parametrize(
    "term", ["ß", "ǅ", "\u00ad", "ﷺ", "\u0345", "𝕬𝖓", "a" * 100, "%", "' or 1=1", "\\u0000", "\ufffd"]
)
@pytest.mark.parametrize("path", [USERS, PROFILES])
async def test_any_text_can_be_searched_for(staff: Person, path: str, term: str) -> None:
    assert await names(staff, path, search=term) == []


async def test_accounts_without_a_username_are_on_no_page_by_username(staff: Person, database: Connection) -> None:
    row = only_row(database, "insert into users (username, email) values (null, 'a@example.com') returning id")
    assert await names(staff, USERS, ordering="username") == ["sofia"]
    assert (await staff.get(USERS, params={"ordering": "username", "after": row["id"]}))[0] == 400
    assert await names(staff, USERS, search="a@e") == [None]


async def test_an_account_is_found_by_its_new_name_and_not_by_the_old_one(staff: Person, database: Connection) -> None:
    database.execute("insert into users (username) values ('before')")
    database.execute("update users set username = 'after1' where username = 'before'")
    assert await names(staff, USERS, search="before") == []
    assert await names(staff, USERS, search="after1") == ["after1"]
