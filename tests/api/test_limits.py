"""Limits: guessing, flooding and collecting are slowed down; owners are not locked out (security 9)."""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from server.app import create_app
from server.database.database import Database
from server.settings.rates import Rate, rate
from server.settings.settings import Settings
from server.settings.values import cores
from tests.auth.test_passwords import Counting, hashes
from tests.conftest import PASSWORD, Client, FrontdeskServer, Letters, MakePerson, Person, in_mode, post
from tests.rows import Connection

__all__ = ["hashes"]  # a fixture

PROXIED: dict[str, Any] = {"trusted_proxies": (ipaddress.ip_network("127.0.0.0/8"),)}
"""Tests choose the address of a client with X-Forwarded-For."""

LOW: dict[str, Any] = PROXIED | {
    "limit_sign_in_account": Rate(3, 900),
    "limit_sign_in_network": Rate(5, 900),
    "limit_registrations_network": Rate(2, 900),
    "limit_letters_address": Rate(2, 900),
    "limit_letters_network": Rate(4, 900),
    "limit_links_network": Rate(2, 900),
}
low = pytest.mark.parametrize("settings", [LOW], indirect=True)
HOME, STRANGER, OTHERS = "192.0.2.1", "198.51.100.1", "203.0.113.7"


async def send(client: Client, path: str, *, by: str = STRANGER, method: str = "POST", **fields: Any) -> int:
    """The status of a request of the client with the address `by`."""
    async with client.request(method, path, json=fields, headers={"X-Forwarded-For": by}) as response:
        return response.status


async def guess(client: Client, name: str = "anna", *, by: str = STRANGER, path: str = "/auth/jwt/create/") -> int:
    return await send(client, path, by=by, username=name, password="a wrong guess")


async def sign_in(client: Client, *, by: str, path: str = "/auth/jwt/create/") -> int:
    return await send(client, path, by=by, username="anna", password=PASSWORD)


async def register_anna(client: Client, database: Connection) -> None:
    """Register an account at home; no limit has counted anything after it."""
    account = {"username": "anna", "email": "anna@example.com", "password": PASSWORD}
    assert await send(client, "/auth/users/", by=HOME, **account) == 201
    database.execute("delete from limits")


@low
async def test_wrong_passwords_of_an_account_are_refused_after_a_few(client: Client, anna: Person) -> None:
    assert [await guess(client) for _ in range(5)] == [401, 401, 401, 429, 429]
    assert await sign_in(client, by=STRANGER) == 429  # a right one, too: a guesser must not learn that it is right


@low
async def test_guesses_from_many_networks_count_together_for_the_account(client: Client, anna: Person) -> None:
    assert [await guess(client, by=f"198.51.100.{host}") for host in range(1, 6)] == [401, 401, 401, 429, 429]


@low
async def test_guesses_for_many_accounts_count_together_for_the_network(client: Client, anna: Person) -> None:
    assert [await guess(client, f"account{number}") for number in range(7)] == [*[401] * 5, 429, 429]
    assert await guess(client, "another", by=OTHERS) == 401


@low
async def test_an_unknown_name_is_limited_like_a_known_one(client: Client, anna: Person) -> None:
    answers = {}
    for name, by in (("anna", STRANGER), ("unknown", OTHERS)):
        answers[name] = [await guess(client, name, by=by) for _ in range(4)]
    assert answers["anna"] == answers["unknown"] == [401, 401, 401, 429]


@low
async def test_spellings_of_a_name_count_as_one_account(client: Client, anna: Person) -> None:
    assert [await guess(client, name) for name in ("anna", "ANNA", "Anna", "ａｎｎａ")] == [401, 401, 401, 429]


