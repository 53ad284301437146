"""The database: statements run by name, calls batched, the schema migrated."""
