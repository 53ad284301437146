"""Proofs of identity. No HTTP in here."""
