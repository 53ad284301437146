"""The database: runs statements by name, batches calls, migrates the schema."""
