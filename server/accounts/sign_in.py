"""Sign-in and sign-out: a correct password opens a session, or makes the account's API token valid."""

from collections.abc import Collection, Sequence
from typing import NamedTuple, NoReturn
from uuid import UUID

from server.accounts import events
from server.accounts.events import Source
from server.accounts.limits import Bucket, Limits, network_of
from server.auth.api_tokens import ApiTokens
from server.auth.passwords import Passwords
from server.auth.sessions import SESSION_ENDED, Credentials
from server.auth.tokens import Claims
from server.database.database import Database
from server.database.transaction import Transaction
from server.errors import NoActiveAccount, TokenNotValid, TooManyRequests
from server.settings.settings import Settings
from server.telemetry import metrics

SURPLUS_ROWS = 1000  # sessions that one sign-in ends at most, after SESSIONS_PER_ACCOUNT was set lower


class SignedIn(NamedTuple):
    """A new session, and the role of its account."""

    session_id: UUID
    role: str | None


async def check_credentials(
    db: Database,
    passwords: Passwords,
    limits: Limits,
    login: str,
    password: str,
    *,
    settings: Settings,
    source: Source,
) -> Credentials:
    """The account that `login` names, if `password` is its password.

    Raises NoActiveAccount for every reason, always after the cost of one hash (security 8), and TooManyRequests before
    any hash (security 9), and Busy. An inactive account passes: the statement that signs it in refuses it.
    """
    passwords.refuse_when_full()
    account, network = None, network_of(source.address)
    if settings.login_field != "username":  # with "either", an address has precedence over a username like it
        account = await db.row("users/credentials_by_email", login, network)
    if account is None and settings.login_field != "email":
        account = await db.row("users/credentials", login, network)
    user_id, stored, knows_network = account or (None, None, False)
    name = await limits.name_of_unknown(db, login) if user_id is None else ""
    buckets = limits.sign_in(source, name=name, user_id=user_id, knows_network=knows_network)
    try:
        fits = await check_password(
            db, passwords, limits, password, stored, buckets=buckets, user_id=user_id, name=name, source=source
        )
    except TooManyRequests:
        metrics.SIGN_INS.add("limited")
        raise
    if not fits or user_id is None or stored is None:
        metrics.SIGN_INS.add("unknown_name" if user_id is None else "wrong_password")
        raise NoActiveAccount
    places = limits.places(source, user_id=user_id)
    return Credentials(user_id, await renew_hash(db, passwords, user_id, password, stored, places=places))


async def check_password(
    db: Database,
    passwords: Passwords,
    limits: Limits,
    password: str,
    stored: str | None,
    *,
    buckets: Sequence[Bucket],
    user_id: int | None,
    name: str = "",
    source: Source,
) -> bool:
    """Whether `password` fits the hash `stored`; a wrong one is recorded and counts against `buckets`.

    `name` is of `name_of_unknown`, without an account. Raises TooManyRequests, and runs no hash, when one of `buckets`
    is used up, and Busy when the account or the network waits for many hashes already.
    """
    await limits.check(db, buckets, source, user_id=user_id)
    async with passwords.slot(limits.places(source, user_id=user_id, name=name)) as slot:
        # Once more, while no other caller of this process has the thread: of many guesses sent together only as many
        # are tried as the limit allows, and one more for each further hashing thread.
        await limits.check(db, buckets, source, user_id=user_id)
        fits = await slot.check(password, stored)
        if not fits:
            async with db.transaction() as transaction:
                await limits.count(transaction, buckets)
                reason = "unknown name" if user_id is None else "wrong password"
                await events.record(transaction, events.SIGN_IN_REFUSED, user_id, source, {"reason": reason})
    return fits


async def open_session(
    db: Database,
    limits: Limits,
    credentials: Credentials,
    *,
    settings: Settings,
    source: Source,
    role: str | None = None,
) -> SignedIn:
    """Open a session. With `role`, only for an account of that role. Raises NoActiveAccount.

    Beyond SESSIONS_PER_ACCOUNT the session of the account that was used longest ago ends.
    """
    user_id = credentials.user_id
    async with db.transaction() as transaction:
        # The account may have changed since its password was checked. The statement opens no session in that case.
        session = await transaction.row(
            "sessions/open", *credentials, settings.unused_lifetime, role, source.address, source.device
        )
        if session is not None:
            await _signed_in(transaction, limits, user_id, "session", source)
            await end_surplus(transaction, user_id, session["id"], settings.sessions_per_account - 1, source)
            transaction.after_commit(metrics.SESSIONS_OPENED.add)
            return SignedIn(session["id"], session["role"])
    return await _refuse(
        db, limits, user_id, "inactive or changed" if role is None else "inactive, changed or role", source
    )


