"""The token of `/auth/token/login/`: one for each account, the same at every login until it is ended (contract 11.23).

It is derived from the signing key, the account and a generation; the database holds its hash alone.
"""

import hashlib
import hmac
import re

from server.auth.sessions import Credentials, Identity
from server.database.database import Database
from server.errors import BadCredentials, NoActiveAccount

TRIES = 3  # of a login beside logouts
INACTIVE = "User inactive or deleted."


class ApiTokens:
    """Makes and reads the API tokens of one signing key."""

    def __init__(self, key: str) -> None:
        # A key of its own: no other signature made with the signing key can pass for one of these.
        self._key = hmac.digest(key.encode(), b"frontdesk api token", "sha256")

    async def log_in(self, db: Database, credentials: Credentials) -> str:
        """The account's token, 40 hexadecimal digits, good from now on. Raises NoActiveAccount."""
        for _ in range(TRIES):
            row = await db.row("api_tokens/generation", credentials.user_id)
            generation = row["generation"] if row else 0
            token = self._token(credentials.user_id, generation)
            # What changed meanwhile makes the statement keep nothing: a logout only the generation, so try that anew.
            if await db.row("api_tokens/keep", *credentials, generation, _hash(token)):
                return token
        raise NoActiveAccount

    async def identify(self, db: Database, token: str) -> Identity:
        """Whose the token is, asked together with everybody who asks now. Raises BadCredentials."""
        if not re.fullmatch("[0-9a-f]{40}", token):
            raise BadCredentials
        row = await db.find("api_tokens/identify", _hash(token))
        if row is None:
            raise BadCredentials
        _, user_id, username, email, is_staff, is_active, role = row
        if not is_active:
            raise BadCredentials(INACTIVE)
        return Identity(None, user_id, username, email, is_staff, role)

    def _token(self, user_id: int, generation: int) -> str:
        return hmac.digest(self._key, f"{user_id} {generation}".encode(), "sha256")[:20].hex()


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
