"""Reads refresh tokens of simplejwt that another site signed with its own key (contract 4.1, security 46).

Such a token names no session: what it names is made here (`accounts/adoption.py`). Only refresh tokens are read. An
access token of the other site proves nothing here: it could not be revoked, and its front end has a refresh token.
"""

import time
import uuid
from typing import Any, NamedTuple

import jwt

from server.auth.tokens import ALGORITHM, JWT_MAX_LENGTH, NO_CLAIM_CHECKS, REFRESH, numeric_date, read_user_id
from server.errors import TokenNotValid

JTI_MAX_LENGTH = 255  # characters, as in simplejwt's tables
MAX_LIFETIME_SECONDS = 10 * 365 * 86400  # from now; its id must be remembered as long

_SESSIONS = uuid.UUID("8d5f7c1e-2b0a-4c59-9a54-6f0c3f9b7d21")  # name space of the sessions of adopted tokens


class ForeignClaims(NamedTuple):
    """What a verified refresh token of another site says: its account, its id, when it expires (epoch seconds)."""

    user_id: int
    jti: str
    expires: float

    @property
    def session_id(self) -> uuid.UUID:
        """The session that the token opens: always the same one, so that no second one can come of it."""
        return uuid.uuid5(_SESSIONS, self.jti)


class ForeignTokens:
    """Reads the refresh tokens of one other site."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def read(self, token: str) -> ForeignClaims | None:
        """The claims of a refresh token; None when the other site did not sign it. Raises TokenNotValid otherwise."""
        if len(token) > JWT_MAX_LENGTH:
            return None
        try:
            claims = jwt.decode(token, self._key, [ALGORITHM], options=NO_CLAIM_CHECKS)
        except (jwt.InvalidTokenError, RecursionError, ValueError, OverflowError, TypeError):
            return None
        return _claims(claims)


def _claims(claims: dict[str, Any]) -> ForeignClaims:
    """The claims in their types. Raises TokenNotValid, with simplejwt's texts in simplejwt's order."""
    if claims.get("exp") is None:
        raise TokenNotValid("Token has no 'exp' claim")
    expires, now = numeric_date(claims["exp"]), time.time()
    if expires <= now:
        raise TokenNotValid("Token is expired")
    if "jti" not in claims:
        raise TokenNotValid("Token has no id")
    if claims.get("token_type") != REFRESH:
        raise TokenNotValid("Token has wrong type")
    jti, iat = claims["jti"], claims.get("iat")
    # `sid` is in tokens of this service alone: one of them that were signed with the other key is a forgery.
    is_strange = "sid" in claims or expires > now + MAX_LIFETIME_SECONDS
    if is_strange or not isinstance(jti, str) or not 1 <= len(jti) <= JTI_MAX_LENGTH or not jti.isprintable():
        raise TokenNotValid
    if iat is None or numeric_date(iat) > now + 60:  # simplejwt's has no leeway; its machine may have another clock
        raise TokenNotValid
    if "user_id" not in claims:
        raise TokenNotValid("Token contained no recognizable user identification")
    # "030" is account 30: Django's field reads the claim by int(). Signs, spaces and other digits, which int() takes as
    # well, are refused: simplejwt writes none.
    return ForeignClaims(read_user_id(claims["user_id"]), jti, expires)
