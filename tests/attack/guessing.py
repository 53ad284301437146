"""Guessing passwords, links and names, with forged addresses, on two workers and over a restart (security 9)."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from typing import Any

from server.settings.values import cores
from tests.attack.attacks import Outcome, attack
from tests.attack.stage import Service, Stage, Visitor
from tests.conftest import PASSWORD

AT_ONCE = 30
ACCOUNT, NETWORK, LINKS, REGISTRATIONS, LETTERS = 10, 20, 15, 20, 10
SPARE = 2 * cores()
"""Guesses beyond the limit: one for each hashing thread of the two workers may be under way when it is reached."""

LIMITED = {
    "WORKERS": "2",
    "UNLIMITED_NETWORKS": "off",
    "LIMIT_SIGN_IN_ACCOUNT": f"{ACCOUNT}/15m",
    "LIMIT_SIGN_IN_NETWORK": f"{NETWORK}/15m",
    "LIMIT_LINKS_NETWORK": f"{LINKS}/15m",
    "LIMIT_REGISTRATIONS_NETWORK": f"{REGISTRATIONS}/15m",
    "LIMIT_LETTERS_ADDRESS": f"{LETTERS}/15m",
    "LIMIT_LETTERS_NETWORK": "off",
    "TRUSTED_PROXIES": "127.0.0.2",
}
PROXY = "127.0.0.2"  # the source of connections that come through a proxy; those from 127.0.0.1 are strangers
ANOTHER_HEADER = LIMITED | {"PROXY_HEADER": "forwarded"}

Headers = Callable[[int], dict[str, str]]


def forged(number: int) -> dict[str, str]:
    """Headers in which a client claims another address for each request."""
    address = f"203.{number % 200}.{number % 113}.{number % 251 + 1}"
    return {
        "X-Forwarded-For": f"{address}, 127.0.0.1, {address}",
        "Forwarded": f'for={address};proto=https, for="[2001:db8::{number:x}]"',
        "X-Real-IP": address,
        "True-Client-IP": address,
        "CF-Connecting-IP": address,
        "X-Client-IP": address,
        "Client-IP": address,
        "X-Originating-IP": address,
        "X-Remote-Addr": address,
        "Via": f"1.1 {address}",
    }


async def many(
    visitor: Visitor, number: int, headers: Headers, path: str, body: Callable[[int], dict[str, Any]]
) -> Counter[int]:
    """Post `number` bodies, 30 at once: how often each status was answered."""
    numbers, statuses = iter(range(number)), Counter[int]()

    async def send() -> None:
        for each in numbers:
            status, _ = await visitor.ask("POST", path, json=body(each), headers=headers(each))
            statuses[status] += 1

    await asyncio.gather(*(send() for _ in range(AT_ONCE)))
    return statuses


def _judge(outcome: Outcome, what: str, statuses: Counter[int], limit: int, *, spare: int = 0) -> None:
    tried = sum(count for status, count in statuses.items() if status != 429)
    outcome.tried += statuses.total()
    if tried > limit + spare:
        outcome.fault(f"{what}: {tried} were tried, the limit is {limit}")
    if tried < limit or not statuses[429]:
        outcome.fault(f"{what}: the attack did not meet the limit: {dict(statuses)}")
    if any(status >= 500 for status in statuses):
        outcome.fault(f"{what}: {dict(statuses)}")
    note = f"{what}: {tried} of {statuses.total()} tried (limit {limit})"
    outcome.worst = f"{outcome.worst}; {note}" if outcome.worst else note


def _unlocked(service: Service) -> None:
    service.query("delete from limits")


@attack(rules="9")
async def guesses_of_one_account(stage: Stage, outcome: Outcome) -> None:
    """Guesses one password with forged address headers, at both sign-ins, over a kill and a restart."""
    number = stage.choose(600, 80)
    with (
        stage.own_service(**LIMITED) if not stage.quick else contextlib.nullcontext(stage.service(**LIMITED)) as service
    ):
        async with Visitor(service) as visitor:
            _unlocked(service)
            await visitor.post("/auth/users/", username="victim", password=PASSWORD)

            def guess(each: int) -> dict[str, str]:
                return {"username": "VicTim" if each % 2 else "victim", "password": f"guess {each}"}

            statuses = await many(visitor, number, forged, "/auth/jwt/create/", guess)
            _judge(outcome, "one account", statuses, ACCOUNT, spare=SPARE)
            statuses = await many(visitor, 20, forged, "/auth/token/login/", guess)
            outcome.expect(set(statuses) == {429}, f"token login beside it: {dict(statuses)}")
            statuses = await many(
                visitor, 5, forged, "/auth/jwt/create/", lambda _: {"username": "victim", "password": PASSWORD}
            )
            outcome.expect(set(statuses) == {429}, f"the right password after that: {dict(statuses)}")
        if stage.quick:
            outcome.not_judged.add("a restart")
        else:
            service.kill()
            service.start()
        async with Visitor(service) as visitor:
            statuses = await many(visitor, 20, forged, "/auth/jwt/create/", guess)
            outcome.expect(statuses[401] <= 1, f"after a restart: {dict(statuses)}")


@attack(rules="9")
async def guesses_from_one_network(stage: Stage, outcome: Outcome) -> None:
    """Guesses for a new name each time, links, registrations and letters, each with forged address headers."""
    number = stage.choose(600, 80)
    service = stage.service(**LIMITED)
    async with Visitor(service) as visitor:
        _unlocked(service)

        def name(each: int) -> dict[str, str]:
            return {"username": f"nobody{each}", "password": "a guess"}

        _judge(outcome, "names", await many(visitor, number, forged, "/auth/jwt/create/", name), NETWORK, spare=SPARE)

        def link(each: int) -> dict[str, str]:
            return {"uid": "MQ", "token": f"{each:043}", "new_password": "staple gun theory"}

        statuses = await many(visitor, number, forged, "/auth/users/reset_password_confirm/", link)
        _judge(outcome, "links", statuses, LINKS, spare=AT_ONCE)

        def account(each: int) -> dict[str, str]:
            return {"username": f"flood{each}", "password": PASSWORD}

        statuses = await many(visitor, number, forged, "/auth/users/", account)
        _judge(outcome, "registrations", statuses, REGISTRATIONS)

        def letter(each: int) -> dict[str, str]:
            return {"email": ("victim@example.com", "VICTIM@Example.Com")[each % 2]}

        statuses = await many(visitor, number, forged, "/auth/users/reset_password/", letter)
        _judge(outcome, "letters to one address", statuses, LETTERS)


@attack(rules="9")
async def addresses_behind_a_proxy(stage: Stage, outcome: Outcome) -> None:
    """Behind a trusted proxy: prepends addresses, walks through an IPv6 /64, writes IPv4 as IPv6, adds ports."""
    number = stage.choose(300, 60)
    service = stage.service(**LIMITED)
    cases: dict[str, Headers] = {
        "prepended": lambda each: {"X-Forwarded-For": f"203.0.113.{each % 250}, 2001:db8:{each:x}::1, 198.51.100.7"},
        "the other header": lambda each: {
            "Forwarded": f"for=203.0.113.{each % 250}",
            "X-Forwarded-For": "198.51.100.8",
        },
        "an IPv6 /64": lambda each: {"X-Forwarded-For": f"2001:db8:1:2:{each:x}:{each * 7:x}:0:1"},
        "spellings of IPv4": lambda each: {
            "X-Forwarded-For": (
                "198.51.100.9",
                "::ffff:198.51.100.9",
                "::FFFF:c633:6409",
                f"198.51.100.9:{1024 + each}",
                f"[::ffff:198.51.100.9]:{1024 + each}",
                "0:0:0:0:0:ffff:198.51.100.9",
            )[each % 6]
        },
        "zones and ports": lambda each: {"X-Forwarded-For": f"[2001:db8:5:6::{each:x}%eth{each}]:{each}"},
        "nothing that is an address": lambda each: {"X-Forwarded-For": f"unknown{each}, _hidden{each}"},
    }
    async with Visitor(service, source=PROXY) as visitor:
        await _walk(outcome, service, visitor, cases, number)
    if stage.quick:
        outcome.not_judged.add("the header Forwarded")
        return
    service = stage.service(**ANOTHER_HEADER)
    cases = {
        "Forwarded, prepended": lambda each: {"Forwarded": f"for=203.0.113.{each % 250}, for=198.51.100.10"},
        "Forwarded, quoted IPv6": lambda each: {
            "Forwarded": f'for="[2001:db8:7:8::{each:x}]:{1024 + each}";proto=http'
        },
        "Forwarded, an open quote": lambda each: {"Forwarded": f'for="203.0.113.{each % 250}, for=198.51.100.11'},
    }
    async with Visitor(service, source=PROXY) as visitor:
        await _walk(outcome, service, visitor, cases, number)


async def _walk(outcome: Outcome, service: Service, visitor: Visitor, cases: dict[str, Headers], number: int) -> None:
    for what, headers in cases.items():
        _unlocked(service)

        def name(each: int) -> dict[str, str]:
            return {"username": f"nobody{each}", "password": "a guess"}

        statuses = await many(visitor, number, headers, "/auth/jwt/create/", name)
        _judge(outcome, what, statuses, NETWORK, spare=SPARE)


@attack(rules="9")
async def lock_out_of_the_owner(stage: Stage, outcome: Outcome) -> None:
    """Keeps the limit of an account used up from many networks: its owner signs in from a known network."""
    service = stage.service(**LIMITED)
    async with Visitor(service, source=PROXY) as visitor:
        _unlocked(service)
        home = {"X-Forwarded-For": "192.0.2.1"}
        owner = {"username": "owner", "password": PASSWORD}
        await visitor.ask("POST", "/auth/users/", json=owner, headers=home)
        status, _ = await visitor.ask("POST", "/auth/jwt/create/", json=owner, headers=home)
        outcome.expect(status == 200, f"the first sign-in: {status}")
        strangers = asyncio.create_task(
            many(
                visitor,
                stage.choose(600, 80),
                lambda each: {"X-Forwarded-For": f"198.51.{each % 250}.1"},
                "/auth/jwt/create/",
                lambda each: {"username": "owner", "password": f"guess {each}"},
            )
        )
        signed_in = 0
        while not strangers.done():
            status, _ = await visitor.ask("POST", "/auth/jwt/create/", json=owner, headers=home)
            outcome.expect(status == 200, f"the owner: {status}")
            signed_in += status == 200
        _judge(outcome, "guesses from many networks", await strangers, ACCOUNT, spare=SPARE)
        outcome.worst += f"; the owner signed in {signed_in} times meanwhile"
