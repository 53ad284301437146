"""Which letters there are, and how they are queued: in the transaction of the act that they tell of (trust 29)."""

from server.auth import one_time_tokens
from server.auth.one_time_tokens import OneTimeTokens
from server.database.transaction import Transaction

# Letters with a link are named by the purpose of the token they carry.
ACTIVATION = one_time_tokens.ACTIVATION
EMAIL_CHANGE = one_time_tokens.EMAIL_CHANGE
PASSWORD_RESET = one_time_tokens.PASSWORD_RESET
USERNAME_RESET = one_time_tokens.USERNAME_RESET
# Letters that only tell.
CONFIRMATION = "confirmation"
PASSWORD_CHANGED = "password_changed"  # noqa: S105  a kind of letter
USERNAME_CHANGED = "username_changed"
EMAIL_PENDING = "email_pending"
EMAIL_CHANGED = "email_changed"

LINKED = (ACTIVATION, EMAIL_CHANGE, PASSWORD_RESET, USERNAME_RESET)
KINDS = (*LINKED, CONFIRMATION, PASSWORD_CHANGED, USERNAME_CHANGED, EMAIL_PENDING, EMAIL_CHANGED)


class Letters:
    """Queues letters."""

    def __init__(self, one_time_tokens: OneTimeTokens) -> None:
        self._one_time_tokens = one_time_tokens

    async def queue(
        self, transaction: Transaction, kind: str, user_id: int, *, nonce: str = "", address: str = ""
    ) -> None:
        """Queue a letter in the caller's transaction; `address` is where it goes if not to the account's own."""
        await transaction.row("letters/queue", kind, user_id, nonce, address)

    async def queue_link(self, transaction: Transaction, kind: str, user_id: int) -> None:
        """Issue a one-time token for `kind` and queue the letter that carries it, in the caller's transaction."""
        await self.queue(
            transaction, kind, user_id, nonce=await self._one_time_tokens.issue(transaction, user_id, kind)
        )

    async def queue_request(self, transaction: Transaction, kind: str, address: str) -> None:
        """Queue that whoever has `address` asked for a link of `kind`; the worker finds out whether anybody does.

        The caller's part is the same for a known and an unknown address, in its work and so in its time (trust 8).
        """
        await transaction.row("letters/queue", kind, None, "", address)

    async def answer_request(self, transaction: Transaction, kind: str, address: str) -> None:
        """Queue a link for every account of `address` that may have one, in the caller's transaction."""
        for account in await transaction.rows("letters/askers", address, kind):
            await self.queue_link(transaction, kind, account["id"])
