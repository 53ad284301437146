"""Argon2 in the calling thread alone, where the optional library is installed (`pip install frontdesk[argon2]`).

The library's own functions start a thread for each lane of a hash: those would count neither among the bounded threads
of `passwords.py` nor in the time that a check is seen to take.
"""

from typing import Any

try:
    import argon2.low_level as argon2
except ImportError:
    argon2 = None  # type: ignore[assignment]

IS_THERE = argon2 is not None
VERSION = 0x13  # "v=19"


def hashed(kind: str, password: bytes, salt: bytes, *, memory: int, passes: int, lanes: int, length: int) -> bytes:
    """Argon2 (`kind`: "i", "d" or "id") of a password; `memory` in KiB, `length` in bytes. Raises MemoryError."""
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
        raise MemoryError("Argon2 was not run")
    return bytes(ffi.buffer(out, length))
