"""Web origins in their canonical form: two texts are one origin when their canonical forms are equal (RFC 6454 §4)."""

import functools
import re

import idna

DEFAULT_PORTS = {"http": "80", "https": "443"}
ORIGIN_MAX_LENGTH = 300  # a host name has 253 characters at most

# Any scheme: the shells of mobile applications send capacitor://localhost or ionic://localhost.
_ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>[\w-]+(\.[\w-]+)*\.?|\[[\da-f:.]+\])(:(?P<port>\d{1,5}))?", re.IGNORECASE
)


@functools.lru_cache(1024)
def canonical(text: str) -> str | None:
    """The canonical form of an origin, or None for a text that is not an origin (`null` is not one to allow).

    Lower case, the host in ASCII as browsers send it, and no default port.
    """
    found = _ORIGIN.fullmatch(text) if len(text) <= ORIGIN_MAX_LENGTH else None
    if found is None or int(found["port"] or 0) > 65535:
        return None
    scheme, host, port = found["scheme"].lower(), _ascii(found["host"].lower()), found["port"]
    if host is None:
        return None
    port = str(int(port)) if port else None
    return f"{scheme}://{host}" + (f":{port}" if port and port != DEFAULT_PORTS.get(scheme) else "")


def _ascii(host: str) -> str | None:
    if host.isascii():
        return host
    try:
        return idna.encode(host, uts46=True).decode()
    except idna.IDNAError:
        return None
