"""Clients that read while a drill harms a replica: writers see their own changes, others what is recent."""

import asyncio
import time
from typing import Any

from server.database.replica import MAX_LAG_SECONDS
from tests.attack.attacks import Outcome
from tests.attack.stage import Visitor
from tests.conftest import PASSWORD

WRITERS, OTHERS = 4, 12
PAUSE_SECONDS = 0.02
# Between two edits of a writer, and for a request: the age of a location is not that of the replica alone.
EDIT_SECONDS = 5.0
AWAY_SECONDS = 60.0  # the longest time without a primary
LIST = "/api/accounts/all-profiles"


class Readers:
    """What clients have read. Rules are in `outcome`: no error, no stale identity, own changes at once, others soon."""

    def __init__(self, outcome: Outcome, *, may_be_refused: bool = False) -> None:
        """`may_be_refused`: the drill takes the primary away, too, so 503 is no fault."""
        self.outcome = outcome
        self._may_be_refused = may_be_refused
        self.reads = 0
        self.slowest = 0.0
        """The longest time of a read in seconds."""
        self.oldest = 0.0
        """The age in seconds of the oldest location of another person that was read."""
        self.stopped = False
        self._profiles: list[int] = []

    async def prepare(self, visitor: Visitor) -> list[dict[str, Any]]:
        """Register everybody. Returns the writers, then the others."""
        people = [await visitor.register(f"reader{number}") for number in range(WRITERS + OTHERS)]
        for each in people:
            _, found = await visitor.ask("GET", f"{LIST}?search={each['username']}", each["access"])
            each["profile"] = next(row["id"] for row in found if row["user"] == each["username"])
        self._profiles = [each["profile"] for each in people[:WRITERS]]
        return people

    async def write(self, visitor: Visitor, person: dict[str, Any]) -> None:
        """Change the own profile, and read it in each way; sign in and out: the session has ended at once."""
        path, token, turn = f"/api/accounts/profile/{person['profile']}", person["access"], 0
        while not self.stopped:
            turn += 1
            written = f"{time.monotonic():.3f}"
            if await self._ask(visitor, "PATCH", path, token, json={"location": written}):
                if own := await self._ask(visitor, "GET", path, token):
                    self.outcome.expect(own["location"] == written, "a person does not see her own change")
                if listed := await self._ask(visitor, "GET", f"{LIST}?search={person['username']}", token):
                    shown = [row["location"] for row in listed if row["id"] == person["profile"]]
                    self.outcome.expect(shown == [written], "a person does not see her own change in a list")
            if turn % 5 == 0:
                await self._sign_out(visitor, person, path)
            await asyncio.sleep(PAUSE_SECONDS)

    async def look(self, visitor: Visitor, person: dict[str, Any]) -> None:
        """Read what may lag, without changing anything."""
        token, turn = person["access"], 0
        while not self.stopped:
            turn += 1
            if me := await self._ask(visitor, "GET", "/auth/users/me/", token):
                self.outcome.expect(me["username"] == person["username"], "the identity of another person")
            profile = self._profiles[turn % len(self._profiles)]
            began = time.monotonic()
            row = await self._ask(visitor, "GET", f"/api/accounts/profile/{profile}", token)
            self._judge_age(began, [row] if row else [])
            began = time.monotonic()
            self._judge_age(began, await self._ask(visitor, "GET", f"{LIST}?search=reader", token) or [])
            await asyncio.sleep(PAUSE_SECONDS)

    async def _sign_out(self, visitor: Visitor, person: dict[str, Any], path: str) -> None:
        fields = {"username": person["username"], "password": PASSWORD}
        again = await self._ask(visitor, "POST", "/auth/jwt/create/", "", json=fields)
        if again is None:
            return
        refresh = {"refresh": again["refresh"]}
        if await self._ask(visitor, "POST", "/auth/jwt/blacklist/", "", json=refresh) is None:
            return
        for ended in ("/auth/users/me/", LIST, path):
            status, _ = await visitor.ask("GET", ended, again["access"])
            self.outcome.expect(status in (401, *self._refusals), f"a session that was ended: {status}")

    def _judge_age(self, began: float, rows: list[dict[str, Any]]) -> None:
        # A write that waits, because the primary is gone, does not make a replica lag.
        limit = MAX_LAG_SECONDS + EDIT_SECONDS + (AWAY_SECONDS if self._may_be_refused else 0)
        for row in rows:
            if row["id"] in self._profiles and row["location"]:
                age = began - float(row["location"])
                self.oldest = max(self.oldest, age)
                self.outcome.expect(age <= limit, "a read is older than a replica may be")

    @property
    def _refusals(self) -> tuple[int, ...]:
        return (503,) if self._may_be_refused else ()

    async def _ask(self, visitor: Visitor, method: str, path: str, token: str, **options: Any) -> Any | None:
        """The answer; None after a refusal. Anything else is a fault."""
        began = time.monotonic()
        status, found = await visitor.ask(method, path, token, **options)
        if method == "GET":
            self.slowest = max(self.slowest, time.monotonic() - began)
            self.reads += 1
        is_answer = status == 200
        what = f"{method} {path.partition('?')[0].rstrip('0123456789')}: {status}"
        self.outcome.expect(is_answer or status in self._refusals, what)
        return (found or {}) if is_answer else None
