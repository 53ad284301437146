"""Who is asking is asked of the database at every request, so that the end of a session or account bites at once."""

from typing import NamedTuple
from uuid import UUID

from server.auth.passwords import Passwords
from server.auth.tokens import Claims
from server.database.database import Database
from server.errors import NoActiveAccount, Problem, TokenNotValid, UserInactive, UserNotFound

ENDED = "Token is blacklisted"  # simplejwt's words for a token that was good once


class Identity(NamedTuple):
    """Who asks: the account as it is now, and the session it asks in; none for an API token."""

    session_id: UUID | None
    id: int
    username: str
    email: str
    is_staff: bool
    role: str | None


async def identify(db: Database, claims: Claims) -> Identity:
    """The identity behind the claims of a sound token, asked together with everybody who asks now.

    Raises UserNotFound, UserInactive, or TokenNotValid when the session has ended (contract 12).
    """
    row = await db.find("sessions/identify", claims.session_id)
    if row is None or row[1] != claims.user_id:
        raise await _why_nobody(db, claims.user_id)
    return Identity(*row)


async def _why_nobody(db: Database, user_id: int) -> Problem:
    account = await db.find("sessions/explain", user_id)
    if account is None:
        return UserNotFound()
    return TokenNotValid(ENDED) if account["is_active"] else UserInactive()


class Credentials(NamedTuple):
    """A password that was found to be right: whose it is, and the hash that it fits."""

    user_id: int
    stored: str


async def check_credentials(
    db: Database, passwords: Passwords, login: str, password: str, login_field: str
) -> Credentials:
    """The account that `login` names and `password` opens; `login_field` is the setting LOGIN_FIELD.

    Raises NoActiveAccount, whatever the reason, at the price of one hash (trust 8). Whether the account is active is
    for the statement to say that opens something for it.
    """
    account = None
    if login_field != "username":  # an address before a name that looks like one (contract 12)
        account = await db.row("users/credentials_by_email", login)
    if account is None and login_field != "email":
        account = await db.row("users/credentials", login)
    stored = account["password"] if account else None
    if not await passwords.check(password, stored) or account is None or stored is None:
        raise NoActiveAccount
    return Credentials(account["id"], await renew_hash(db, passwords, account["id"], password, stored))


class SignedIn(NamedTuple):
    """A session that was opened, and the role of its account."""

    session_id: UUID
    role: str | None


async def sign_in(db: Database, credentials: Credentials, lifetime: int, role: str | None = None) -> SignedIn:
    """Open a session of `lifetime` seconds for an account, of `role` if that is given. Raises NoActiveAccount."""
    # The account may have changed since it was read: the statement opens nothing for one that did.
    session = await db.row("sessions/open", *credentials, lifetime, role)
    if session is None:
        raise NoActiveAccount
    return SignedIn(session["id"], session["role"])


async def renew_hash(db: Database, passwords: Passwords, user_id: int, password: str, stored: str) -> str:
    """Replace a hash that is weaker than today's, now that the password is known: the hash in force (trust 7)."""
    if not passwords.is_outdated(stored):
        return stored
    fresh = await passwords.hash(password)
    renewed = await db.row("users/rehash", user_id, stored, fresh)
    if renewed:
        return fresh
    # Somebody was quicker: another sign-in with the same password, or a change of it.
    row = await db.row("users/password", user_id)
    if row is None or not await passwords.check(password, row["password"]):
        return stored
    return str(row["password"])


async def sign_out(db: Database, claims: Claims) -> None:
    """End the session of a refresh token. Raises TokenNotValid when it had ended before."""
    if await db.row("sessions/end", claims.session_id, claims.user_id) is None:
        raise TokenNotValid(ENDED)
