"""Tests of server/database/."""
