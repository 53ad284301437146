"""What a Django user, with its profile and its DRF token, is here: the same for a database and for dumpdata."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from server.settings.settings import Settings
from server.transfer.rows import PROFILE_COLUMNS, Row

_TOKEN = re.compile("[0-9a-f]{40}")  # contract 4.2

UUID_IDS = (
    "The ids of the users are {kind}, and accounts have whole numbers as ids (contract 2), which tokens and front ends"
    " carry. Write the users to a file without ids and take it with import-users: they get new ids, and sign in once"
    " more. To keep the old id, declare an account field for it."
)


class DjangoUsers:
    """Makes rows for one site, whose file says which columns of the user model become what."""

    def __init__(self, settings: Settings) -> None:
        site = settings.site_file
        self._columns = {name: site.django_columns[name] for name in site.django_columns}
        self._names = [each.name for each in settings.account.fields]

    @property
    def needed(self) -> list[str]:
        """The columns that the site file names, or declares as account fields: the user model should have them."""
        return [self._columns[name] for name in self._names]

    def row(
        self,
        place: int,
        user_id: int | str,
        user: Mapping[str, Any],
        profile: Mapping[str, Any] | None,
        key: str | None,
    ) -> Row:
        """The row of a user; `key` is that of its DRF token, kept as a hash."""
        values = {name: user.get(self._columns[name]) for name in self._columns if name not in self._names}
        values |= {
            "id": user_id,
            "password_hash": user.get("password"),
            "is_active": user.get("is_active", True),
            # A superuser may do everything there; the right to look after accounts is `is_staff` here.
            "is_staff": bool(user.get("is_staff") or user.get("is_superuser")),
            "fields": {name: user.get(self._columns[name]) for name in self._names},
            "profile": {name: (profile or {}).get(name) for name in PROFILE_COLUMNS},
        }
        is_token = key is not None and _TOKEN.fullmatch(key)
        hashed = hashlib.sha256(key.encode()).hexdigest() if key and is_token else None
        return Row(place, values, api_token=hashed, adopts_tokens=True)
