"""JSON Web Tokens in tests: read, forged and sent, and the answers to refused ones."""

import base64
import hmac
import json
from typing import Any

import jwt

from tests.conftest import KEY, Client, Person

ENDED = "Token is blacklisted"
INVALID = "Token is invalid"


def refused(message: str) -> tuple[int, Any]:
    """The answer of a protected route to a refused token."""
    messages = [{"token_class": "AccessToken", "token_type": "access", "message": message}]
    detail = "Given token not valid for any token type"
    return 401, {"detail": detail, "code": "token_not_valid", "messages": messages}


def not_valid(message: str) -> tuple[int, Any]:
    """The answer of refresh, verify and blacklist to a refused token."""
    return 401, {"detail": message, "code": "token_not_valid"}


def claims_of(token: str) -> dict[str, Any]:
    """The claims of a token, its signature unchecked."""
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def forge(
    person: Person, kind: str = "access", drop: str = "", header: Any = None, key: str = KEY, **claims: Any
) -> str:
    """A token of the service with changed claims, header or key."""
    payload = claims_of(person.tokens[kind]) | claims
    payload.pop(drop, None)
    return jwt.encode(payload, key, "HS256", headers=header)


async def with_token(client: Client, token: str) -> tuple[int, Any]:
    """The answer of a protected route to a request with `token`."""
    async with client.get("/auth/users/me/", headers={"Authorization": f"Bearer {token}"}) as response:
        return response.status, await response.json()


def sign_bytes(header: Any, payload: bytes, key: str = KEY, digest: str = "sha256", **written: Any) -> str:
    """A token with any bytes as its payload, signed without a library: none would sign these."""
    parts = [base64.urlsafe_b64encode(part).rstrip(b"=") for part in (json.dumps(header, **written).encode(), payload)]
    signature = hmac.new(key.encode(), b".".join(parts), digest).digest()
    return b".".join([*parts, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()
