"""Turns the text of an environment variable into a value.

Each function returns the value, or raises ValueError whose text follows the name of the variable: "is true or false".
"""

import ipaddress
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from server import mailbox
from server.settings.origins import canonical

IPNetwork: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
MAX_WORKERS = 32  # more would leave each fewer than two connections to the database
MIN_POSTGRES = 17  # the first with the collation "pg_c_utf8", which is the same on every machine
# Paths of the service itself, which no setting moves: the groups of the contract may not begin there.
OWN_PATHS = (
    "/.well-known",
    "/activate",
    "/api/events",
    "/api/roles",
    "/api/site",
    "/docs",
    "/email",
    "/healthz",
    "/openapi.json",
    "/pages",
    "/password",
    "/readyz",
    "/username",
)
PROXIES_MIN_PREFIX = {4: 8, 6: 7}  # bits: 10.0.0.0/8 and fc00::/7, the largest private networks (RFC 1918, RFC 4193)
MAX_VERIFYING_KEYS = 3  # an invalid signature is checked with each
MIN_KEY_BYTES = 32  # an HMAC key is at least as long as the hash (RFC 7518 §3.2)


def text(value: str) -> str:
    """Any text."""
    return value


def flag(value: str) -> bool:
    """A bool."""
    words = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    if value.lower() not in words:
        raise ValueError("is true or false")
    return words[value.lower()]


def whole(low: int, high: int) -> Callable[[str], int]:
    """A whole number from `low` to `high`, both included."""

    def parse(value: str) -> int:
        if not re.fullmatch(r"[0-9]{1,10}", value) or not low <= int(value) <= high:
            raise ValueError(f"is a whole number from {low} to {high}")
        return int(value)

    return parse


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def workers(value: str) -> int:
    """A number of processes, or `auto`: one for each core."""
    try:
        return min(cores(), MAX_WORKERS) if value == "auto" else whole(1, MAX_WORKERS)(value)
    except ValueError as failure:
        raise ValueError(f"{failure}, or auto") from None


def host(value: str) -> str:
    """An address or a name of this machine."""
    try:
        value.encode("idna")
    except UnicodeError:
        raise ValueError("is an address such as 127.0.0.1, or a name of this machine") from None
    return value


def address(value: str) -> str:
    """An address and a port to listen on: `HOST:PORT` or `[HOST]:PORT`."""
    if not re.fullmatch(r"([\w.-]+|\[[\da-fA-F:.]+\]):[0-9]{1,5}", value) or int(value.rpartition(":")[2]) > 65535:
        raise ValueError("is an address and a port, such as 127.0.0.1:9464")
    host(value.rpartition(":")[0].strip("[]"))
    return value


def choice(*words: str) -> Callable[[str], str]:
    """One of `words`."""

    def parse(value: str) -> str:
        if value not in words:
            raise ValueError(f"is one of {', '.join(words)}")
        return value

    return parse


def key(value: str) -> str:
    """A signing key."""
    if len(value.encode()) < MIN_KEY_BYTES:
        raise ValueError(f"has {MIN_KEY_BYTES} bytes or more")
    return value


def keys(value: str) -> tuple[str, ...]:
    """Keys that verify signatures, one a line."""
    found = tuple(line.strip() for line in value.splitlines() if line.strip())
    if len(found) > MAX_VERIFYING_KEYS or any(len(each.encode()) < MIN_KEY_BYTES for each in found):
        raise ValueError(f"has at most {MAX_VERIFYING_KEYS} lines, each a key of {MIN_KEY_BYTES} bytes or more")
    return found


def origins(value: str) -> tuple[str, ...]:
    """Web origins in their canonical form, separated by commas, or `*` (RFC 6454)."""
    origins = []
    for text in (part.strip() for part in value.split(",")):
        if not text:
            continue
        found = "*" if text == "*" else canonical(text)
        if found is None:
            raise ValueError(f"lists origins such as https://app.example.com, or * for all; {text!r} is not one")
        origins.append(found)
    return tuple(origins)


