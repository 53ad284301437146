"""The oldest PostgreSQL that the schema works on, checked at the first connection."""

from server.errors import StartError
from server.settings.values import MIN_POSTGRES


class PostgresTooOld(StartError):
    """The database server lacks what the schema needs."""

    def __init__(self, version: int) -> None:
        super().__init__(f"PostgreSQL {MIN_POSTGRES} or newer is needed; this one is {version}.")


def check_version(version: int) -> None:
    """Check the major version of a server. Raises PostgresTooOld."""
    if version < MIN_POSTGRES:
        raise PostgresTooOld(version)
