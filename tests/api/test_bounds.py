"""Every text and every response has a bound (security 36)."""

from collections.abc import Callable
from typing import Any

import pytest

from server.database.database import Database
from server.database.transaction import Transaction
from server.web.paging import PAGE_MAX_BYTES
from server.web.schemas.fields import DESCRIPTION_MAX_BYTES
from tests.api.test_profiles import read_pages
from tests.conftest import PASSWORD, Client, Person, post

TOO_LONG = ["Ensure this field has no more than 16384 bytes."]


@pytest.mark.parametrize(
    "text", ["x" * DESCRIPTION_MAX_BYTES, "漢" * (DESCRIPTION_MAX_BYTES // 3) + "x"], ids=["x", "漢"]
)
async def test_a_description_has_at_most_16_kb(anna: Person, client: Client, text: str) -> None:
    path = "/api/accounts/profile/" + str((await anna.get("/api/accounts/all-profiles"))[1][0]["id"])
    assert (await anna.patch(path, {"description": text}))[1]["description"] == text
    async with client.patch(path, headers=anna.header, data={"description": text}) as response:
        assert (response.status, (await response.json())["description"]) == (200, text)
    longer = {"description": text + "x"}
    assert await anna.patch(path, longer) == (400, {"description": TOO_LONG})
    assert await anna.put(path, longer) == (400, {"description": TOO_LONG})
    assert await post(client, "/auth/users/", username="b", password=PASSWORD, profile=longer) == (
        400,
        {"profile": {"description": TOO_LONG}},
    )


@pytest.mark.parametrize("limit", [100, 1000])
@pytest.mark.parametrize(
    ("text", "rows"),
    [
        pytest.param("x" * DESCRIPTION_MAX_BYTES, 150, id="long texts"),
        pytest.param("\x01" * DESCRIPTION_MAX_BYTES, 30, id="texts six times as long as JSON"),
        pytest.param("x" * 2_000_000, 3, id="texts from before the bound"),
    ],
)
async def test_a_page_ends_early_at_1_mb_with_its_link(
    staff: Person, database: Any, text: str, rows: int, limit: int
) -> None:
    database.execute("insert into users (username) select 'p' || n from generate_series(1, %s) n", [rows])
    database.execute("update profiles set description = %s", [text])
    path = f"/api/accounts/all-profiles?limit={limit}"
    pages = await read_pages(staff, path)
    ids = [row["id"] for page in pages for row in page]
    assert (len(ids), ids) == (rows + 1, sorted(set(ids)))
    response = await staff.client.get(path, headers=staff.header)
    size, one = len(await response.read()), len(text.replace("\x01", "      "))
    assert size <= max(PAGE_MAX_BYTES, one + 1000)
    assert size + one + 1000 > PAGE_MAX_BYTES  # no row more fits


async def test_a_page_of_accounts_ends_early_at_1_mb_with_its_link(staff: Person, database: Any) -> None:
    database.execute(
        "insert into users (username, account_fields)"
        " select 'p' || n, jsonb_build_object('a', repeat('x', 16000)) from generate_series(1, 150) n"
    )
    pages = await read_pages(staff, "/auth/users/?limit=1000")
    assert [len(page) for page in pages] == [64, 63, 24]
    assert len({row["id"] for page in pages for row in page}) == 151


@pytest.mark.parametrize(
    ("path", "rows"),
    [
        ("/auth/users/", [151, 64]),  # ids, then accounts
        ("/api/accounts/all-profiles", [64]),
        ("/api/accounts/all-profiles?ordering=-id", [151, 63]),
    ],
)
async def test_the_database_sends_no_more_than_a_page_holds(
    staff: Person, database: Any, monkeypatch: pytest.MonkeyPatch, path: str, rows: list[int]
) -> None:
    database.execute(
        "insert into users (username, account_fields)"
        " select 'p' || n, jsonb_build_object('a', repeat('x', 16000)) from generate_series(1, 150) n"
    )
    sent: list[int] = []

    def recording(query: Callable[..., Any]) -> Callable[..., Any]:
        async def record(self: Any, name: str, *arguments: Any) -> Any:
            found = await query(self, name, *arguments)
            sent.append(len(found))
            return found

        return record

    for asker in (Database, Transaction):
        monkeypatch.setattr(asker, "rows", recording(asker.rows))
    assert (await staff.get(path, params={"limit": 1000}))[0] == 200
    assert sent == rows


async def test_a_page_of_events_ends_early_at_1_mb_with_its_link(staff: Person, database: Any) -> None:
    database.execute(
        "insert into events (kind, user_id, details, device, request_id)"
        " select 'fields_changed', %s, jsonb_build_object('fields', repeat('x', 6000)), '', ''"
        " from generate_series(1, 300)",
        [staff.id],
    )
    pages = await read_pages(staff, "/api/events/?limit=1000&kind=fields_changed")
    assert len(pages) == 2
    assert len({row["id"] for page in pages for row in page}) == 300
