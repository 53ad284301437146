"""Acts on an account: each is one function over a transaction, called by endpoints and commands. No HTTP in here."""
