"""The calls of peers that have an interface of their own: cookies of better-auth, collections of PocketBase."""

import base64
import hashlib
import hmac
import time
from typing import Any
from urllib.parse import quote

import jwt

from tests.load.calls import PAGE_ROWS, SIGNING_KEY, YEAR_SECONDS, Call, Check, PeerCalls, json_call
from tests.load.data import Account

USERS = "_pb_users_auth_"  # the id of PocketBase's collection of accounts


def pocketbase_id(number: int) -> str:
    """The id of a record, as peers/pocketbase/prepare.py makes it."""
    return f"{number:015d}"


def better_auth_cookie(account: Account, kind: str) -> str:
    """The signed token of a session, as better-auth writes it into its cookie."""
    signature = hmac.digest(SIGNING_KEY.encode(), account.session.encode(), hashlib.sha256)
    return quote(f"{account.session}.{base64.b64encode(signature).decode()}", safe="")


def pocketbase_token(account: Account, kind: str) -> str:
    """A token of PocketBase. The account has a key of its own, which is a part of the signing key."""
    claims = {"collectionId": USERS, "id": pocketbase_id(account.id), "refreshable": True, "type": "auth"}
    return jwt.encode(claims | {"exp": int(time.time()) + YEAR_SECONDS}, _pocketbase_key(account), "HS256")


def _pocketbase_key(account: Account) -> str:
    return f"{account.id:030d}{SIGNING_KEY}"


class BetterAuthCalls(PeerCalls):
    """Calls with the cookie of better-auth."""

    def _credentials(self, account: Account) -> dict[str, str]:
        return {"Cookie": f"better-auth.session_token={self._make_token(account, 'access')}"}


class PocketBaseCalls(PeerCalls):
    """Calls of the collections `users` and `profiles`: whole records, because choosing `fields` costs it more."""

    def _me(self, account: Account, access: dict[str, str]) -> Call:
        own = pocketbase_id(account.id)
        wanted = {"id": own, "email": account.email, "name": account.username}
        return Call(
            "GET", self._paths["read-me"].format(own), access, b"", lambda found: found.items() >= wanted.items()
        )

    def _read_profile(self) -> list[Call]:
        others = [*self._accounts[1:], self._accounts[0]]
        path = self._paths["read-profile"]
        return [
            Call("GET", path.format(pocketbase_id(other.profile)), access, b"", _is_profile(other))
            for other, access in zip(others, self._access, strict=True)
        ]

    def _edit_profile(self) -> list[Call]:
        calls = []
        for account, access in zip(self._accounts, self._access, strict=True):
            text = f"Run {self._lists_made} of {account.username}."
            given = {"description": text, "location": "Porto", "is_creator": True}
            path = self._paths["edit-profile"].format(pocketbase_id(account.profile))
            calls.append(json_call("PATCH", path, given, _is_profile(account, given), headers=access))
        return calls

    def _list(self, after: int) -> list[Call]:
        if after:
            raise NotImplementedError
        return [Call("GET", self._paths["list"], access, b"", _is_first_page) for access in self._access]

    def _refresh(self) -> list[Call]:
        path = self._paths["refresh"]
        return [
            json_call("POST", path, {}, _is_refreshed(account), headers=access)
            for account, access in zip(self._accounts, self._access, strict=True)
        ]


def _is_profile(account: Account, given: dict[str, Any] | None = None) -> Check:
    wanted = {"id": pocketbase_id(account.profile), "user": pocketbase_id(account.id)} | (given or {})
    fields = {"id", "user", "expand", "description", "location", "date_joined", "updated_on", "is_creator"}

    def is_expected(found: Any) -> bool:
        is_named = found["expand"]["user"]["name"] == account.username
        return is_named and bool(found.items() >= wanted.items()) and set(found) >= fields

    return is_expected


def _is_first_page(found: Any) -> bool:
    ids = [profile["id"] for profile in found["items"]]
    return (
        0 < len(ids) <= PAGE_ROWS
        and ids == sorted(ids)
        and all(profile["expand"]["user"]["name"] for profile in found["items"])
    )


def _is_refreshed(account: Account) -> Check:
    def is_expected(found: Any) -> bool:
        claims = jwt.decode(found["token"], _pocketbase_key(account), ["HS256"])
        return bool(claims["id"] == found["record"]["id"] == pocketbase_id(account.id))

    return is_expected