@low
async def test_every_endpoint_that_checks_a_password_shares_the_limit(
    client: Client, anna: Person, database: Connection
) -> None:
    async def with_session(method: str, path: str, **fields: Any) -> int:
        headers = {"X-Forwarded-For": OTHERS}
        status, _ = await anna.ask(method, path, json={"current_password": "a wrong guess"} | fields, headers=headers)
        return status

    acts: list[Callable[[], Awaitable[int]]] = [
        lambda: with_session("DELETE", "/auth/users/me/"),
        lambda: with_session("POST", "/auth/users/set_password/", new_password="staple gun theory"),
        lambda: with_session("POST", "/auth/users/set_username/", new_username="anne"),
        lambda: guess(client, by=OTHERS),
        lambda: guess(client, by=OTHERS, path="/auth/token/login/"),
    ]
    for act in acts:
        database.execute("delete from limits")
        assert await act() in (400, 401)
        for _ in range(2):
            await guess(client)
        assert [await other() for other in acts] == [429] * 5


@low
async def test_the_owner_signs_in_from_a_known_network_while_a_stranger_guesses(client: Client, anna: Person) -> None:
    assert await sign_in(client, by=HOME) == 200
    assert [await guess(client) for _ in range(4)] == [401, 401, 401, 429]
    for path in ("/auth/jwt/create/", "/auth/token/login/"):
        assert await sign_in(client, by=HOME, path=path) == 200
    assert await sign_in(client, by=OTHERS) == 429


@low
async def test_guesses_from_a_known_network_are_limited_too(client: Client, anna: Person) -> None:
    assert await sign_in(client, by=HOME) == 200
    assert [await guess(client, by=HOME) for _ in range(4)] == [401, 401, 401, 429]
    assert await sign_in(client, by=OTHERS) == 200


@low
async def test_guesses_from_a_known_network_count_for_the_network_and_are_not_refused_by_it(
    client: Client, anna: Person
) -> None:
    assert await sign_in(client, by=HOME) == 200
    assert [await guess(client, by=HOME) for _ in range(3)] == [401] * 3
    assert [await guess(client, f"account{number}", by=HOME) for number in range(3)] == [401, 401, 429]
    assert await sign_in(client, by=HOME) == 429  # the limit of the two: 3
    assert await sign_in(client, by=OTHERS) == 200


@low
async def test_the_owner_signs_in_from_a_known_network_while_another_guesses_there(
    client: Client, anna: Person
) -> None:
    assert await sign_in(client, by=HOME) == 200
    assert [await guess(client, f"account{number}", by=HOME) for number in range(6)] == [*[401] * 5, 429]
    assert await sign_in(client, by=HOME) == 200


@low
async def test_a_right_password_never_counts(client: Client, anna: Person) -> None:
    assert {await sign_in(client, by=STRANGER) for _ in range(10)} == {200}


@low
async def test_many_right_sign_ins_at_the_same_moment_are_all_accepted(client: Client, anna: Person) -> None:
    assert await asyncio.gather(*(sign_in(client, by=STRANGER) for _ in range(30))) == [200] * 30


@low
async def test_of_many_guesses_at_the_same_moment_no_more_are_tried_than_the_limit_and_one_for_each_thread(
    client: Client, anna: Person
) -> None:
    statuses = await asyncio.gather(*(guess(client) for _ in range(30)))
    assert 3 <= statuses.count(401) <= 3 + cores() - 1
    assert statuses.count(401) + statuses.count(429) == 30


@low
async def test_a_refused_try_costs_no_hash(client: Client, anna: Person, hashes: Counting) -> None:
    for _ in range(3):
        await guess(client)
    hashes.threads.clear()
    assert await guess(client) == 429
    assert hashes.threads == []


@low
async def test_a_refusal_says_when_to_come_again(client: Client, anna: Person) -> None:
    for _ in range(3):
        await guess(client)
    body = {"username": "anna", "password": PASSWORD}
    async with client.post("/auth/jwt/create/", json=body, headers={"X-Forwarded-For": STRANGER}) as response:
        seconds = int(response.headers["Retry-After"])
        assert 290 <= seconds <= 300  # the first of three tries in 900 s drains in 300 s
        assert response.headers["RateLimit-Policy"] == '"account";q=3;w=900'
        assert response.headers["RateLimit"] == f'"account";r=0;t={seconds}'
        detail = f"Request was throttled. Expected available in {seconds} seconds."
        assert await response.json() == {"detail": detail}


