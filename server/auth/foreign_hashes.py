"""Password hashes in the formats of imported accounts: they are checked, but never written (contract 5.1).

An imported row is not trusted. A hash whose parameters would cost seconds or much memory is not run, and no password
fits it.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable
from typing import TypeAlias

import bcrypt

from server.auth import argon2_hashes

Fits: TypeAlias = Callable[[bytes], bool]
"""Whether a password, as UTF-8, fits one hash. Blocks until the hash is computed."""

MAX_PBKDF2_ITERATIONS = 3_000_000  # of PBKDF2: about a second; the reference uses 1,000,000
MAX_SCRYPT_MEMORY = 64 * 1024 * 1024  # bytes; the reference uses 16 MiB
MAX_SCRYPT_WORK = 2**21  # N * r * p: about a second; the reference uses 655,360
MAX_ARGON2_MEMORY = 128 * 1024  # KiB; the reference uses 102,400
MAX_ARGON2_WORK = 2**19  # KiB * passes: about a second; the reference uses 204,800
MAX_ARGON2_LANES = 16
MAX_BCRYPT_ROUNDS = 16  # about five seconds
MAX_BCRYPT_BYTES = 72  # bcrypt ignores the rest of a password

_PBKDF2 = re.compile(r"pbkdf2_(sha256|sha1)\$([0-9]{1,7})\$([^$]{1,64})\$([A-Za-z0-9+/]+=*)", re.ASCII)
_SCRYPT = re.compile(r"scrypt\$([0-9]{1,7})\$([^$]{1,64})\$([0-9]{1,4})\$([0-9]{1,4})\$([A-Za-z0-9+/]+=*)", re.ASCII)
_BCRYPT = re.compile(r"bcrypt\$(\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53})")
_MD5 = re.compile(r"md5\$([^$]{0,64})\$([0-9a-f]{32})")
_ARGON2 = re.compile(
    r"argon2\$argon2(id|i|d)\$v=19\$m=([0-9]{1,7}),t=([0-9]{1,3}),p=([0-9]{1,3})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]+)"
)
_LENGTHS = {"sha256": 32, "sha1": 20, "scrypt": 64, "argon2": 32}


def read(stored: str) -> Fits | None:
    """A function that checks a password against the hash `stored`.

    None for an unknown format, a damaged hash and one that costs too much.
    """
    if found := _PBKDF2.fullmatch(stored):
        return _pbkdf2(*found.groups())
    if found := _SCRYPT.fullmatch(stored):
        return _scrypt(*found.groups())
    if found := _BCRYPT.fullmatch(stored):
        return _bcrypt(*found.groups())
    if found := _MD5.fullmatch(stored):
        return _md5(*found.groups())
    if argon2_hashes.IS_INSTALLED and (found := _ARGON2.fullmatch(stored)):
        kind, memory, passes, lanes, salt, written = found.groups()
        return _argon2(kind, int(memory), int(passes), int(lanes), salt, written)
    return None


def _pbkdf2(digest: str, iterations: str, salt: str, written: str) -> Fits | None:
    wanted = _decode(written, _LENGTHS[digest])
    if wanted is None or not 1 <= int(iterations) <= MAX_PBKDF2_ITERATIONS:
        return None
    return lambda password: hmac.compare_digest(
        hashlib.pbkdf2_hmac(digest, password, salt.encode(), int(iterations)), wanted
    )


def _scrypt(cost: str, salt: str, block: str, lanes: str, written: str) -> Fits | None:
    wanted = _decode(written, _LENGTHS["scrypt"])
    n, r, p = int(cost), int(block), int(lanes)
    memory = 128 * r * (n + p)
    if wanted is None or n < 2 or n & (n - 1) or not r or not p:
        return None
    if memory > MAX_SCRYPT_MEMORY or n * r * p > MAX_SCRYPT_WORK:
        return None
    return lambda password: hmac.compare_digest(
        hashlib.scrypt(password, salt=salt.encode(), n=n, r=r, p=p, maxmem=2 * MAX_SCRYPT_MEMORY, dklen=len(wanted)),
        wanted,
    )


def _argon2(kind: str, memory: int, passes: int, lanes: int, salt: str, written: str) -> Fits | None:
    salted, wanted = _decode(_padded(salt), None), _decode(_padded(written), _LENGTHS["argon2"])
    if salted is None or wanted is None or not passes or not 1 <= lanes <= MAX_ARGON2_LANES:
        return None
    if not 8 * lanes <= memory <= MAX_ARGON2_MEMORY or memory * passes > MAX_ARGON2_WORK:
        return None
    return lambda password: hmac.compare_digest(
        argon2_hashes.hashed(kind, password, salted, memory=memory, passes=passes, lanes=lanes, length=len(wanted)),
        wanted,
    )


def _padded(written: str) -> str:
    return written + "=" * (-len(written) % 4)


def _bcrypt(written: str, rounds: str) -> Fits | None:
    if not 4 <= int(rounds) <= MAX_BCRYPT_ROUNDS:
        return None
    # Bytes beyond the 72nd were never hashed, so a longer password cannot be checked. It does not fit.
    return lambda password: len(password) <= MAX_BCRYPT_BYTES and bcrypt.checkpw(password, written.encode())


def _md5(salt: str, written: str) -> Fits:
    # It costs an attacker nothing, whoever has the row: the reason to replace it at the next sign-in.
    return lambda password: hmac.compare_digest(
        hashlib.md5(salt.encode() + password, usedforsecurity=False).hexdigest(), written
    )


def _decode(written: str, length: int | None) -> bytes | None:
    try:
        decoded = base64.b64decode(written, validate=True)
    except binascii.Error:
        return None
    return decoded if length in (None, len(decoded)) else None
