"""The requests: for each kind of work the calls that many accounts make, and the response that each must get."""

import json
import random
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jwt

from tests.load.data import PASSWORD, Account

SIGNING_KEY = "signs the tokens of the load harness, and nothing else"
YEAR_SECONDS = 31_536_000
NEW_ACCOUNTS = 2_000  # registrations prepared for one round: more than two cores hash in minutes
PAGE_ROWS = 100
TOKENS_OF_AN_ACCOUNT = 4  # in `first-use`: together more than any cache of verified tokens holds

Check = Callable[[Any], bool]
"""Whether the JSON of a response is right."""


class Call(NamedTuple):
    """One request, and what a right response is: its status, and JSON for which `is_expected` is true."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    is_expected: Check
    status: int = 200

    def raw(self, host: str) -> bytes:
        """The bytes of the request, as HTTP/1.1."""
        length = {"Content-Length": str(len(self.body))} if self.body else {}
        lines = [f"{name}: {value}" for name, value in ({"Host": host} | self.headers | length).items()]
        head = "\r\n".join([f"{self.method} {self.path} HTTP/1.1", *lines])
        return f"{head}\r\n\r\n".encode() + self.body


def write_requests(file: Path, host: str, calls: Iterable[Call]) -> None:
    """Write the requests into a file for the drivers: of each its length, a line feed, its bytes, a line feed."""
    raw = (call.raw(host) for call in calls)
    file.write_bytes(b"".join(b"%d\n%s\n" % (len(each), each) for each in raw))


def contract_token(account: Account, kind: str) -> str:
    """A token of the contract: `access` or `refresh`, valid for a year."""
    now = int(time.time()) - 1
    claims = {"token_type": kind, "exp": now + YEAR_SECONDS, "iat": now, "jti": uuid.uuid4().hex}
    return jwt.encode(claims | {"user_id": str(account.id), "sid": account.session}, SIGNING_KEY, "HS256")


def fastapi_users_token(account: Account, kind: str) -> str:
    """A token as the JWT strategy of fastapi-users writes it."""
    claims = {"sub": str(account.id), "aud": ["fastapi-users:auth"], "exp": int(time.time()) + YEAR_SECONDS}
    return jwt.encode(claims, SIGNING_KEY, "HS256")


MakeToken = Callable[[Account, str], str]
"""Makes a token of an account: of kind `access` or `refresh`."""


class PeerCalls:
    """Makes the calls for one peer, with its `paths` (by kind of work) and its kind of token."""

    def __init__(self, accounts: Sequence[Account], paths: dict[str, str], make_token: MakeToken) -> None:
        self._accounts = accounts
        self._paths = paths
        self._make_token = make_token
        self._access = [self._credentials(account) for account in accounts]
        self._lists_made = 0  # makes the texts of edits different in each list

    def calls(self, work: str) -> list[Call]:
        """The calls of a kind of work, always in the same order."""
        self._lists_made += 1
        make: Callable[[], list[Call]] = getattr(self, "_" + work.replace("-", "_"))
        return make()

    def _credentials(self, account: Account) -> dict[str, str]:
        """The headers by which an account is known."""
        return {"Authorization": f"Bearer {self._make_token(account, 'access')}"}

    def _read_me(self) -> list[Call]:
        return [self._me(*each) for each in zip(self._accounts, self._access, strict=True)]

    def _first_use(self) -> list[Call]:
        """Several tokens of each account: before one comes again, more others have come than a cache holds."""
        return [
            self._me(account, self._credentials(account))
            for _ in range(TOKENS_OF_AN_ACCOUNT)
            for account in self._accounts
        ]

    def _me(self, account: Account, access: dict[str, str]) -> Call:
        return Call("GET", self._paths["read-me"], access, b"", _is_user(account.username, account.email, account.id))

    def _read_profile(self) -> list[Call]:
        # The profile of another account: the caller and the profile are two look-ups.
        others = [*self._accounts[1:], self._accounts[0]]
        return [
            Call("GET", self._paths["read-profile"].format(other.profile), access, b"", _is_profile(other))
            for other, access in zip(others, self._access, strict=True)
        ]

    def _edit_profile(self) -> list[Call]:
        calls = []
        for account, access in zip(self._accounts, self._access, strict=True):
            given = {
                "description": f"Run {self._lists_made} of {account.username}.",
                "location": "Porto",
                "is_creator": True,
            }
            path = self._paths["edit-profile"].format(account.profile)
            calls.append(json_call("PUT", path, given, _is_profile(account, given), headers=access))
        return calls

    def _list_first(self) -> list[Call]:
        return self._list(0)

    def _list_deep(self) -> list[Call]:
        return self._list(1_000 * PAGE_ROWS)

    def _list_halfway(self) -> list[Call]:
        return self._list(self._accounts[len(self._accounts) // 2].profile)

    def _list(self, after: int) -> list[Call]:
        path = self._paths["list"] + (f"?after={after}" if after else "")
        return [Call("GET", path, access, b"", _is_page(after)) for access in self._access]

    def _refresh(self) -> list[Call]:
        path = self._paths["refresh"]
        return [
            json_call("POST", path, {"refresh": self._make_token(account, "refresh")}, _is_access(account))
            for account in self._accounts
        ]

    def _verify(self) -> list[Call]:
        path = self._paths["verify"]
        return [
            json_call("POST", path, {"token": self._make_token(account, "access")}, lambda found: found == {})
            for account in self._accounts
        ]

    def _register(self) -> list[Call]:
        calls = []
        for _ in range(NEW_ACCOUNTS):
            name = f"new-{uuid.uuid4().hex}"
            given = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
            calls.append(json_call("POST", self._paths["register"], given, _is_user(name, given["email"]), status=201))
        return calls

    def _sign_in(self) -> list[Call]:
        return [
            json_call("POST", self._paths["sign-in"], {"username": one.username, "password": PASSWORD}, _is_pair(one))
            for one in self._accounts
        ]

    def _mix(self) -> list[Call]:
        """Of 100 calls 45 read the account, 45 read a profile, 8 edit, 2 refresh."""
        random_choice = random.Random(1)
        percent = {"read-me": 45, "read-profile": 45, "edit-profile": 8, "refresh": 2}
        made = {work: self.calls(work) for work in percent}
        kinds = random_choice.choices(list(percent), list(percent.values()), k=2 * len(self._accounts))
        return [random_choice.choice(made[kind]) for kind in kinds]


def json_call(
    method: str,
    path: str,
    given: Any,
    is_expected: Check,
    *,
    headers: dict[str, str] | None = None,
    status: int = 200,
) -> Call:
    """A call with a JSON body."""
    kind = {"Content-Type": "application/json"}
    return Call(method, path, kind | (headers or {}), json.dumps(given).encode(), is_expected, status)


def _is_user(username: str, email: str, user_id: int | None = None) -> Check:
    def is_expected(found: Any) -> bool:
        known = found["username"] == username and found["email"] == email
        return known and set(found) == {"email", "id", "username"} and user_id in (None, found["id"])

    return is_expected


def _is_profile(account: Account, given: dict[str, Any] | None = None) -> Check:
    wanted = {"id": account.profile, "user": account.username} | (given or {})
    fields = {"id", "user", "description", "location", "date_joined", "updated_on", "is_creator"}
    return lambda found: found.items() >= wanted.items() and set(found) == fields


def _is_page(after: int) -> Check:
    def is_expected(found: Any) -> bool:
        ids = [profile["id"] for profile in found]
        return (
            0 < len(ids) <= PAGE_ROWS
            and ids == sorted(ids)
            and ids[0] > after
            and all(profile["user"] for profile in found)
        )

    return is_expected


def _is_access(account: Account) -> Check:
    return lambda found: str(_claims(found["access"])["user_id"]) == str(account.id)


def _is_pair(account: Account) -> Check:
    return lambda found: {str(_claims(found[kind])["user_id"]) for kind in ("access", "refresh")} == {str(account.id)}


def _claims(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, SIGNING_KEY, ["HS256"]))
