"""Sessions: rotation of their refresh tokens, and their end by the owner or by staff (security 19, 20, 25)."""

from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from server.accounts import adoption, events
from server.accounts.events import Source
from server.auth.sessions import SESSION_ENDED
from server.auth.tokens import Claims
from server.database.database import Database
from server.database.transaction import Transaction
from server.errors import NotFound, TokenNotValid
from server.settings.settings import Settings
from server.telemetry.metrics import SESSIONS_ENDED


class PresentToken(NamedTuple):
    """The present refresh token of a session: its number, when it was issued, when it expires; the account's role."""

    rotation: int
    issued: datetime
    expires: datetime
    role: str | None


async def rotate(db: Database, claims: Claims, *, settings: Settings, source: Source) -> PresentToken:
    """Let the next refresh token take the place of a verified one; simultaneous callers get the same one.

    Raises TokenNotValid when the session has ended. A token whose place was taken more than REFRESH_GRACE ago ends the
    session, which is recorded: two clients hold its tokens, and one of them stole them (RFC 9700 §4.14.2).
    """
    async with db.transaction() as transaction:
        row = await transaction.row(
            "sessions/rotate",
            claims.session_id,
            claims.user_id,
            claims.rotation,
            settings.refresh_grace,
            settings.session_lifetime,
            settings.unused_lifetime,
        )
        is_replay = row is not None and row["action"] == "DELETE"
        if is_replay:
            details = {"session": str(claims.session_id)}
            await events.record(transaction, events.REFRESH_REPLAYED, claims.user_id, source, details)
    if is_replay:
        SESSIONS_ENDED.add("replayed")
    if row is None or is_replay:
        raise TokenNotValid(SESSION_ENDED)
    # From the row alone, so that each of simultaneous callers computes the same.
    expires = min(
        row["rotated_at"] + timedelta(seconds=settings.refresh_lifetime),
        row["opened_at"] + timedelta(seconds=settings.session_lifetime),
    )
    return PresentToken(row["rotation"], row["rotated_at"], expires, row["role"])


async def end(db: Database, session_id: UUID, *, user_id: int | None, source: Source) -> None:
    """End a session of the account `user_id`, or of any account when it is None. Raises NotFound."""
    async with db.transaction() as transaction:
        if user_id is None:
            ended = await transaction.row("sessions/end_any", session_id)
            user_id = ended["user_id"] if ended else None
        else:
            ended = await transaction.row("sessions/end", session_id, user_id)
        if ended is None:
            raise NotFound
        await events.record(transaction, events.SESSION_ENDED, user_id, source, {"session": str(session_id)})
    SESSIONS_ENDED.add("listed")


async def end_all(
    db: Database, user_id: int, *, kept_session: UUID | None, keeps_api_token: bool, source: Source
) -> None:
    """End every session of an account but `kept_session`, and its API token unless that is kept (contract 2.2)."""
    async with db.transaction() as transaction:
        await adoption.close(transaction, user_id)
        token = None if keeps_api_token else await transaction.row("api_tokens/end", user_id)
        ended = await transaction.rows("sessions/end_others", user_id, kept_session)
        if ended or (token and token["was_valid"]):
            await events.record(transaction, events.SESSION_ENDED, user_id, source, {"sessions": len(ended)})
    SESSIONS_ENDED.add("listed", by=len(ended))


async def end_everything(transaction: Transaction, user_id: int, *, source: Source) -> int:
    """End every session and the API token of an account: how many sessions there were."""
    await adoption.close(transaction, user_id)
    await transaction.row("api_tokens/end", user_id)  # first: locks the account, then sessions, as all acts do
    ended = await transaction.rows("sessions/end_others", user_id, None)
    await events.record(transaction, events.SESSION_ENDED, user_id, source, {"sessions": len(ended)})
    return len(ended)
