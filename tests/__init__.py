"""The tests: the service on a real PostgreSQL, asked over HTTP."""
