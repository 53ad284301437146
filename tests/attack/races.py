"""Many requests at the same moment, on two workers: the database decides who wins (security 4, 19, 20, 22, 23, 26)."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from tests.attack.attacks import Outcome, attack
from tests.attack.letters import proof, read_links
from tests.attack.stage import Service, Stage, Visitor, all_at_once
from tests.conftest import PASSWORD

ME = "/auth/users/me/"
RACERS = 50
GRACE_SECONDS = 2
TWO = {"WORKERS": "2", "REFRESH_ROTATION": "true", "REFRESH_GRACE": str(GRACE_SECONDS)}
NEW_PASSWORD = "staple gun theory"

# One name in many spellings: case, full width, mathematical letters, ligature, long s, Kelvin sign, circled letters.
SPELLINGS = (
    "{}ki",
    "{}KI",
    "{}Ki",
    "{}kI",
    "{}\uff4b\uff49",
    "{}\uff2b\uff29",
    "{}\U0001d424\U0001d422",
    "{}\u212ai",
    "{}\u24da\u24d8",
    "  {}ki  ",
)


def _counts(statuses: list[int]) -> str:
    return ", ".join(f"{count} × {status}" for status, count in sorted(Counter(statuses).items()))


@attack(rules="4")
async def registrations_at_once(stage: Stage, outcome: Outcome) -> None:
    """Registers one name 50 times at once in variants of case and Unicode, then one address: one 201, the rest 400."""
    service = stage.service(**TWO)
    async with Visitor(service) as visitor:
        for number in range(stage.choose(40, 4)):

            async def by_name(racer: int, number: int = number) -> int:
                name = SPELLINGS[racer % len(SPELLINGS)].format(f"race{number}")
                return (await visitor.post("/auth/users/", username=name, password=PASSWORD))[0]

            async def by_address(racer: int, number: int = number) -> int:
                address = ("race{}@example.com", "RACE{}@EXAMPLE.COM", "Race{}@Example.com")[racer % 3].format(number)
                fields = {"username": f"r{number}x{racer}", "password": PASSWORD, "email": address}
                return (await visitor.post("/auth/users/", **fields))[0]

            for race in (by_name, by_address):
                statuses = await all_at_once(RACERS, race)
                right = Counter(statuses) == Counter({400: RACERS - 1, 201: 1})
                outcome.expect(right, f"{race.__name__}: {_counts(statuses)}")
        for name, rows in service.query("select lower(normalize(username, NFKC)), count(*) from users group by 1"):
            if rows > 1:
                outcome.fault(f"{rows} accounts are named {name!r}")
    outcome.worst = f"{outcome.tried} races of {RACERS}: " + ("one winner each" if not outcome.faults else "see below")


@attack(rules="4, 8")
async def name_taken_by_two(stage: Stage, outcome: Outcome) -> None:
    """Lets 10 accounts take one username, and one address, at the same moment: one succeeds, none is a 500."""
    service = stage.service(**TWO)
    async with Visitor(service) as visitor:
        racers = [await visitor.register(f"taker{number}") for number in range(10)]
        for number in range(stage.choose(30, 3)):

            async def take_name(racer: int, number: int = number) -> int:
                body = {"new_username": f"prize{number}", "current_password": PASSWORD}
                token = racers[racer]["access"]
                return (await visitor.ask("POST", "/auth/users/set_username/", token, json=body))[0]

            async def take_address(racer: int, number: int = number) -> int:
                body = {"email": f"prize{number}@example.com"}
                return (await visitor.ask("PATCH", ME, racers[racer]["access"], json=body))[0]

            for take, won in ((take_name, 204), (take_address, 200)):
                statuses = await all_at_once(len(racers), take)
                right = statuses.count(won) == 1 and statuses.count(400) == len(racers) - 1
                outcome.expect(right, f"{take.__name__}: {_counts(statuses)}")


def _refreshing(visitor: Visitor, token: str) -> Callable[[int], Awaitable[tuple[int, Any]]]:
    """A function that refreshes with one token."""
    return lambda _: visitor.post("/auth/jwt/refresh/", refresh=token)


@attack(rules="19, 20")
async def refreshes_at_once(stage: Stage, outcome: Outcome) -> None:
    """Refreshes with one token 20 times at once, rotation on: all get one successor; a replay ends the session."""
    service = stage.service(**TWO)
    async with Visitor(service) as visitor:
        await visitor.register("rotating")
        sessions = [await visitor.sign_in("rotating") for _ in range(stage.choose(60, 6))]
        first, successors = [each["refresh"] for each in sessions], []
        for token in first:
            answers = await all_at_once(20, _refreshing(visitor, token))
            statuses = [status for status, _ in answers]
            outcome.expect(set(statuses) == {200}, f"simultaneous refreshes: {_counts(statuses)}")
            got = {body["refresh"] for status, body in answers if status == 200}
            outcome.expect(len(got) == 1, f"{len(got)} successors of one token")
            successors.append(got.pop())
        for token in successors[::2]:
            status, _ = await visitor.post("/auth/jwt/refresh/", refresh=token)
            outcome.expect(status == 200, f"a successor: {status}")
        await asyncio.sleep(GRACE_SECONDS + 0.5)
        replayed, untouched = sessions[::2], sessions[1::2]
        for each in replayed:
            answers = await all_at_once(5, _refreshing(visitor, each["refresh"]))
            outcome.expect({status for status, _ in answers} == {401}, f"replays: {_counts([s for s, _ in answers])}")
            status, _ = await visitor.ask("GET", ME, each["access"])
            outcome.expect(status == 401, f"an access token of a replayed session: {status}")
        for each in untouched:
            status, _ = await visitor.ask("GET", ME, each["access"])
            outcome.expect(status == 200, f"another session after a replay: {status}")
        (rows,) = service.query(
            "select count(*) from sessions s join users u on u.id = s.user_id where u.username = %s", "rotating"
        )
        expected = 1 + len(untouched)
        outcome.expect(rows[0] == expected, f"{rows[0]} rows of {expected} sessions")


@attack(rules="26")
async def confirmations_at_once(stage: Stage, outcome: Outcome) -> None:
    """Follows one link 20 times at once, of activation, password and username reset: one success each."""
    service = stage.service(SEND_ACTIVATION_EMAIL="true")
    async with Visitor(service) as visitor:
        for number in range(stage.choose(20, 1)):
            name, address = f"confirm{number}", f"confirm{number}@example.com"
            await visitor.post("/auth/users/", username=name, password=PASSWORD, email=address)
            await _confirm(visitor, outcome, "activation/", *(await read_links(service, 1, address)))
            await visitor.post("/auth/users/reset_password/", email=address)
            link = (await read_links(service, 1, address))[0]
            await _confirm(visitor, outcome, "reset_password_confirm/", link, new_password=NEW_PASSWORD)
            await visitor.post("/auth/users/reset_username/", email=address)
            link = (await read_links(service, 1, address))[0]
            await _confirm(visitor, outcome, "reset_username_confirm/", link, new_username=f"{name}.new")


async def _confirm(visitor: Visitor, outcome: Outcome, path: str, link: dict[str, str], **more: Any) -> None:
    async def follow(_: int) -> int:
        return (await visitor.post(f"/auth/users/{path}", **proof(link), **more))[0]

    statuses = await all_at_once(20, follow)
    right = statuses.count(204) == 1 and set(statuses) <= {204, 400, 403}
    outcome.expect(right, f"{path}: {_counts(statuses)}")


@attack(rules="22, 23")
async def ends_while_in_use(stage: Stage, outcome: Outcome) -> None:
    """Ends sessions (sign-out, new password, deletion) while 20 clients use them: none is served after."""
    service = stage.service(**TWO)
    async with Visitor(service) as visitor:
        slowest = 0.0
        for number in range(stage.choose(20, 2)):
            for act in ("sign-out", "password", "deletion"):
                slowest = max(slowest, await _end(visitor, outcome, act, f"{act}{number}"))
        outcome.worst = f"slowest answer {slowest * 1000:.0f} ms"


async def _end(visitor: Visitor, outcome: Outcome, act: str, name: str) -> float:
    used = await visitor.register(name)
    other = await visitor.sign_in(name)
    ended: list[float] = []
    served: list[tuple[float, int, str]] = []
    slowest = 0.0
    asked: list[tuple[str, str, dict[str, Any]]] = [
        ("GET", ME, {}),
        ("PATCH", ME, {"json": {"email": ""}}),
        ("POST", "/auth/jwt/refresh/", {"json": {"refresh": used["refresh"]}}),
        ("GET", "/api/accounts/all-profiles", {}),
    ]

    async def use(user: int) -> None:
        nonlocal slowest
        method, path, options = asked[user % len(asked)]
        while not ended or time.monotonic() < ended[0] + 0.15:
            began = time.monotonic()
            status, _ = await visitor.ask(method, path, "" if "refresh" in path else used["access"], **options)
            served.append((began, status, path))
            slowest = max(slowest, time.monotonic() - began)

    using = [asyncio.create_task(use(user)) for user in range(20)]
    await asyncio.sleep(0.1)
    if act == "sign-out":
        status, _ = await visitor.post("/auth/jwt/blacklist/", refresh=used["refresh"])
    elif act == "password":
        body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
        status, _ = await visitor.ask("POST", "/auth/users/set_password/", other["access"], json=body)
    else:
        status, _ = await visitor.ask("DELETE", ME, other["access"], json={"current_password": PASSWORD})
    ended.append(time.monotonic())
    await asyncio.gather(*using)
    outcome.expect(status in (200, 204), f"{act}: {status}")
    for began, status, path in served:
        late = began > ended[0] and status < 400
        outcome.expect(not late and status < 500, f"{act}: {path} answered {status}{' after the end' if late else ''}")
    return slowest


@attack(rules="11, 23")
async def sign_ins_during_a_change(stage: Stage, outcome: Outcome) -> None:
    """Signs in with the old password while the password changes: when the change is answered, no such session lives."""
    service = stage.service(**TWO)
    async with Visitor(service) as visitor:
        for number in range(stage.choose(30, 3)):
            name, won = f"change{number}", 0
            anna = await visitor.register(name)

            async def change(access: str = anna["access"]) -> tuple[int, Any]:
                body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
                return await visitor.ask("POST", "/auth/users/set_password/", access, json=body)

            async def sign_in(_: int, name: str = name) -> tuple[int, Any]:
                return await visitor.post("/auth/jwt/create/", username=name, password=PASSWORD)

            (status, _), *answers = await asyncio.gather(change(), *(sign_in(each) for each in range(20)))
            outcome.expect(status == 204, f"the change: {status}")
            for status, tokens in answers:
                outcome.expect(status in (200, 401), f"a sign-in: {status}")
                if status == 200:
                    won += 1
                    after, _ = await visitor.ask("GET", ME, tokens["access"])
                    outcome.expect(after == 401, f"a session of the old password lives: {after}")


@attack(rules="4")
async def profiles_made_at_once(stage: Stage, outcome: Outcome) -> None:
    """Deletes a profile and makes it 20 times at once: one 201, the rest 409."""
    service: Service = stage.service(**TWO)
    async with Visitor(service) as visitor:
        anna = await visitor.register("profiles")
        for _ in range(stage.choose(40, 4)):
            (row,) = service.query("select id from profiles where user_id = %s", anna["id"])
            await visitor.ask("DELETE", f"/api/accounts/profile/{row[0]}", anna["access"])

            async def make(_: int) -> int:
                return (await visitor.ask("POST", "/api/accounts/all-profiles", anna["access"], json={}))[0]

            statuses = await all_at_once(20, make)
            outcome.expect(Counter(statuses) == Counter({409: 19, 201: 1}), f"{_counts(statuses)}")
