"""The database: runs statements by name, sends calls as batches, migrates the schema."""
