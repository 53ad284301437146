"""The error of a command that cannot do its work."""


class CommandError(Exception):
    """The command cannot do its work; the text tells the operator why."""
