"""Who is asking is asked of the database at every request, so that the end of a session or account bites at once."""

from typing import NamedTuple
from uuid import UUID

from server.auth.passwords import Passwords
from server.auth.tokens import Claims
from server.db import Database
from server.errors import NoActiveAccount, TokenNotValid, UserInactive, UserNotFound

ENDED = "Token is blacklisted"  # simplejwt's words for a token that was good once


class Identity(NamedTuple):
    """Who asks: the account as it is now, and the session it asks in."""

    session_id: UUID
    id: int
    username: str
    email: str
    is_staff: bool
    role: str | None


async def identify(db: Database, claims: Claims) -> Identity:
    """The identity behind the claims of a sound token.

    Raises UserNotFound, UserInactive, or TokenNotValid when the session has ended (contract 12).
    """
    row = await db.find("sessions/identify", claims.session_id, claims.user_id)
    if row is not None and row["user_id"] != claims.user_id:
        # Whoever asked of this session at the same moment named another account: only one of the two can be right.
        row = await db.row("sessions/identify", [claims.session_id], [claims.user_id])
    if row is None or row["id"] is None:
        raise UserNotFound
    session_id, user_id, _, username, email, is_staff, is_active, role, is_alive = row
    if not is_active:
        raise UserInactive
    if not is_alive:
        raise TokenNotValid(ENDED)
    return Identity(session_id, user_id, username, email, is_staff, role)


class SignedIn(NamedTuple):
    """A session that was opened, its account, and the role of that."""

    session_id: UUID
    user_id: int
    role: str | None


async def sign_in(
    db: Database, passwords: Passwords, username: str, password: str, lifetime: int, role: str | None = None
) -> SignedIn:
    """Open a session of `lifetime` seconds for an account, of `role` if that is given.

    Raises NoActiveAccount, whatever the reason, at the price of one hash (trust 8).
    """
    account = await db.row("users/credentials", username)
    stored = account["password"] if account else None
    if not await passwords.check(password, stored) or account is None or stored is None:
        raise NoActiveAccount
    stored = await renew_hash(db, passwords, account["id"], password, stored)
    # The account may have changed since it was read: the statement opens nothing for one that did.
    session = await db.row("sessions/open", account["id"], stored, lifetime, role)
    if session is None:
        raise NoActiveAccount
    return SignedIn(session["id"], account["id"], session["role"])


async def renew_hash(db: Database, passwords: Passwords, user_id: int, password: str, stored: str) -> str:
    """Replace a hash that is weaker than today's, now that the password is known: the hash in force (trust 7)."""
    if not passwords.is_outdated(stored):
        return stored
    fresh = await passwords.hash(password)
    renewed = await db.row("users/rehash", user_id, stored, fresh)
    return fresh if renewed else stored


async def sign_out(db: Database, claims: Claims) -> None:
    """End the session of a refresh token. Raises TokenNotValid when it had ended before."""
    if await db.row("sessions/end", claims.session_id, claims.user_id) is None:
        raise TokenNotValid(ENDED)