@low
async def test_one_more_try_is_allowed_when_its_share_of_the_window_has_passed(
    client: Client, anna: Person, database: Connection
) -> None:
    for _ in range(3):
        await guess(client)
    database.execute("update limits set drained_at = drained_at - interval '300 seconds'")
    assert [await guess(client) for _ in range(2)] == [401, 429]


@low
async def test_a_limit_that_drained_long_ago_allows_no_more_than_a_fresh_one(
    client: Client, anna: Person, database: Connection
) -> None:
    await guess(client)
    await send(client, "/auth/users/reset_password/", by=OTHERS, email="anna@example.com")
    database.execute("update limits set drained_at = now() - interval '1 day'")
    assert [await guess(client) for _ in range(4)] == [401, 401, 401, 429]
    letters = [send(client, "/auth/users/reset_password/", by=OTHERS, email="anna@example.com") for _ in range(3)]
    assert [await each for each in letters] == [204, 204, 429]


@low
async def test_a_refused_try_does_not_wait_for_a_hashing_thread(client: Client, anna: Person, hashes: Counting) -> None:
    for _ in range(3):
        await guess(client)
    hashes.threads.clear()
    hashes.gate.clear()
    busy = [asyncio.create_task(guess(client, f"other{number}", by=OTHERS)) for number in range(cores())]
    async with asyncio.timeout(5):
        while len(hashes.threads) < cores():
            await asyncio.sleep(0.001)
        assert await guess(client) == 429
    hashes.gate.set()
    assert set(await asyncio.gather(*busy)) == {401}


@low
async def test_limits_hold_on_every_worker_and_after_a_restart(
    client: Client, anna: Person, settings: Settings
) -> None:
    for _ in range(3):
        await guess(client)
    async with TestClient(FrontdeskServer(create_app(settings))) as another:
        assert await guess(another) == 429


@low
async def test_registrations_from_a_network_are_limited_taken_names_included(client: Client, anna: Person) -> None:
    names = ["anna", "zoe", "yara"]
    statuses = [await send(client, "/auth/users/", username=name, password=PASSWORD) for name in names]
    assert statuses == [400, 201, 429]
    assert await send(client, "/auth/users/", by=OTHERS, username="yara", password=PASSWORD) == 201


@pytest.mark.parametrize("settings", [LOW | {"send_activation_email": True}], indirect=True)
@pytest.mark.parametrize("path", ["reset_password/", "reset_username/", "resend_activation/"])
@pytest.mark.parametrize("address", ["anna@example.com", "unknown@example.com"])
async def test_letters_to_an_address_are_limited_whether_it_is_known_or_not(
    client: Client, database: Connection, path: str, address: str
) -> None:
    await register_anna(client, database)
    spellings = [address, address.upper(), address]
    assert [await send(client, f"/auth/users/{path}", email=each) for each in spellings] == [204, 204, 429]


@low
@pytest.mark.parametrize("name", ["anna", "zoee"])
async def test_all_spellings_of_a_name_count_together_whether_it_is_known_or_not(
    client: Client, database: Connection, name: str
) -> None:
    assert await send(client, "/auth/users/", by=HOME, username="anna", password=PASSWORD) == 201
    wide = "".join(chr(ord(each) + 0xFEE0) for each in name)
    tries = [(each, {"username": text}) for each, text in enumerate([name, name.upper(), wide, name, wide])]
    statuses = [
        await send(client, "/auth/jwt/create/", by=f"198.51.100.{100 + number}", password="wrong one", **given)
        for number, given in tries
    ]
    assert statuses[-1] == 429
    assert statuses.index(429) == 3


@low
async def test_a_right_password_of_an_inactive_account_counts_like_a_wrong_one(
    client: Client, database: Connection
) -> None:
    assert await send(client, "/auth/users/", by=HOME, username="anna", password=PASSWORD) == 201
    database.execute("update users set is_active = false")

    async def tries(password: str) -> list[int]:
        database.execute("delete from limits")
        networks = [f"198.51.100.{number}" for number in range(1, 6)]
        given = {"username": "anna", "password": password}
        return [await send(client, "/auth/jwt/create/", by=network, **given) for network in networks]

    right, wrong = await tries(PASSWORD), await tries("wrong one")
    assert right == wrong
    assert 429 in right


