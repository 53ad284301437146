"""Usernames and addresses that belong to another account or are missing: the texts of these faults (contract 8)."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from server.errors import FieldErrors

TAKEN_USERNAME = "A user with that username already exists."
TAKEN_EMAIL = "A user with that email already exists."

NO_LOGIN = "This field is required."
LAST_LOGIN_REMOVED = "This field may not be blank."

USERNAME_CONSTRAINT = "users_username_key"
LOGIN_CONSTRAINT = "users_has_login"
BLANK_EMAIL = "This field may not be blank."

EMAIL_CONSTRAINT = "users_email_key"
LOGIN_CONSTRAINT = "users_has_login"  # an account has a username, an address or both


@contextmanager
def report_taken(*, username: str = "username", email: str = "email") -> Iterator[None]:
    """Report a unique constraint that the block violates as a fault of the field that the caller filled in.

    `username` and `email` name those fields. An account must keep one of the two: to take away the last is a fault of
    the address. Raises FieldErrors; a violation of another constraint passes through.
    """
    try:
        yield
    except asyncpg.CheckViolationError as failure:
        if failure.constraint_name != LOGIN_CONSTRAINT:
            raise
        raise FieldErrors({email: [BLANK_EMAIL]}) from None
    except asyncpg.UniqueViolationError as failure:
        faults = {
            USERNAME_CONSTRAINT: {username: [TAKEN_USERNAME]},
            EMAIL_CONSTRAINT: {email: [TAKEN_EMAIL]},
        }
        if failure.constraint_name not in faults:
            raise
        raise FieldErrors(faults[failure.constraint_name]) from None


@contextmanager
def report_no_login(text: str, *, email: str = "email") -> Iterator[None]:
    """Report that the account would have neither a username nor an address, as a fault of the field `email`.

    Raises FieldErrors; a violation of another constraint passes through.
    """
    try:
        yield
    except asyncpg.CheckViolationError as failure:
        if failure.constraint_name != LOGIN_CONSTRAINT:
            raise
        raise FieldErrors({email: [text]}) from None
