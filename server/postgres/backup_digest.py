"""The digest at the end of a backup: pg_dump has no checksum, and one wrong bit can hide the rows of a table.

It is part of the file, so that no copy of the file lacks it. pg_restore ignores what stands after an archive.
"""

import hashlib
import os
import re
from pathlib import Path
from typing import BinaryIO

from server.postgres.errors import BundledPostgresError

# A word at each end: a damaged digest differs from none.
FORM = re.compile(rb"frontdesk sha256 ([0-9a-f]{64}) end of backup\n")
WORDS = (b"frontdesk sha256 ", b" end of backup\n")
LENGTH = sum(map(len, WORDS)) + 64
CHUNK_BYTES = 1 << 20


def append_digest(file: Path) -> None:
    """Add the digest of what `file` has. Raises OSError."""
    with file.open("r+b") as opened:
        digest = _digest(opened, file.stat().st_size)
        opened.seek(0, os.SEEK_END)
        opened.write(WORDS[0] + digest + WORDS[1])


def check_digest(opened: BinaryIO) -> bool:
    """Whether an open file has a digest. Raises BundledPostgresError when it is that of something else, OSError."""
    size = max(opened.seek(0, os.SEEK_END) - LENGTH, 0)
    opened.seek(size)
    end = opened.read()
    if read := FORM.fullmatch(end):
        if _digest(opened, size) != read[1]:
            raise BundledPostgresError(f"{opened.name} is damaged: its digest is that of another content.")
        return True
    if any(word in end for word in WORDS):
        raise BundledPostgresError(f"{opened.name} is damaged: its digest cannot be read.")
    return False


def _digest(opened: BinaryIO, size: int) -> bytes:
    """The SHA-256 of the first `size` bytes, as hexadecimal digits."""
    digest = hashlib.sha256()
    opened.seek(0)
    while size and (chunk := opened.read(min(CHUNK_BYTES, size))):
        digest.update(chunk)
        size -= len(chunk)
    return digest.hexdigest().encode()
