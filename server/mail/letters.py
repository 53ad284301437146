"""The kinds of letters, and how they are queued: in the transaction of the act that they report (security 29)."""

from server.auth import one_time_tokens
from server.auth.one_time_tokens import OneTimeTokens
from server.database.transaction import Transaction
from server.settings.rates import Rate
from server.telemetry.metrics import LIMITS_MET

# A letter with a link has the name of its token's purpose.
ACTIVATION = one_time_tokens.ACTIVATION
EMAIL_CHANGE = one_time_tokens.EMAIL_CHANGE
PASSWORD_RESET = one_time_tokens.PASSWORD_RESET
USERNAME_RESET = one_time_tokens.USERNAME_RESET
EMAIL_RESET = one_time_tokens.EMAIL_RESET
# Letters without a link.
CONFIRMATION = "confirmation"
PASSWORD_CHANGED = "password_changed"  # noqa: S105  a kind of letter, no password
USERNAME_CHANGED = "username_changed"
EMAIL_PENDING = "email_pending"
EMAIL_CHANGED = "email_changed"

LINK_LETTER_KINDS = (ACTIVATION, EMAIL_CHANGE, PASSWORD_RESET, USERNAME_RESET, EMAIL_RESET)
LETTER_KINDS = (*LINK_LETTER_KINDS, CONFIRMATION, PASSWORD_CHANGED, USERNAME_CHANGED, EMAIL_PENDING, EMAIL_CHANGED)


class Letters:
    """Queues letters."""

    def __init__(self, one_time_tokens: OneTimeTokens, *, notices: Rate | None) -> None:
        """`notices` limits the letters of one kind that tell one address about changes; None: without a limit."""
        self._one_time_tokens = one_time_tokens
        self._notices = (notices.cost, notices.window) if notices else (None, None)

    async def queue(
        self, transaction: Transaction, kind: str, user_id: int, *, nonce: str = "", address: str = ""
    ) -> None:
        """Queue a letter in the caller's transaction. `address` replaces the account's own address."""
        await transaction.row("letters/queue", kind, user_id, nonce, address)

    async def queue_notice(self, transaction: Transaction, kind: str, user_id: int, address: str) -> None:
        """Queue a letter that tells `address` about a change of an account, in the caller's transaction (security 28).

        None is queued without an address, to an account that waits for its activation, and beyond the limit: the change
        is made all the same. Each kind counts alone, so that no other letter keeps the owner from being told.
        """
        row = await transaction.row("letters/queue_notice", kind, user_id, address, *self._notices)
        if row and not row["is_queued"]:
            transaction.after_commit(lambda: LIMITS_MET.add("letters"))

    async def queue_link(self, transaction: Transaction, kind: str, user_id: int) -> None:
        """Issue a one-time token for `kind` and queue the letter with its link, in the caller's transaction."""
        await self.queue(
            transaction, kind, user_id, nonce=await self._one_time_tokens.issue(transaction, user_id, kind)
        )

    async def queue_request(self, transaction: Transaction, kind: str, address: str) -> None:
        """Queue a request for a link of `kind` to `address`. The sender looks up later whether an account has it.

        So a known and an unknown address cost the caller the same work and time (security 8).
        """
        await transaction.row("letters/queue", kind, None, "", address)

    async def fulfil_request(self, transaction: Transaction, kind: str, address: str) -> None:
        """Queue a link for each account of `address` that may get one, in the caller's transaction."""
        for account in await transaction.rows("letters/accounts_of_address", address, kind):
            await self.queue_link(transaction, kind, account["id"])
