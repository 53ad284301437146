"""Argon2 in the calling thread, if the optional library is installed (the extra `argon2`).

The library's own functions start a thread for each lane of a hash. Those threads are outside the bound of
`passwords.py`, and their time is missing from the time that it measures for a check.
"""

from typing import Any

try:
    import argon2.low_level as argon2
except ImportError:
    argon2 = None  # type: ignore[assignment]

IS_INSTALLED = argon2 is not None
VERSION = 0x13  # written "v=19" in a hash


def hashed(kind: str, password: bytes, salt: bytes, *, memory: int, passes: int, lanes: int, length: int) -> bytes:
    """The Argon2 hash of a password.

    `kind` is "i", "d" or "id", `memory` is in KiB, `length` in bytes. Raises MemoryError when Argon2 fails.
    """
    ffi = argon2.ffi
    out, given, salted = (ffi.new("uint8_t[]", each) for each in (length, password, salt))
    context: Any = ffi.new(
        "argon2_context *",
        {
            **{"out": out, "outlen": length, "pwd": given, "pwdlen": len(password), "salt": salted},
            **{"saltlen": len(salt), "secret": ffi.NULL, "secretlen": 0, "ad": ffi.NULL, "adlen": 0},
            **{"t_cost": passes, "m_cost": memory, "lanes": lanes, "threads": 1, "version": VERSION},
            **{"allocate_cbk": ffi.NULL, "free_cbk": ffi.NULL, "flags": 0},
        },
    )
    if argon2.core(context, argon2.Type[kind.upper()].value) != 0:
        raise MemoryError("Argon2 failed")
    return bytes(ffi.buffer(out, length))
