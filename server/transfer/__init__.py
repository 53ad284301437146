"""Accounts that come from elsewhere or go elsewhere: read, checked, taken page by page, written to files."""
