"""Accounts and profiles on our tables."""
