"""The processes that serve: one, or several under a supervisor."""
