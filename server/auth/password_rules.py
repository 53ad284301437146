"""What a password must not be: like its owner's name, short, common, a number (contract 5). No rules of composition."""

import gzip
import re
from collections import Counter
from functools import cache
from importlib.resources import files

MAX_BYTES = 4096
TOO_LONG = f"Ensure this field has no more than {MAX_BYTES} bytes."
MIN_LENGTH = 8
MAX_SIMILARITY = 0.7


def password_faults(password: str, *, username: str = "", email: str = "") -> list[str]:
    """The text of every rule that the password breaks, in the contract's order; none when it is good enough."""
    faults = []
    like = _resembled(password, {"username": username, "email address": email})
    if like:
        faults.append(f"The password is too similar to the {like}.")
    if len(password) < MIN_LENGTH:
        faults.append(f"This password is too short. It must contain at least {MIN_LENGTH} characters.")
    if password.lower().strip() in common_passwords():
        faults.append("This password is too common.")
    if password.isdigit():
        faults.append("This password is entirely numeric.")
    return faults


@cache
def common_passwords() -> frozenset[str]:
    """Some 20,000 passwords that everybody tries first; where they are from says common_passwords.LICENSE."""
    packed = (files("server.auth") / "common_passwords.txt.gz").read_bytes()
    return frozenset(gzip.decompress(packed).decode().splitlines())


def _resembled(password: str, attributes: dict[str, str]) -> str | None:
    """The name of the first attribute that the password is like, whole or in one of its pieces."""
    lowered = password.lower()
    letters = Counter(lowered)
    for name, value in attributes.items():
        for piece in [*re.split(r"\W+", value.lower()), value.lower()]:
            if piece and not _is_out_of_scale(lowered, piece) and _similarity(letters, piece) >= MAX_SIMILARITY:
                return name
    return None


def _is_out_of_scale(password: str, piece: str) -> bool:
    return len(password) >= 10 * len(piece) and len(piece) < MAX_SIMILARITY / 2 * len(password)


def _similarity(letters: Counter[str], piece: str) -> float:
    """Twice the characters in common, whatever their order, over all characters."""
    shared = (letters & Counter(piece)).total()
    return 2 * shared / (letters.total() + len(piece))
