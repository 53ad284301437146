"""Sessions: how one begins and ends, and which account a token belongs to.

Every request reads the session from the database, so that the end of a session or an account takes effect at once.
"""

from typing import NamedTuple
from uuid import UUID

from server.auth.passwords import Passwords
from server.auth.tokens import Claims
from server.database.database import Database
from server.errors import NoActiveAccount, Problem, TokenNotValid, UserInactive, UserNotFound

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
    identity = await _find_identity(db, claims)
    if identity is None:
        raise await _explain_refusal(db, claims.user_id)
    return identity


async def require_live_session(db: Database, claims: Claims) -> Identity:
    """The identity behind the claims of a verified token, for refresh and verify.

    Raises TokenNotValid, with one text for an ended session, an inactive account and a deleted one (contract 12).
    """
    identity = await _find_identity(db, claims)
    if identity is None:
        raise TokenNotValid(SESSION_ENDED)
    return identity


async def _find_identity(db: Database, claims: Claims) -> Identity | None:
    row = await db.find("sessions/identify", claims.session_id)
    if row is None or row[1] != claims.user_id:
        return None
    return Identity(*row)


async def _explain_refusal(db: Database, user_id: int) -> Problem:
    account = await db.find("sessions/explain", user_id)
    if account is None:
        return UserNotFound()
    return TokenNotValid(SESSION_ENDED) if account["is_active"] else UserInactive()


class Credentials(NamedTuple):
    """The account of a correct password, and the stored hash that the password fits."""

    user_id: int
    stored: str


async def check_credentials(
    db: Database, passwords: Passwords, login: str, password: str, login_field: str
) -> Credentials:
    """The account that `login` names, if `password` is its password; `login_field` is the setting LOGIN_FIELD.

    Raises NoActiveAccount for every reason, always after the cost of one hash (security 8).
    An inactive account passes: the statement that signs it in refuses it.
    """
    account = None
    if login_field != "username":  # with "either", an e-mail address has precedence over a username that looks like one
        account = await db.row("users/credentials_by_email", login)
    if account is None and login_field != "email":
        account = await db.row("users/credentials", login)
    stored = account["password"] if account else None
    if not await passwords.check(password, stored) or account is None or stored is None:
        raise NoActiveAccount
    return Credentials(account["id"], await renew_hash(db, passwords, account["id"], password, stored))


class SignedIn(NamedTuple):
    """A new session, and the role of its account."""

    session_id: UUID
    role: str | None


async def sign_in(db: Database, credentials: Credentials, lifetime: int, role: str | None = None) -> SignedIn:
    """Open a session of `lifetime` seconds. With `role`, only for an account of that role. Raises NoActiveAccount."""
    # The account may have changed since its password was checked. The statement opens no session in that case.
    session = await db.row("sessions/open", *credentials, lifetime, role)
    if session is None:
        raise NoActiveAccount
    return SignedIn(session["id"], session["role"])


async def renew_hash(db: Database, passwords: Passwords, user_id: int, password: str, stored: str) -> str:
    """Replace an outdated hash, now that the password is known, and return the hash in force (security 7)."""
    if not passwords.is_outdated(stored):
        return stored
    fresh = await passwords.hash(password)
    renewed = await db.row("users/rehash", user_id, stored, fresh)
    if renewed:
        return fresh
    # The hash was replaced meanwhile: by another sign-in with this password, or by a change of password.
    row = await db.row("users/password", user_id)
    if row is None or not await passwords.check(password, row["password"]):
        return stored
    return str(row["password"])


async def sign_out(db: Database, claims: Claims) -> None:
    """End the session of a refresh token. Raises TokenNotValid when it has ended already."""
    if await db.row("sessions/end", claims.session_id, claims.user_id) is None:
        raise TokenNotValid(SESSION_ENDED)
