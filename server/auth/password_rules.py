"""Rules for new passwords: not similar to the account, not short, common or numeric (contract 5).

There are no composition rules (security 2).
"""

import gzip
import re
from collections import Counter
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

PASSWORD_MAX_BYTES = 4096
PASSWORD_TOO_LONG = f"Ensure this field has no more than {PASSWORD_MAX_BYTES} bytes."
PASSWORD_MIN_LENGTH = 8  # characters
SIMILARITY_LIMIT = 0.7  # of 1; at this similarity a password is refused


def password_faults(
    password: str, *, username: str | None = "", email: str = "", texts: Mapping[str, str] | None = None
) -> list[str]:
    """The texts of all rules that the password breaks, in the contract's order; empty for an accepted password.

    `texts`: further texts of the account by what a person calls them, such as "first name".
    """
    faults = []
    similar = _first_similar(password, {"username": username or "", **(texts or {}), "email address": email})
    if similar:
        faults.append(f"The password is too similar to the {similar}.")
    if len(password) < PASSWORD_MIN_LENGTH:
        faults.append(f"This password is too short. It must contain at least {PASSWORD_MIN_LENGTH} characters.")
    if password.lower().strip() in common_passwords():
        faults.append("This password is too common.")
    if password.isdigit():
        faults.append("This password is entirely numeric.")
    return faults


@cache
def common_passwords() -> frozenset[str]:
    """About 20,000 common passwords, in lower case; their source is named in common_passwords.LICENSE."""
    packed = (files("server.auth") / "common_passwords.txt.gz").read_bytes()
    return frozenset(gzip.decompress(packed).decode().splitlines())


def _first_similar(password: str, attributes: dict[str, str]) -> str | None:
    """The name of the first attribute that is similar to the password, as a whole or in one of its pieces."""
    lowered = password.lower()
    letters = Counter(lowered)
    for name, value in attributes.items():
        for piece in [*re.split(r"\W+", value.lower()), value.lower()]:
            if (
                piece
                and not _is_too_short_to_compare(lowered, piece)
                and _similarity(letters, piece) >= SIMILARITY_LIMIT
            ):
                return name
    return None


def _is_too_short_to_compare(password: str, piece: str) -> bool:
    return len(password) >= 10 * len(piece) and len(piece) < SIMILARITY_LIMIT / 2 * len(password)


def _similarity(letters: Counter[str], piece: str) -> float:
    """Twice the number of common characters, in any order, divided by the number of all characters."""
    shared = (letters & Counter(piece)).total()
    return 2 * shared / (letters.total() + len(piece))
