"""Clients that strangers generate from the OpenAPI document, in Python and TypeScript."""
