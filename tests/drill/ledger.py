"""Clients that write without a pause, a ledger of what was answered, and its comparison with what is stored."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any

import aiohttp
import psycopg

from tests.attack.attacks import Outcome
from tests.attack.stage import Visitor
from tests.conftest import PASSWORD

CLIENTS = 16
ANSWER_SECONDS = 20.0  # then a client gives up: longer than any time limit of the service
PAUSE_SECONDS = 0.02  # of a client whose request failed
POLL_SECONDS = 0.02
COMPARED_TOKENS = 300  # of each kind; each is a request
LOST = (aiohttp.ClientError, ConnectionError)


@dataclass(frozen=True)
class Write:
    """A write that was acknowledged, and when."""

    began: float
    ended: float


class Ledger:
    """What was acknowledged: accounts, edits of profiles, sessions begun, sessions ended. Rules are in `outcome`."""

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.registered: list[str] = []
        self.edited: dict[str, int] = {}
        self.sessions: list[str] = []
        self.ended: list[str] = []
        self.writes: list[Write] = []
        self.failed = Counter[str]()
        self.slowest = 0.0
        """The longest time of a request in seconds, whatever came of it."""
        self._stopped = False

    def stop(self) -> None:
        """Have the clients end when they have their answers."""
        self._stopped = True

    async def write(self, visitor: Visitor, number: int) -> None:
        """Client `number`: register, edit, sign in and sign out until `stop`."""
        own = f"drill{number}"
        profile, token, turn = 0, "", 0
        while not self._stopped:
            turn += 1
            name = f"{own}x{turn}"
            if await self._send(visitor, "POST", "/auth/users/", 201, username=name, password=PASSWORD) is None:
                continue
            self.registered.append(name)
            signed_in = await self._send(visitor, "POST", "/auth/jwt/create/", 200, username=name, password=PASSWORD)
            if signed_in is None:
                continue
            self.sessions.append(signed_in["refresh"])
            if not profile:
                token, own = signed_in["access"], name
                profile = await self._profile(visitor, own, token)
            elif turn % 2:
                self.sessions.remove(signed_in["refresh"])  # an unanswered sign-out may have been carried out
                refresh = signed_in["refresh"]
                if await self._send(visitor, "POST", "/auth/jwt/blacklist/", 200, refresh=refresh) is not None:
                    self.ended.append(refresh)
            if profile:
                path = f"/api/accounts/profile/{profile}"
                if await self._send(visitor, "PATCH", path, 200, token, location=str(turn)) is not None:
                    self.edited[own] = turn

    async def _profile(self, visitor: Visitor, name: str, token: str) -> int:
        try:
            _, found = await visitor.ask("GET", f"/api/accounts/all-profiles?search={name}&limit=1000", token)
            return next(int(each["id"]) for each in found if each["user"] == name)
        except (*LOST, TimeoutError, TypeError, StopIteration):  # cut off, or 503: the next turn looks again
            return 0

    async def _send(
        self, visitor: Visitor, method: str, path: str, wanted: int, token: str = "", **fields: str
    ) -> Any | None:
        """The answer if the write is acknowledged. Otherwise None after a pause, and the reason is counted."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        began = time.monotonic()
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                async with visitor.http.request(method, path, json=fields, headers=headers) as response:
                    text = await response.text()
                    if response.status == wanted:
                        self.writes.append(Write(began, time.monotonic()))
                        return await response.json() if text else {}
            self.failed[str(response.status)] += 1
            self.outcome.expect(response.status == 503, f"{method} {path.rstrip('0123456789')}: {response.status}")
            self.outcome.expect("Retry-After" in response.headers, "a refusal without Retry-After")
            self.outcome.expect("Traceback" not in text, "a stack trace in a response")
        except LOST:
            self.failed["cut"] += 1
        except TimeoutError:
            self.failed["no answer"] += 1
        finally:
            self.slowest = max(self.slowest, time.monotonic() - began)
        await asyncio.sleep(PAUSE_SECONDS)
        return None

    async def recovers(self, what: str, since: float, limit: float) -> float:
        """Wait until a write is acknowledged that began after `since`; the seconds from then on.

        A fault after `limit` seconds.
        """
        seen = len(self.writes)
        while not (again := [each for each in self.writes[seen:] if each.began >= since]):
            if time.monotonic() > since + limit:
                self.outcome.fault(f"{what}: no service for {limit:.0f} s")
                return limit
            await asyncio.sleep(POLL_SECONDS)
        return again[0].ended - since

    async def compare(self, visitor: Visitor, connection: "psycopg.Connection[Any]") -> None:
        """Everything that was answered is stored, once; what was ended has ended."""
        # Not by indexes: a damaged one would hide rows.
        connection.execute("set enable_indexscan = off; set enable_bitmapscan = off; set enable_indexonlyscan = off")
        stored = {str(name): (int(number), int(profiles)) for name, number, profiles in _accounts(connection)}
        for name in self.registered:
            self.outcome.expect(
                stored.get(name) == (1, 1),
                f"an account that was answered: (rows, profiles) {stored.get(name, (0, 0))}",
            )
        twice = [name for name, (number, profiles) in stored.items() if number > 1 or profiles > 1]
        self.outcome.expect(not twice, f"stored twice: {twice[:3]}")
        rows = connection.execute("select username, location from profiles p join users u on u.id = p.user_id")
        places = {str(name): str(location or 0) for name, location in rows.fetchall()}
        for name, turn in self.edited.items():
            written = int(places.get(name, "0"))
            # A later edit may be stored without its answer.
            self.outcome.expect(written >= turn, "an edit that was answered is lost")
        for tokens, wanted in ((self.sessions, 200), (self.ended, 401)):
            for token in tokens[-COMPARED_TOKENS:]:
                status, _ = await visitor.post("/auth/jwt/verify/", token=token)
                self.outcome.expect(
                    status == wanted, f"a session that was {'ended' if wanted == 401 else 'begun'}: {status}"
                )

    @property
    def text(self) -> str:
        """What was compared, for the table."""
        return (
            f"{len(self.registered):,} accounts, {len(self.edited)} profiles,"
            f" {min(len(self.sessions), COMPARED_TOKENS) + min(len(self.ended), COMPARED_TOKENS)} sessions"
        )

    @property
    def failures(self) -> str:
        """The requests that failed, for the table."""
        kinds = ", ".join(f"{kind} × {count}" for kind, count in sorted(self.failed.items()))
        return f"{self.failed.total():,} of {len(self.writes) + self.failed.total():,}" + (
            f" ({kinds})" if kinds else ""
        )


def _accounts(connection: "psycopg.Connection[Any]") -> list[tuple[Any, ...]]:
    return connection.execute(
        "select username, count(distinct u.ctid), count(p.id) from users u left join profiles p on p.user_id = u.id"
        " where username ~ '^drill' group by username"
    ).fetchall()
