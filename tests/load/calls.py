"""What is asked: for each kind of work the calls that many people make of it, and what each must be answered."""

import json
import random
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jwt

from tests.load.data import PASSWORD, Person

KEY = "signs the tokens of the load harness, and nothing else"
YEAR = 31_536_000
NEW_NAMES = 2_000  # registrations prepared for one measurement: more than two cores hash in minutes
PAGE = 100

Fits = Callable[[Any], bool]


class Call(NamedTuple):
    """One request, and what tells a right answer: its status and `fits` of its JSON."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    fits: Fits
    status: int = 200

    def raw(self, host: str) -> bytes:
        """The bytes of the request."""
        length = {"Content-Length": str(len(self.body))} if self.body else {}
        lines = [f"{name}: {value}" for name, value in ({"Host": host} | self.headers | length).items()]
        head = "\r\n".join([f"{self.method} {self.path} HTTP/1.1", *lines])
        return f"{head}\r\n\r\n".encode() + self.body


def write_requests(file: Path, host: str, calls: Iterable[Call]) -> None:
    """Write the requests down for the drivers: each its length, a line feed, its bytes, a line feed."""
    raw = (call.raw(host) for call in calls)
    file.write_bytes(b"".join(b"%d\n%s\n" % (len(each), each) for each in raw))


def token(person: Person, kind: str) -> str:
    """A token of this contract: `access` or `refresh`, good for a year."""
    now = int(time.time()) - 1
    claims = {"token_type": kind, "exp": now + YEAR, "iat": now, "jti": uuid.uuid4().hex}
    return jwt.encode(claims | {"user_id": str(person.id), "sid": person.session}, KEY, "HS256")


def fastapi_users_token(person: Person, kind: str) -> str:
    """A token as the JWT strategy of fastapi-users writes it."""
    claims = {"sub": str(person.id), "aud": ["fastapi-users:auth"], "exp": int(time.time()) + YEAR}
    return jwt.encode(claims, KEY, "HS256")


class Asker:
    """Makes the calls of one peer: its `paths` by kind of work, its kind of `token`."""

    def __init__(self, people: Sequence[Person], paths: dict[str, str], token: Callable[[Person, str], str]) -> None:
        self._people = people
        self._paths = paths
        self._token = token
        self._access = [{"Authorization": f"Bearer {token(person, 'access')}"} for person in people]
        self._runs = 0

    def calls(self, work: str) -> list[Call]:
        """The calls of a kind of work, in an order that is always the same."""
        self._runs += 1
        return getattr(self, "_" + work.replace("-", "_"))()

    def _read_me(self) -> list[Call]:
        return [
            Call("GET", self._paths["read-me"], access, b"", _is_user(person.username, person.email, person.id))
            for person, access in zip(self._people, self._access, strict=True)
        ]

    def _read_profile(self) -> list[Call]:
        # Somebody else's: the caller and the profile are two look-ups.
        others = [*self._people[1:], self._people[0]]
        return [
            Call("GET", self._paths["read-profile"].format(other.profile), access, b"", _is_profile(other))
            for other, access in zip(others, self._access, strict=True)
        ]

    def _edit_profile(self) -> list[Call]:
        calls = []
        for person, access in zip(self._people, self._access, strict=True):
            given = {"description": f"Run {self._runs} of {person.username}.", "location": "Porto", "is_creator": True}
            path = self._paths["edit-profile"].format(person.profile)
            calls.append(_json("PUT", path, given, _is_profile(person, given), headers=access))
        return calls

    def _list_first(self) -> list[Call]:
        return self._list(0)

    def _list_deep(self) -> list[Call]:
        return self._list(1_000 * PAGE)

    def _list_halfway(self) -> list[Call]:
        return self._list(self._people[len(self._people) // 2].profile)

    def _list(self, after: int) -> list[Call]:
        path = self._paths["list"] + (f"?after={after}" if after else "")
        return [Call("GET", path, access, b"", _is_page(after)) for access in self._access]

    def _refresh(self) -> list[Call]:
        path = self._paths["refresh"]
        return [
            _json("POST", path, {"refresh": self._token(person, "refresh")}, _is_access(person))
            for person in self._people
        ]

    def _verify(self) -> list[Call]:
        path = self._paths["verify"]
        return [
            _json("POST", path, {"token": self._token(person, "access")}, lambda answer: answer == {})
            for person in self._people
        ]

    def _register(self) -> list[Call]:
        calls = []
        for _ in range(NEW_NAMES):
            name = f"new-{uuid.uuid4().hex}"
            given = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
            calls.append(_json("POST", self._paths["register"], given, _is_user(name, given["email"]), status=201))
        return calls

    def _sign_in(self) -> list[Call]:
        return [
            _json("POST", self._paths["sign-in"], {"username": person.username, "password": PASSWORD}, _is_pair(person))
            for person in self._people
        ]

    def _mix(self) -> list[Call]:
        """Of a hundred calls 45 read the account and 45 a profile, 8 edit, 2 refresh."""
        chance = random.Random(1)
        parts = {"read-me": 45, "read-profile": 45, "edit-profile": 8, "refresh": 2}
        made = {work: self.calls(work) for work in parts}
        kinds = chance.choices(list(parts), list(parts.values()), k=2 * len(self._people))
        return [chance.choice(made[kind]) for kind in kinds]


def _json(method: str, path: str, given: Any, fits: Fits, *, headers: Any = None, status: int = 200) -> Call:
    kind = {"Content-Type": "application/json"}
    return Call(method, path, kind | (headers or {}), json.dumps(given).encode(), fits, status)


def _is_user(username: str, email: str, user_id: int | None = None) -> Fits:
    def fits(answer: Any) -> bool:
        known = answer["username"] == username and answer["email"] == email
        return known and set(answer) == {"email", "id", "username"} and user_id in (None, answer["id"])

    return fits


def _is_profile(person: Person, given: dict[str, Any] | None = None) -> Fits:
    wanted = {"id": person.profile, "user": person.username} | (given or {})
    fields = {"id", "user", "description", "location", "date_joined", "updated_on", "is_creator"}
    return lambda answer: answer.items() >= wanted.items() and set(answer) == fields


def _is_page(after: int) -> Fits:
    def fits(answer: Any) -> bool:
        ids = [profile["id"] for profile in answer]
        return 0 < len(ids) <= PAGE and ids == sorted(ids) and ids[0] > after and all(p["user"] for p in answer)

    return fits


def _is_access(person: Person) -> Fits:
    return lambda answer: str(_claims(answer["access"])["user_id"]) == str(person.id)


def _is_pair(person: Person) -> Fits:
    return lambda answer: {str(_claims(answer[kind])["user_id"]) for kind in ("access", "refresh")} == {str(person.id)}


def _claims(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, KEY, ["HS256"]))
