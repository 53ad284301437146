"""Programs and systems in words, "Firefox on Windows", from the User-Agent header that a session was opened with.

The patterns are those of uap-core. They are matched by RE2, in linear time, because a header is any text that a
stranger sends (docs/decisions/sessions.md).
"""

import asyncio
import functools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ua_parser import Parser

WORDS_AT_ONCE = 3  # headers, before other requests have their turn: 0.2 ms each; 3 ms when a pattern is first used
PRODUCT_MAX_LENGTH = 64  # characters


class Devices:
    """Reads User-Agent headers."""

    def __init__(self, parser: "Parser") -> None:
        self._parser = parser

    async def in_words(self, headers: Sequence[str]) -> list[str]:
        """Each header in words; an unknown program as the name that it gives itself; empty for an empty header."""
        found = []
        for place, header in enumerate(headers, start=1):
            found.append(_in_words(self._parser, header))
            if place % WORDS_AT_ONCE == 0:
                await asyncio.sleep(0)
        return found


@functools.cache
def load_devices() -> Devices:
    """The devices of this process, with their patterns: some 0.1 s and 10 MB the first time.

    It blocks: a thread would not help, because RE2 compiles the patterns without releasing the GIL.
    """
    # Imported here: only a process that serves pays for it. Devices such as "iPhone" are left out, because
    # their patterns are half of all, and the system says as much.
    from ua_parser import Parser, re2
    from ua_parser.loaders import load_lazy_builtins

    programs, systems, _ = load_lazy_builtins()
    return Devices(Parser(re2.Resolver((programs, systems, []))))


def _in_words(parser: "Parser", header: str) -> str:
    read = parser.parse(header)
    program = read.user_agent.family if read.user_agent else _product(header)
    system = read.os.family if read.os else ""
    return " on ".join(part for part in (program, system) if part)


def _product(header: str) -> str:
    """The name of the first product of a header: a token, before "/" and its version (RFC 9110 §10.1.5)."""
    found = re.match(r"[\w!#$%&'*+.^`|~-]+", header)
    return found[0][:PRODUCT_MAX_LENGTH] if found else ""