@low
async def test_requests_for_other_letters_do_not_keep_the_owner_from_a_reset(
    client: Client, database: Connection
) -> None:
    await register_anna(client, database)
    strangers = [await send(client, "/auth/users/reset_username/", email="anna@example.com") for _ in range(3)]
    assert strangers == [204, 204, 429]
    assert await send(client, "/auth/users/reset_password/", by=HOME, email="anna@example.com") == 204


@low
async def test_letters_that_a_network_asks_for_are_limited(client: Client, database: Connection) -> None:
    asked = [send(client, "/auth/users/reset_password/", email=f"a{number}@example.com") for number in range(5)]
    assert [await each for each in asked] == [204, 204, 204, 204, 429]


@pytest.mark.parametrize("settings", [LOW | {"send_activation_email": True}], indirect=True)
async def test_letters_that_ask_to_confirm_a_new_address_are_limited(client: Client, database: Connection) -> None:
    account = {"username": "anna", "email": "anna@example.com", "password": PASSWORD}
    assert await send(client, "/auth/users/", by=HOME, **account) == 201
    database.execute("update users set is_active = true")
    database.execute("delete from limits")
    status, tokens = await post(client, "/auth/jwt/create/", username="anna", password=PASSWORD)
    assert status == 200
    anna = Person(client, "anna", 0, tokens)
    headers = {"X-Forwarded-For": STRANGER}
    statuses = []
    for _ in range(3):
        status, _ = await anna.patch("/auth/users/me/", {"email": "victim@example.com"}, headers=headers)
        statuses.append(status)
    assert statuses == [200, 200, 429]


@pytest.mark.parametrize("settings", [LOW | {"send_activation_email": True}, LOW], indirect=True)
async def test_another_spelling_of_an_address_writes_no_letter_and_counts_as_none(
    client: Client, database: Connection
) -> None:
    account = {"username": "anna", "email": "anna@example.com", "password": PASSWORD}
    assert await send(client, "/auth/users/", by=HOME, **account) == 201
    database.execute("update users set is_active = true, awaits_activation = false")
    database.execute("delete from limits")
    _, tokens = await post(client, "/auth/jwt/create/", username="anna", password=PASSWORD)
    anna = Person(client, "anna", 0, tokens)
    for address in ("Anna@example.com", "ANNA@example.com", "anna@Example.com", "anna@example.com"):
        assert (await anna.patch("/auth/users/me/", {"email": address}))[0] == 200


@pytest.mark.parametrize("settings", [LOW | {"limit_letters_network": None, "login_field": "email"}], indirect=True)
async def test_another_spelling_of_a_login_address_counts_as_no_letter(client: Client, database: Connection) -> None:
    await register_anna(client, database)
    _, tokens = await post(client, "/auth/jwt/create/", email="anna@example.com", password=PASSWORD)
    anna = Person(client, "anna", 0, tokens)
    for address in ("Anna@example.com", "ANNA@example.com", "anna@example.com"):
        given = {"new_email": address, "current_password": PASSWORD}
        assert (await anna.post("/auth/users/set_email/", given))[0] == 204


@pytest.mark.parametrize("settings", [LOW | {"send_activation_email": True}], indirect=True)
@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("activation/", {}),
        ("reset_password_confirm/", {"new_password": "staple gun theory"}),
        ("reset_username_confirm/", {"new_username": "anne"}),
    ],
)
async def test_links_that_are_not_valid_are_limited_for_a_network(
    client: Client, database: Connection, path: str, more: dict[str, str]
) -> None:
    guesses = [send(client, f"/auth/users/{path}", uid="MQ", token=f"guess{number}", **more) for number in range(3)]
    assert [await each for each in guesses] == [400, 400, 429]


@pytest.mark.parametrize("settings", [LOW | {"send_activation_email": True}], indirect=True)
async def test_of_many_links_at_the_same_moment_no_more_are_looked_at_than_the_limit(
    client: Client, database: Connection
) -> None:
    guesses = [send(client, "/auth/users/activation/", uid="MQ", token=f"guess{number}") for number in range(40)]
    statuses = await asyncio.gather(*guesses)
    assert sorted(statuses) == [400, 400, *[429] * 38]


