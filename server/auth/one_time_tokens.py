"""Tokens that letters carry: one purpose, one use, an end; the database holds only their hashes (contract 11.8).

A token is derived from a nonce by the signing key. The queue keeps the nonce until the letter is sent, so that a letter
sent twice carries the same link, and yet nothing in the database activates or resets anything.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets

from server.database.database import Database
from server.database.ids import read_id
from server.database.transaction import Transaction

ACTIVATION = "activation"
EMAIL_CHANGE = "email_change"
PASSWORD_RESET = "password_reset"  # noqa: S105  a purpose
USERNAME_RESET = "username_reset"

MAX_LENGTH = 256  # characters of a uid or token; ours have some 40


class OneTimeTokens:
    """Issues and checks the one-time tokens of one signing key; `lifetime` is in seconds."""

    def __init__(self, key: str, *, lifetime: int) -> None:
        # A key of its own: no other signature made with the signing key can pass for one of these.
        self._key = hmac.digest(key.encode(), b"frontdesk one-time token", "sha256")
        self._lifetime = lifetime

    async def issue(self, transaction: Transaction, user_id: int, purpose: str) -> str:
        """Issue a token in the caller's transaction; the one before it of this purpose dies: its nonce."""
        nonce = secrets.token_hex(16)
        await transaction.row("one_time_tokens/issue", user_id, purpose, _hash(self.token(nonce)), self._lifetime)
        return nonce

    def token(self, nonce: str) -> str:
        """The token that a letter carries."""
        return base64.urlsafe_b64encode(hmac.digest(self._key, nonce.encode(), "sha256")).rstrip(b"=").decode()

    async def is_used(self, db: Database | Transaction, user_id: int, token: str, *purposes: str) -> bool | None:
        """Whether a token was used already; None when there is none that is good for one of `purposes`."""
        row = await db.row("one_time_tokens/find", user_id, list(purposes), _hash(token))
        return row and row["is_used"]

    async def use(self, transaction: Transaction, user_id: int, token: str, *purposes: str) -> str | None:
        """Use up a token in the caller's transaction: its purpose, or None; of two who try at once one succeeds."""
        row = await transaction.row("one_time_tokens/use", user_id, list(purposes), _hash(token))
        return row and row["purpose"]


def write_uid(user_id: int) -> str:
    """An account's id as letters write it: base64url of its decimal digits, without padding (contract 4.3)."""
    return base64.urlsafe_b64encode(str(user_id).encode()).rstrip(b"=").decode()


def read_uid(uid: str) -> int | None:
    """The id that a letter wrote, or None when it is none; padding and foreign characters are passed over (4.3)."""
    letters = re.sub("[^A-Za-z0-9_-]", "", uid[:MAX_LENGTH])
    try:
        digits = base64.urlsafe_b64decode(letters + "=" * (-len(letters) % 4))
    except binascii.Error:
        return None
    return read_id(digits.decode(errors="replace"))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
