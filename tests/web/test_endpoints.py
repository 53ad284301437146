"""Declarations of endpoints: their keywords are checked, their access and their query schema are kept to."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from server.settings.settings import Settings
from server.web.app_keys import API_TOKENS, DB, SESSION_USES, SETTINGS, STOPPING, TOKENS
from server.web.authentication import access
from server.web.bodies import read_body
from server.web.documentation.endpoints import describe, document
from server.web.endpoints import Access, Endpoints, install
from server.web.middleware import errors
from server.web.queries import read_query
from server.web.schemas.lists import PageQuery
from server.web.schemas.objects import Address
from tests.conftest import Client, FrontdeskServer, Person

table = Endpoints("small", other_methods=Access.ANONYMOUS)


@table.post("/reports/", access=Access.STAFF, body=Address)
async def make_report(request: web.Request) -> Any:
    """Make a report."""
    return await read_body(request)


@table.get("/pages/", access=Access.ANONYMOUS, query=PageQuery)
async def show_page(request: web.Request) -> Any:
    """Show which page is asked for."""
    return read_query(request)


@pytest.fixture
async def small(client: Client, settings: Settings) -> AsyncIterator[Client]:
    """An application that has the endpoints of `table` alone, over the database and the tokens of `client`."""
    app = web.Application(middlewares=[errors, access])
    app[SETTINGS], app[STOPPING] = settings, asyncio.Event()
    app[DB], app[TOKENS], app[API_TOKENS] = client.app[DB], client.app[TOKENS], client.app[API_TOKENS]
    app[SESSION_USES] = client.app[SESSION_USES]
    install(app, [table])
    describe(app)
    async with TestClient(FrontdeskServer(app)) as visitor:
        yield visitor


def test_a_misspelt_keyword_is_a_type_error_when_the_endpoint_is_declared() -> None:
    for declare in (table.get, table.post, table.put, table.patch, table.delete):
        with pytest.raises(TypeError, match="acess"):
            declare("/x", acess=Access.PUBLIC)  # type: ignore[call-arg]


@pytest.mark.parametrize("second", ["/reports/", "/reports"])
def test_two_endpoints_of_one_method_and_path_are_an_error_that_names_both(settings: Settings, second: str) -> None:
    other = Endpoints("other")

    @other.post(second)
    async def report(request: web.Request) -> Any:
        """Report."""

    app = web.Application()
    app[SETTINGS] = settings
    with pytest.raises(ValueError, match=r"POST /reports/? is declared twice: by .*\.make_report and .*\.report\."):
        install(app, [table, other])


async def test_an_endpoint_for_staff_answers_staff_alone(small: Client, anna: Person, staff: Person) -> None:
    given = {"email": "a@b.co"}
    for headers, status in (({}, 401), (anna.header, 403), (staff.header, 200)):
        assert (await small.post("/reports/", json=given, headers=headers)).status == status
    refused = await small.post("/reports/", json=given, headers=anna.header)
    assert await refused.json() == {"detail": "You do not have permission to perform this action."}


async def test_callers_who_are_not_staff_are_refused_before_the_body_is_read(
    small: Client, anna: Person, staff: Person
) -> None:
    for person, status in ((anna, 403), (staff, 400)):
        headers = person.header | {"Content-Type": "application/json"}
        assert (await small.post("/reports/", data=b"{", headers=headers)).status == status


async def test_the_document_says_that_an_endpoint_is_for_staff(small: Client) -> None:
    operation = document(small.app)["paths"]["/reports/"]["post"]
    assert {"401", "403"} <= set(operation["responses"])
    assert operation["security"] == [{"bearer": []}, {"token": []}]


@pytest.mark.parametrize(
    ("query", "page"),
    [
        ("", {"after": 0, "limit": 100}),
        ("?limit=1000&after=9223372036854775807", {"after": 2**63 - 1, "limit": 1000}),
        ("?limit=007", {"after": 0, "limit": 7}),
        ("?after=3&unknown=x&LIMIT=x&&=", {"after": 3, "limit": 100}),
        ("?limit=1&limit=x", {"after": 0, "limit": 1}),
    ],
    ids=["absent", "largest", "leading zeros", "unknown parameters are ignored", "the first of a repeated one counts"],
)
async def test_a_query_is_read_by_the_schema_of_its_endpoint(small: Client, query: str, page: dict[str, int]) -> None:
    response = await small.get(f"/pages/{query}")
    assert (response.status, await response.json()) == (200, page)


@pytest.mark.parametrize("value", ["", "0", "1001", "-1", "+1", "1.0", "1e2", "%201", "१", "x", "%00", "9" * 5000])
async def test_a_wrong_query_parameter_is_a_400_field_error(small: Client, value: str) -> None:
    response = await small.get(f"/pages/?limit={value}")
    assert (response.status, await response.json()) == (400, {"limit": ["Must be a whole number from 1 to 1000."]})


async def test_all_faults_of_a_query_are_reported_together(small: Client) -> None:
    response = await small.get("/pages/?limit=x&limit=1&after=9223372036854775808")
    assert (response.status, await response.json()) == (
        400,
        {
            "limit": ["Must be a whole number from 1 to 1000."],
            "after": [f"Must be a whole number from 0 to {2**63 - 1}."],
        },
    )


async def test_the_document_has_the_parameters_of_the_query_schema(small: Client) -> None:
    limit, after = document(small.app)["paths"]["/pages/"]["get"]["parameters"]
    assert limit == {
        "in": "query",
        "name": "limit",
        "required": False,
        "description": "Rows at most.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
    }
    assert (after["name"], after["schema"]["minimum"], after["schema"]["format"]) == ("after", 0, "int64")