@pytest.mark.parametrize("settings", [LOW | {"limit_letters_address": None}], indirect=True)
@pytest.mark.parametrize("fault", [{}, {"new_username": "boris"}])
async def test_a_valid_link_does_not_count_also_when_its_request_has_a_fault(
    client: Client, anna: Person, boris: Person, letters: Letters, fault: dict[str, str]
) -> None:
    for number in range(4):
        await send(client, "/auth/users/reset_username/", by=f"192.0.2.{number}", email="anna@example.com")
        given = {"new_username": f"anne{number}"} | fault
        link = next(each.uid_and_token for each in await letters() if each.link)
        status = await send(client, "/auth/users/reset_username_confirm/", **link, **given)
        assert status == (400 if fault else 204)


@pytest.mark.parametrize("settings", [LOW], indirect=True)
async def test_ipv6_counts_for_each_64_and_ipv4_in_ipv6_is_ipv4(client: Client, database: Connection) -> None:
    same = [f"2001:db8:0:1::{number}" for number in range(1, 6)]
    assert [await guess(client, f"a{number}", by=by) for number, by in enumerate(same)] == [401] * 5
    assert await guess(client, "another", by="2001:db8:0:1:ffff::1") == 429
    assert await guess(client, "another", by="2001:db8:0:2::1") == 401
    both = [STRANGER, f"::ffff:{STRANGER}"] * 3
    assert [await guess(client, f"b{number}", by=by) for number, by in enumerate(both)] == [*[401] * 5, 429]


@pytest.mark.parametrize("settings", [LOW | {"trusted_proxies": ()}], indirect=True)
async def test_a_forged_header_does_not_leave_the_limit(client: Client, anna: Person) -> None:
    assert [await guess(client, by=f"198.51.100.{host}") for host in range(1, 6)] == [401, 401, 401, 429, 429]


@pytest.mark.parametrize("settings", [LOW | {"trusted_proxies": ()}], indirect=True)
async def test_this_machine_has_no_limit_of_a_network(client: Client, database: Connection) -> None:
    assert {await guess(client, f"account{number}") for number in range(8)} == {401}


@low
@pytest.mark.parametrize("by", ["::1", "127.0.0.2", "::ffff:127.0.0.1"])
async def test_every_address_of_this_machine_has_no_limit_of_a_network(
    client: Client, database: Connection, by: str
) -> None:
    assert {await guess(client, f"account{number}", by=by) for number in range(8)} == {401}


EXEMPT = {"unlimited_networks": (ipaddress.ip_network("2001:db8::8/126"), ipaddress.ip_network("192.0.2.1/32"))}


@pytest.mark.parametrize("settings", [LOW | EXEMPT], indirect=True)
@pytest.mark.parametrize(
    ("by", "last"), [("2001:db8::9", 401), ("2001:db8::1", 429), ("192.0.2.1", 401), ("192.0.2.2", 429)]
)
async def test_an_unlimited_network_may_be_a_few_addresses(
    client: Client, database: Connection, by: str, last: int
) -> None:
    assert [await guess(client, f"account{number}", by=by) for number in range(6)] == [*[401] * 5, last]


@pytest.mark.parametrize("settings", [LOW | {"trusted_proxies": (), "unlimited_networks": ()}], indirect=True)
async def test_with_no_unlimited_network_it_has_one(client: Client, database: Connection) -> None:
    assert [await guess(client, f"account{number}") for number in range(6)] == [*[401] * 5, 429]


@low
async def test_one_event_in_a_window_says_that_a_limit_is_used_up(
    client: Client, anna: Person, database: Connection
) -> None:
    for _ in range(8):
        await guess(client)
    rows = database.execute("select user_id, details from events where kind = 'limit_met'").fetchall()
    assert rows == [{"user_id": anna.id, "details": {"limit": "sign-in"}}]


