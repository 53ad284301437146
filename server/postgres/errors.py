"""The error of the bundled PostgreSQL."""


class BundledPostgresError(Exception):
    """The bundled PostgreSQL failed. The text is one sentence for the operator: what failed, and what to do."""


class ProgramCrashed(BundledPostgresError):
    """A program of PostgreSQL crashed."""
