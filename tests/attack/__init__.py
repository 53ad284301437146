"""Attacks on the running service: each says what it tries and which rule of docs/security.md it checks."""