@low
async def test_a_limit_is_not_noted_as_reported_unless_its_event_is_stored(
    client: Client, anna: Person, database: Connection
) -> None:
    for _ in range(3):
        await guess(client)
    database.execute("alter table events rename to events_away")
    try:
        assert await guess(client) == 503
    finally:
        database.execute("alter table events_away rename to events")
    assert await guess(client) == 429
    assert database.execute("select user_id from events where kind = 'limit_met'").fetchall() == [{"user_id": anna.id}]


@low
async def test_of_many_refused_tries_at_once_one_is_reported_and_later_ones_write_nothing(
    client: Client, anna: Person, database: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        await guess(client)
    assert await asyncio.gather(*(guess(client) for _ in range(10))) == [429] * 10
    rows = "select xmin::text, key from limits order by key"
    before = database.execute(rows).fetchall()
    with monkeypatch.context() as without:
        without.delattr(Database, "transaction")
        assert await guess(client) == 429
    assert database.execute(rows).fetchall() == before
    assert len(database.execute("select from events where kind = 'limit_met'").fetchall()) == 1


@low
async def test_a_limit_that_was_reported_is_reported_again_in_its_next_window(
    client: Client, anna: Person, database: Connection
) -> None:
    for number in range(8):
        if number == 4:
            database.execute("update limits set reported_at = reported_at - interval '900 seconds'")
        await guess(client)
    assert len(database.execute("select from events where kind = 'limit_met'").fetchall()) == 2


@low
async def test_no_key_of_a_limit_has_what_was_typed(client: Client, database: Connection) -> None:
    await guess(client, "my password by mistake")
    await send(client, "/auth/users/reset_password/", email="private@example.com")
    keys = str(database.execute("select key from limits").fetchall())
    assert "mistake" not in keys
    assert "private" not in keys
    assert keys.count("'key'") == 4


@pytest.mark.parametrize("settings", [LOW | dict.fromkeys([name for name in LOW if "limit_" in name])], indirect=True)
async def test_a_limit_that_is_off_counts_nothing(client: Client, anna: Person, database: Connection) -> None:
    assert {await guess(client) for _ in range(8)} == {401}
    assert database.execute("select key from limits").fetchall() == []


@in_mode("default")
async def test_reading_costs_no_statement_for_limits(
    anna: Person, database: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    database.execute("alter table limits rename to limits_away")
    try:
        assert (await anna.get("/auth/users/me/"))[0] == 200
        assert (await anna.post("/auth/jwt/refresh/", {"refresh": anna.tokens["refresh"]}))[0] == 200
    finally:
        database.execute("alter table limits_away rename to limits")


async def test_a_few_networks_of_an_account_are_remembered(
    client: Client, make_person: MakePerson, database: Connection
) -> None:
    anna = await make_person("anna")
    database.execute(
        "insert into sign_in_networks (user_id, network, last_seen_at)"
        " select %s, ('192.0.2.' || host)::inet, now() - make_interval(days => host)"
        " from generate_series(1, 40) as host",
        [anna.id],
    )
    database.execute("delete from sign_in_networks where network = '127.0.0.1'")
    await anna.sign_in()
    rows = database.execute(
        "select host(network) as network from sign_in_networks order by last_seen_at desc"
    ).fetchall()
    assert [row["network"] for row in rows] == ["127.0.0.1", *(f"192.0.2.{host}" for host in range(1, 20))]


@pytest.mark.parametrize(("text", "expected"), [("10/15m", Rate(10, 900)), ("1/s", Rate(1, 1)), ("off", None)])
def test_a_rate_is_a_count_and_a_window(text: str, expected: Rate | None) -> None:
    assert rate(text) == expected


@pytest.mark.parametrize("text", ["0/15m", "10", "10/m15", "-1/s", "10/0s", "9999999/s", "1/9999d", "ten/h"])
def test_a_rate_that_makes_no_sense_stops_the_start(text: str) -> None:
    with pytest.raises(Exception, match="LIMIT_SIGN_IN_ACCOUNT is a rate such as 10/15m"):
        Settings.read({"LIMIT_SIGN_IN_ACCOUNT": text})
