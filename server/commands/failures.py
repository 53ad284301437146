"""The errors of commands, and what a command says when the database is unavailable."""

import asyncpg

from server.database.failures import reason_of
from server.errors import Unavailable


class CommandError(Exception):
    """The command cannot do its work; the text tells the operator why."""


class NotAllTaken(CommandError):
    """An import has done its work, but some rows were not taken."""


class Interrupted(CommandError):
    """A signal has ended the command; the text tells the operator what is left."""

    def __init__(self, text: str, ended: SystemExit) -> None:
        """`ended` is what the signal raised: it has the exit status."""
        super().__init__(text)
        self.status = ended.code if isinstance(ended.code, int) else 1


def reason_of_unavailable(failure: Unavailable) -> str:
    """Why the database is not available, in words."""
    cause = failure.__cause__
    return reason_of(cause) if isinstance(cause, Exception) else str(failure)


def sentence_of(failure: Unavailable) -> str:
    """Why a command cannot use the database."""
    if isinstance(failure.__cause__, asyncpg.ReadOnlySQLTransactionError):
        return (
            "The database only reads at the moment, and this command stores something there: try again when it can be"
            " written to."
        )
    return f"The database cannot be reached: {reason_of_unavailable(failure)}"
