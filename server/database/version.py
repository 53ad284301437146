"""The databases that the schema works on: the oldest PostgreSQL, the encoding; checked at the first connection."""

from server.errors import StartError
from server.settings.values import MIN_POSTGRES


class PostgresTooOld(StartError):
    """The database server lacks what the schema needs."""

    def __init__(self, version: int) -> None:
        super().__init__(f"DATABASE_URL: PostgreSQL {MIN_POSTGRES} or newer is needed; this one is {version}.")


def check_version(version: int) -> None:
    """Check the major version of a server. Raises PostgresTooOld."""
    if version < MIN_POSTGRES:
        raise PostgresTooOld(version)


class WrongEncoding(StartError):
    """The database cannot store every text."""

    def __init__(self, encoding: str) -> None:
        super().__init__(
            f"The database has the encoding {encoding}, and UTF8 is needed. It cannot be changed: make another database"
            " (createdb --encoding=UTF8 --template=template0)."
        )


def check_encoding(encoding: str | None) -> None:
    """Check `server_encoding`, which a server tells at the start of a session; None: a pooler tells nothing.

    Raises WrongEncoding.
    """
    if encoding not in ("UTF8", None):
        raise WrongEncoding(encoding)
