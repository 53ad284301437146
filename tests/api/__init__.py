"""Endpoint by endpoint."""
