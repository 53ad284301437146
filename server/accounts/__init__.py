"""Acts on an account. No HTTP in here."""
