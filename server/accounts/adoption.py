"""Adoption: a refresh token of the site that accounts were imported from opens one session here (security 46).

The session is the token's own: its id is made of the token's. From then on the token is to it what a refresh token of
this service is: with REFRESH_ROTATION the next one takes its place, and a late second use ends the session; without it
the token refreshes the session until both expire. It opens no other session, also after the end of that one.
"""

from server.accounts import events
from server.accounts.events import Source
from server.accounts.sign_in import end_surplus
from server.auth.foreign_tokens import ForeignTokens
from server.auth.tokens import REFRESH, Claims
from server.database.database import Database
from server.database.transaction import Transaction
from server.settings.settings import Settings
from server.telemetry import metrics


class Adoption:
    """Adopts tokens, if ADOPT_SIMPLEJWT says so."""

    def __init__(self, settings: Settings) -> None:
        self._tokens = ForeignTokens(settings.simplejwt_key) if settings.adopt_simplejwt else None
        self._lifetime = settings.unused_lifetime
        self._others = settings.sessions_per_account - 1

    async def read(self, db: Database, token: str, *, source: Source) -> Claims | None:
        """The claims of a refresh token of the other site; its first use opens its session.

        None: it is none. Whether its session lives, callers look up as for every token. Raises TokenNotValid.
        """
        claims = self._tokens.read(token) if self._tokens else None
        if claims is None:
            return None
        async with db.transaction() as transaction:
            opened = await transaction.row(
                "adopted_tokens/adopt",
                claims.session_id,
                claims.jti,
                claims.user_id,
                claims.expires,
                self._lifetime,
                source.address,
                source.device,
            )
            if opened is not None:
                details = {"session": str(claims.session_id)}
                user_id = claims.user_id
                await events.record(transaction, events.SESSION_ADOPTED, user_id, source, details, actor_id=user_id)
                await end_surplus(transaction, user_id, claims.session_id, self._others, source)
                transaction.after_commit(metrics.SESSIONS_OPENED.add)
        return Claims(REFRESH, claims.user_id, claims.session_id, claims.expires)


async def close(transaction: Transaction, user_id: int) -> None:
    """Let no token of the other site open a session of an account any more: whatever ends its sessions ends these."""
    await transaction.row("adopted_tokens/close", user_id)
