"""The main path of the API: register, sign in, read and edit one's profile."""

from typing import Any

from tests.conftest import PASSWORD, Client, Person, post


async def test_registration_returns_201(client: Client) -> None:
    status, user = await post(client, "/auth/users/", username="anna", password=PASSWORD, email="anna@example.com")
    assert (status, list(user)) == (201, ["email", "username", "id"])
    assert (user["email"], user["username"]) == ("anna@example.com", "anna")


async def test_the_token_of_a_registered_account_lists_profiles(anna: Person) -> None:
    status, profiles = await anna.get("/api/accounts/all-profiles")
    assert status == 200
    assert [profile["user"] for profile in profiles] == ["anna"]


async def test_a_request_without_a_token_is_401(client: Client) -> None:
    response = await client.get("/api/accounts/all-profiles")
    assert response.status == 401
    assert await response.json() == {"detail": "Authentication credentials were not provided."}


async def test_a_new_account_has_a_profile_that_it_can_read(anna: Person) -> None:
    profile = await anna.profile()
    status, same = await anna.get(f"/api/accounts/profile/{profile['id']}")
    assert (status, same) == (200, profile)
    new: dict[str, Any] = {"user": "anna", "description": None, "location": "", "is_creator": False}
    assert same.items() >= new.items()


async def test_put_of_a_profile_returns_200_and_the_new_values(anna: Person) -> None:
    profile = await anna.profile()
    given = {"description": "film club", "location": "Lisbon", "is_creator": True}
    status, edited = await anna.put(f"/api/accounts/profile/{profile['id']}", given)
    assert status == 200
    assert edited == profile | given | {"updated_on": edited["updated_on"]}
    assert edited["updated_on"] > profile["updated_on"]
