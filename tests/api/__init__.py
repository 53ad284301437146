"""Tests of server/api/, one noun a file."""
