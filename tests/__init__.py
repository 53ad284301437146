"""The whole stack on a real PostgreSQL."""
