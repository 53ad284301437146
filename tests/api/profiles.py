"""The profile of an account: where it is, and what it has on a site with roles."""

from typing import Any

from tests.conftest import Person

SHAPE_WITH_ROLE = [
    *("id", "user", "description", "location", "date_joined", "updated_on", "is_creator", "role", "fields"),
]


async def path_of(person: Person) -> str:
    """The path of an account's own profile."""
    return f"/api/accounts/profile/{(await person.profile())['id']}"


async def fields_of(person: Person) -> Any:
    """The role's fields in an account's own profile."""
    return (await person.profile())["fields"]
