"""Sessions: which account a token belongs to.

Every request reads the session from the database, so that the end of a session or an account takes effect at once.
"""

from datetime import timedelta
from typing import NamedTuple, TypeGuard
from uuid import UUID

from asyncpg import Record

from server.auth.tokens import Claims
from server.database.database import Database
from server.errors import Problem, TokenNotValid, UserInactive, UserNotFound

SESSION_ENDED = "Token is blacklisted"  # simplejwt's text


class Identity(NamedTuple):
    """The account that makes a request, as it is now, and its session. `session_id` is None for an API token."""

    session_id: UUID | None
    id: int
    username: str
    email: str
    is_staff: bool
    role: str | None
    account_fields: str | None = None  # JSON; None when the account has none


async def identify(db: Database, claims: Claims) -> Identity:
    """The identity behind the claims of a verified access token, read in one batch with other callers.

    Raises UserNotFound, UserInactive, or TokenNotValid when the session has ended (contract 12).
    """
    row = await db.find("sessions/identify", claims.session_id)
    if not _is_of(row, claims):
        raise await _explain_refusal(db, claims.user_id)
    return Identity(*row)


async def require_live_session(db: Database, claims: Claims) -> Identity:
    """The identity behind the claims of a verified access token, for verify.

    Raises TokenNotValid, with one text for an ended session, an inactive account and a deleted one (contract 12).
    """
    row = await db.find("sessions/identify", claims.session_id)
    if not _is_of(row, claims):
        raise TokenNotValid(SESSION_ENDED)
    return Identity(*row)


async def require_present_token(db: Database, claims: Claims, *, grace: int) -> Identity:
    """The identity behind the claims of a verified refresh token, read in one batch with other callers.

    Raises TokenNotValid as `require_live_session` does, and when another token has taken the place of this one, which
    stays good for `grace` seconds after that (security 19, 20). Without rotation every token is the present one.
    """
    row = await db.find("sessions/identify_refresh", claims.session_id)
    if not _is_of(row, claims):
        raise TokenNotValid(SESSION_ENDED)
    rotation = row[7]
    if claims.rotation < rotation and not (claims.rotation == rotation - 1 and row[8] < timedelta(seconds=grace)):
        raise TokenNotValid(SESSION_ENDED)
    return Identity(*row[:7])


def _is_of(row: Record | None, claims: Claims) -> TypeGuard[Record]:
    """Whether the session of the claims is there, and is one of their account."""
    return row is not None and row[1] == claims.user_id


async def _explain_refusal(db: Database, user_id: int) -> Problem:
    account = await db.find("sessions/explain", user_id)
    if account is None:
        return UserNotFound()
    return TokenNotValid(SESSION_ENDED) if account["is_active"] else UserInactive()


class Credentials(NamedTuple):
    """The account of a correct password, and the stored hash that the password fits."""

    user_id: int
    stored: str
