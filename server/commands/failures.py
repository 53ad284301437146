"""The errors of commands."""


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
