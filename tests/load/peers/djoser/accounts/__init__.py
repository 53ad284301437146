"""Accounts and profiles, on the tables of the service."""
