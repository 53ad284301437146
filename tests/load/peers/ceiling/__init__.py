"""The ceiling: the handlers and middleware of this service, without a database."""
