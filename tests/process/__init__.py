"""Tests of server/process/."""
