"""Proofs of identity: tokens, passwords, sessions. No HTTP."""
