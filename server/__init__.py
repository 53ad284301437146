"""Frontdesk: accounts and sign-in for any front end."""

__version__ = "0.1.0"
