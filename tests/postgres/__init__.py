"""Tests of server/postgres/."""
