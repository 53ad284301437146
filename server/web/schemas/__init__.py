"""What request bodies and responses look like."""
