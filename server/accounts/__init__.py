"""What can be done to an account. Each act is one function over a transaction, for endpoints and commands. No HTTP."""
