"""One-time tokens in letters: one purpose, one use, an expiry; the database stores only hashes (contract 11.8).

A token is derived from a nonce with the signing key. The letter queue holds the nonce until the letter is sent. So a
letter that is sent twice contains the same link, and a copy of the database contains no usable token.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence

import asyncpg

from server.database.database import Database
from server.database.ids import read_id
from server.database.transaction import Transaction

ACTIVATION = "activation"
EMAIL_CHANGE = "email_change"
PASSWORD_RESET = "password_reset"  # noqa: S105  a purpose, no password
USERNAME_RESET = "username_reset"
EMAIL_RESET = "email_reset"

LINK_PART_MAX_LENGTH = 256  # characters of a uid or a token in a link; those of the service have at most 43


class OneTimeTokens:
    """Issues and checks the one-time tokens of one signing key; `lifetime` is in seconds.

    `verifying_keys` are those with which a letter that waits may have been queued.
    """

    def __init__(self, key: str, *, lifetime: int, verifying_keys: Sequence[str] = ()) -> None:
        # Keys of their own: no other signature made with the signing key is valid as a one-time token.
        purpose = b"frontdesk one-time token"
        self._keys = [hmac.digest(each.encode(), purpose, "sha256") for each in (key, *verifying_keys)]
        self._lifetime = lifetime

    async def issue(self, transaction: Transaction, user_id: int, purpose: str) -> str:
        """Issue a token in the caller's transaction and return its nonce. It replaces the previous one."""
        nonce = secrets.token_hex(16)
        await transaction.row("one_time_tokens/issue", user_id, purpose, _hash(self.tokens(nonce)[0]), self._lifetime)
        return nonce

    def tokens(self, nonce: str) -> list[str]:
        """The token in a letter's link, as each key makes it; that of the signing key is the first."""
        return [
            base64.urlsafe_b64encode(hmac.digest(key, nonce.encode(), "sha256")).rstrip(b"=").decode()
            for key in self._keys
        ]

    async def is_used(self, db: Database | Transaction, user_id: int, token: str, *purposes: str) -> bool | None:
        """Whether a token was used already; None when it is not valid for any of `purposes`."""
        row = await db.row("one_time_tokens/find", user_id, list(purposes), _hash(token))
        return row and row["is_used"]

    async def look(self, db: Database, user_id: int, token: str, *purposes: str) -> asyncpg.Record | None:
        """What a token leads to, without using it up; None when it is not valid for any of `purposes`."""
        return await db.row("one_time_tokens/look", user_id, list(purposes), _hash(token))

    async def use(self, transaction: Transaction, user_id: int, token: str, *purposes: str) -> str | None:
        """Use a token in the caller's transaction and return its purpose; None when it is not valid.

        Of two callers at the same moment one succeeds.
        """
        row = await transaction.row("one_time_tokens/use", user_id, list(purposes), _hash(token))
        return row and row["purpose"]


def write_uid(user_id: int) -> str:
    """The uid of an account in links: base64url of its decimal id, without padding (contract 4.3)."""
    return base64.urlsafe_b64encode(str(user_id).encode()).rstrip(b"=").decode()


def read_uid(uid: str) -> int | None:
    """The account id of a uid, or None. Padding and foreign characters are ignored (contract 4.3)."""
    encoded = re.sub("[^A-Za-z0-9_-]", "", uid[:LINK_PART_MAX_LENGTH])
    try:
        digits = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    except binascii.Error:
        return None
    return read_id(digits.decode(errors="replace"))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