def networks(value: str) -> tuple[IPNetwork, ...]:
    """IP addresses and networks, separated by commas; `off`: none, where an empty text would mean the default."""
    found = []
    if value == "off":
        return ()
    for text in (part.strip() for part in value.split(",")):
        if text:
            try:
                found.append(ipaddress.ip_network(text))
            except ValueError:
                raise ValueError(f"lists addresses and networks such as 10.0.0.0/8; {text!r} is not one") from None
    return tuple(found)


def proxies(value: str) -> tuple[IPNetwork, ...]:
    """Networks of proxies. One that is most of the internet is a fault: clients would write their own address."""
    found = networks(value)
    for each in found:
        if each.prefixlen < PROXIES_MIN_PREFIX[each.version]:
            raise ValueError(f"lists the networks of your proxies; with {each} any client could choose its own address")
    return found


def link(value: str) -> str:
    """The pattern of the link in a letter."""
    words = set(re.findall(r"{(.*?)}", value))
    if words != {"uid", "token"} or not re.fullmatch(r"[^\s<>\"\\^`|]+", value):
        raise ValueError("is a link, or a path below PUBLIC_URL, with {uid} and {token} in it")
    return value


def place(value: str) -> str:
    """Where a group of paths begins, without a slash at the end. Clients resolve `.` and `..` (RFC 3986 §5.2.4)."""
    found = re.fullmatch(r"((?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)+)/?", value)
    if not found or any(is_below(found[1], own) for own in OWN_PATHS):
        raise ValueError(f"is a path such as /api/v1/auth, which is not and does not begin with {', '.join(OWN_PATHS)}")
    return found[1]


def is_below(path: str, other: str) -> bool:
    """Whether a path is another path or begins with it, segment by segment."""
    return f"{path}/".startswith(f"{other}/")


def site(value: str) -> str:
    """The address of a site, without a slash at the end."""
    try:
        parts = urlsplit(value)
        is_address = bool(parts.hostname) and parts.port != 0  # the port raises when it is out of range
    except ValueError:
        is_address = False
    if not is_address or not re.fullmatch(r"https?://[^/\s?#@<>\"\\^`{|}]+(/[^\s?#<>\"\\^`{|}]*)?", value):
        raise ValueError("is an address such as https://accounts.example.com")
    return value.rstrip("/")


def page(value: str) -> str:
    """The address of a page that people are led to. No other scheme: `javascript:` would run in our pages."""
    try:
        is_address = bool(urlsplit(value).hostname)
    except ValueError:
        is_address = False
    if not is_address or not re.fullmatch(r"https?://[^/\s?#@<>\"\\^`{|}]+([/?#][^\s<>\"\\^`{|}]*)?", value):
        raise ValueError("is an address such as https://www.example.com/sign-in")
    return value


def line(value: str) -> str:
    """One line of text."""
    if not value.isprintable() or len(value) > 200:
        raise ValueError("is one line of at most 200 characters")
    return value


def sender(value: str) -> str:
    """The mailbox of a sender: exactly one (RFC 5322 §3.4)."""
    try:
        return str(mailbox.read(value))
    except mailbox.NoMailbox:
        raise ValueError("is an address such as accounts@example.com, or Name <accounts@example.com>") from None


def smtp(value: str) -> str:
    """The URL of a mail server."""
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("smtp", "smtp+starttls", "smtps") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("is smtp://…, smtp+starttls://… or smtps://, each with [USER:PASSWORD@]HOST[:PORT]")
    return value


def folder(value: str) -> Path:
    """A folder that exists."""
    if not Path(value).is_dir():
        raise ValueError("is a folder that exists")
    return Path(value)


def shown(value: Any) -> str:
    """A value as the text that the environment variable would have."""
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
