"""Usernames and addresses that belong to another account: a constraint decides, these texts report it (contract 8)."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from server.errors import FieldErrors

TAKEN_USERNAME = "A user with that username already exists."
TAKEN_EMAIL = "A user with that email already exists."

USERNAME_CONSTRAINT = "users_username_key"
LOGIN_CONSTRAINT = "users_has_login"
BLANK_EMAIL = "This field may not be blank."

EMAIL_CONSTRAINT = "users_email_key"


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
