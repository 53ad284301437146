"""Looking for addresses and names that others have is limited, also for a caller who is signed in (security 9)."""

from typing import Any

import pytest

from server.settings.rates import Rate
from tests.api.test_limits import LOW, OTHERS, STRANGER
from tests.conftest import PASSWORD, Client, Letters, Person, post
from tests.links import EMAIL_RESET_ASKED_AT, EMAIL_RESET_TAKEN_AT
from tests.rows import Connection

ME = "/auth/users/me/"
FEW: dict[str, Any] = {"limit_changes_account": Rate(3, 900), "limit_changes_network": Rate(5, 900)}
NO_LETTERS: dict[str, Any] = {"limit_letters_address": None, "limit_letters_network": None}
few = pytest.mark.parametrize("settings", [LOW | FEW | NO_LETTERS], indirect=True)
by_email = pytest.mark.parametrize("settings", [LOW | FEW | NO_LETTERS | {"login_field": "email"}], indirect=True)


async def try_address(person: Person, address: str, *, by: str = STRANGER, method: str = "PATCH") -> int:
    headers = {"X-Forwarded-For": by}
    status, _ = await person.ask(method, ME, json={"email": address}, headers=headers)
    return status


@few
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
async def test_tries_of_addresses_that_others_have_are_limited(anna: Person, boris: Person, method: str) -> None:
    statuses = [await try_address(anna, "boris@example.com", method=method) for _ in range(4)]
    assert statuses == [400, 400, 400, 429]
    assert await try_address(boris, "new@example.com") == 200  # another account


@few
async def test_a_try_counts_whatever_its_answer(anna: Person, boris: Person) -> None:
    assert await try_address(anna, "free@example.com") == 200
    assert await try_address(anna, "boris@example.com") == 400
    assert await try_address(anna, "BORIS@example.com") == 400
    assert await try_address(anna, "free2@example.com") == 429


@few
async def test_tries_of_many_accounts_count_together_for_their_network(anna: Person, boris: Person) -> None:
    for number, person in enumerate((anna, anna, anna, boris, boris)):
        assert await try_address(person, f"new{number}@example.com") == 200
    assert await try_address(boris, "another@example.com") == 429
    assert (
        await try_address(boris, "another@example.com", by=OTHERS) == 429
    )  # the try that was refused counts for boris


@few
async def test_the_present_address_is_no_try(anna: Person) -> None:
    for address in ("anna@example.com", "ANNA@example.com", "Anna@Example.com", "anna@example.com", "anna@example.com"):
        assert await try_address(anna, address, method="PUT") == 200


@few
async def test_staff_are_not_limited_since_they_see_all_accounts(staff: Person, anna: Person) -> None:
    statuses = [(await staff.patch(f"/auth/users/{anna.id}/", {"email": f"a{n}@example.com"}))[0] for n in range(5)]
    assert statuses == [200] * 5


@few
async def test_tries_of_names_count_with_the_right_password_too(anna: Person, boris: Person) -> None:
    given = {"new_username": "boris", "current_password": PASSWORD}
    statuses = [(await anna.post("/auth/users/set_username/", given))[0] for _ in range(4)]
    assert statuses == [400, 400, 400, 429]


@by_email
async def test_tries_of_an_address_to_sign_in_with_are_limited(
    client: Client, database: Connection, letters: Letters
) -> None:
    anna = await signed_in_by_email(client, "anna")
    await signed_in_by_email(client, "boris")
    given = {"new_email": "boris@example.com", "current_password": PASSWORD}
    assert [(await anna.post("/auth/users/set_email/", given))[0] for _ in range(4)] == [400, 400, 400, 429]
    database.execute("delete from limits")
    await letters()
    assert (await post(client, EMAIL_RESET_ASKED_AT, email="anna@example.com"))[0] == 204
    link = next(each.uid_and_token for each in await letters() if each.link)
    tries = [post(client, EMAIL_RESET_TAKEN_AT, new_email="boris@example.com", **link) for _ in range(4)]
    assert [(await each)[0] for each in tries] == [400, 400, 400, 429]


async def signed_in_by_email(client: Client, name: str) -> Person:
    account = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
    status, user = await post(client, "/auth/users/", **account)
    assert status == 201
    _, tokens = await post(client, "/auth/jwt/create/", email=f"{name}@example.com", password=PASSWORD)
    return Person(client, name, user["id"], tokens)
