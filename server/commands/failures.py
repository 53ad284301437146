"""The errors of commands."""


class CommandError(Exception):
    """The command cannot do its work; the text tells the operator why."""


class NotAllTaken(CommandError):
    """An import has done its work, but some rows were not taken."""
