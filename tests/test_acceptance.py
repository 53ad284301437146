"""The classic acceptance tests of this API."""

from typing import Any

from tests.conftest import PASSWORD, Client, Person, post


async def test_registration_answers_201(client: Client) -> None:
    status, user = await post(client, "/auth/users/", username="anna", password=PASSWORD, email="anna@example.com")
    assert (status, list(user)) == (201, ["email", "username", "id"])
    assert (user["email"], user["username"]) == ("anna@example.com", "anna")


async def test_a_registered_users_token_lists_profiles(anna: Person) -> None:
    status, profiles = await anna.get("/api/accounts/all-profiles")
    assert status == 200
    assert [profile["user"] for profile in profiles] == ["anna"]


async def test_without_a_token_401(client: Client) -> None:
    response = await client.get("/api/accounts/all-profiles")
    assert response.status == 401
    assert await response.json() == {"detail": "Authentication credentials were not provided."}


async def test_the_fresh_users_own_profile_is_there_and_readable(anna: Person) -> None:
    profile = await anna.profile()
    status, same = await anna.get(f"/api/accounts/profile/{profile['id']}")
    assert (status, same) == (200, profile)
    fresh: dict[str, Any] = {"user": "anna", "description": None, "location": "", "is_creator": False}
    assert same.items() >= fresh.items()


async def test_put_of_description_location_is_creator_answers_200_with_the_values(anna: Person) -> None:
    profile = await anna.profile()
    given = {"description": "film club", "location": "Lisbon", "is_creator": True}
    status, edited = await anna.put(f"/api/accounts/profile/{profile['id']}", given)
    assert status == 200
    assert edited == profile | given | {"updated_on": edited["updated_on"]}
    assert edited["updated_on"] > profile["updated_on"]
