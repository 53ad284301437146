"""Moves whole Django sites with djoser and simplejwt, which are built from PyPI, to this service."""