async def log_in(
    db: Database, limits: Limits, api_tokens: ApiTokens, credentials: Credentials, *, source: Source
) -> str:
    """Make the account's API token valid: the token. Raises NoActiveAccount."""
    user_id = credentials.user_id
    async with db.transaction() as transaction:
        token = await api_tokens.log_in(transaction, credentials)
        if token is not None:
            await _signed_in(transaction, limits, user_id, "API token", source)
            return token
    return await _refuse(db, limits, user_id, "inactive or changed", source)


async def sign_out(db: Database, claims: Claims, *, source: Source) -> None:
    """End the session of a refresh token. Raises TokenNotValid when it has ended already."""
    async with db.transaction() as transaction:
        if await transaction.row("sessions/end", claims.session_id, claims.user_id) is None:
            raise TokenNotValid(SESSION_ENDED)
        await events.record(transaction, events.SIGNED_OUT, claims.user_id, source, actor_id=claims.user_id)
    metrics.SESSIONS_ENDED.add("signed_out")


async def log_out(transaction: Transaction, user_id: int, *, session_id: UUID | None, source: Source) -> None:
    """End the API token of an account and, if it is given, the session of the caller (contract 11.31)."""
    await transaction.row("api_tokens/end", user_id)  # first: locks the account, then sessions, as all acts do
    if session_id is not None and await transaction.row("sessions/end", session_id, user_id) is not None:
        transaction.after_commit(lambda: metrics.SESSIONS_ENDED.add("signed_out"))
    await events.record(transaction, events.SIGNED_OUT, user_id, source)


async def renew_hash(
    db: Database, passwords: Passwords, user_id: int, password: str, stored: str, *, places: Collection[str]
) -> str:
    """Replace an outdated hash, now that the password is known, and return the hash in force (security 7).

    `places` are those of the account in the queue, of Limits.places.
    """
    if not passwords.is_outdated(stored):
        return stored
    fresh = await passwords.hash(password, holders=places)
    renewed = await db.row("users/rehash", user_id, stored, fresh)
    if renewed:
        return fresh
    # The hash was replaced meanwhile: by another sign-in with this password, or by a change of password.
    row = await db.row("users/password", user_id, None)
    if row is None or not await passwords.check(password, row["password"], holders=places):
        return stored
    return str(row["password"])


async def _signed_in(transaction: Transaction, limits: Limits, user_id: int, by: str, source: Source) -> None:
    await limits.remember_network(transaction, user_id, source)
    await events.record(transaction, events.SIGNED_IN, user_id, source, {"by": by}, actor_id=user_id)
    transaction.after_commit(lambda: metrics.SIGN_INS.add("success"))


async def end_surplus(transaction: Transaction, user_id: int, opened: UUID, others: int, source: Source) -> None:
    """End the sessions of an account that are more than `others` beside `opened`, those used longest ago."""
    ended = await transaction.rows("sessions/end_surplus", user_id, opened, others, SURPLUS_ROWS)
    if ended:
        await events.record(
            transaction,
            events.SESSION_ENDED,
            user_id,
            source,
            {"sessions": len(ended), "reason": "too many"},
            actor_id=user_id,
        )
        transaction.after_commit(lambda: metrics.SESSIONS_ENDED.add("surplus", by=len(ended)))


async def _refuse(db: Database, limits: Limits, user_id: int, reason: str, source: Source) -> NoReturn:
    """Record why a sign-in is refused; the response does not say it. Raises NoActiveAccount.

    It counts as a wrong password does, from a known network and from others: a right one would be told by the limit.
    """
    known = limits.sign_in(source, name="", user_id=user_id, knows_network=True)
    other = limits.sign_in(source, name="", user_id=user_id, knows_network=False)
    async with db.transaction() as transaction:
        await limits.count(transaction, list({each.key: each for each in (*known, *other)}.values()))
        await events.record(transaction, events.SIGN_IN_REFUSED, user_id, source, {"reason": reason})
    metrics.SIGN_INS.add("refused")
    raise NoActiveAccount
