"""The API token of `/auth/token/login/`: one for each account, the same at every login until logout (contract 11.23).

It is derived from the signing key, the account and a generation number. The database stores only its hash.
"""

import hashlib
import hmac
import re

from server.auth.sessions import Credentials, Identity
from server.database.database import Database
from server.database.transaction import Transaction
from server.errors import BadCredentials

ACCOUNT_INACTIVE = "User inactive or deleted."  # contract 8


class ApiTokens:
    """Makes and reads the API tokens of one signing key."""

    def __init__(self, key: str) -> None:
        # A key of its own: no other signature made with the signing key is valid as an API token.
        self._key = hmac.digest(key.encode(), b"frontdesk api token", "sha256")

    async def log_in(self, transaction: Transaction, credentials: Credentials) -> str | None:
        """Make the account's token valid and return it: 40 hexadecimal digits. None: the account may not sign in.

        The account is locked first, by a logout too: the generation cannot change between reading and storing.
        """
        if await transaction.row("passwords/lock", *credentials) is None:
            return None
        row = await transaction.row("api_tokens/generation", credentials.user_id)
        generation = row["generation"] if row else 0
        token = self._token(credentials.user_id, generation)
        kept = await transaction.row("api_tokens/keep", *credentials, generation, _hash(token))
        return token if kept else None  # without a row the account is inactive

    async def identify(self, db: Database, token: str) -> Identity:
        """The identity behind an API token, read in one batch with other callers. Raises BadCredentials."""
        if not re.fullmatch("[0-9a-f]{40}", token):
            raise BadCredentials
        row = await db.find("api_tokens/identify", _hash(token))
        if row is None:
            raise BadCredentials
        _, user_id, username, email, is_staff, is_active, role, account_fields = row
        if not is_active:
            raise BadCredentials(ACCOUNT_INACTIVE)
        return Identity(None, user_id, username, email, is_staff, role, account_fields)

    def _token(self, user_id: int, generation: int) -> str:
        return hmac.digest(self._key, f"{user_id} {generation}".encode(), "sha256")[:20].hex()


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
