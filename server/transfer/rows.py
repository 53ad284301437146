"""A row of an import: what its source says of one account, and why it is not taken.

`values` of a row has the members of the exchange format: the keys of COLUMNS, `fields` (account fields by name) and
`profile` (PROFILE_COLUMNS). A member that is absent or None has no value. "" is a value of a profile's description and
of account fields; of other members it is none. In CSV the inner ones are columns of their own, named as in forms:
`fields.phone`, `profile.location`; an empty cell is None.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

PAGE_ROWS = 2000  # of one transaction, and in memory at once

COLUMNS = (
    *("id", "username", "email", "password_hash", "is_active", "is_staff", "awaits_activation", "language"),
    *("role", "role_fields", "date_joined", "last_login"),
)
PROFILE_COLUMNS = ("id", "description", "location", "is_creator", "date_joined", "updated_on")


class UnusableSource(Exception):
    """The source cannot be read as a whole; the text tells the operator why."""


@dataclass(frozen=True)
class Row:
    """What a source says of one account. `fault`: why the row cannot even be read.

    `place`: its line in a file, in a Django site its number in the order of the ids; no two rows have one place.

    `api_token` is the hash of a DRF token in hexadecimal digits; `adopts_tokens`: refresh tokens of the site may open
    a session.
    """

    place: int
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)  # has a hash
    fault: str = ""
    api_token: str | None = field(default=None, repr=False)
    adopts_tokens: bool = False


@dataclass(frozen=True)
class Refused:
    """A row that was not taken, and why."""

    row: Row
    reasons: Sequence[str]


@dataclass(frozen=True)
class Revoked:
    """A refresh token that the source has revoked."""

    jti: str
    expires_at: datetime


class Source(Protocol):
    """Where accounts come from. `total` accounts; the highest ids are 0 where there are none."""

    total: int
    highest_id: int
    highest_profile_id: int

    def pages(self) -> AsyncIterator[Sequence[Row]]:
        """All rows, at most PAGE_ROWS at once. Raises UnusableSource."""

    async def close(self) -> None:
        """Let go of what the source holds."""

    def revoked(self) -> AsyncIterator[Sequence[Revoked]]:
        """Refresh tokens that were revoked and have not expired, at most PAGE_ROWS at once. Raises UnusableSource."""
