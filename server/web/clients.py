"""The client of a request: its IP address and its program, as events and limits see it.

A proxy names the client in a header. Only a proxy of TRUSTED_PROXIES is believed, and only the header of PROXY_HEADER:
the other one may come from the client through a proxy that does not remove it (docs/decisions/client-address.md).
"""

import ipaddress
import itertools
import re
from collections.abc import Iterator

from aiohttp import hdrs, web

from server.accounts.events import DEVICE_MAX_LENGTH, Source
from server.settings.settings import Settings
from server.settings.values import IPNetwork
from server.telemetry.logs import request_id
from server.web.app_keys import SETTINGS
from server.web.authentication import IDENTITY

HOPS_MAX = 16  # proxies between client and service that are looked at
# RFC 7239 §4: pairs separated by ";"; a value is a token or a quoted string.
_FOR = re.compile(r'(?:^|;)\s*for=(?:"([^"\\]{1,64})"|([^\s;,"]{1,64}))', re.IGNORECASE)
# From the last character to the first, since only the end comes from proxies: quoted strings (RFC 9110 §5.6.4) and
# commas between elements. A string that does not begin takes all that is left: a client may have sent that.
_SPLIT = re.compile(r'"(?:[^"]|"(?=\\))*+(?:"|$)|,')
_WITH_PORT = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::\w+)?|([0-9.]+)(?::\w+)?")


def source_of(request: web.Request) -> Source:
    """Where the act of a request comes from: the caller's account, address and program."""
    identity = request.get(IDENTITY)
    return Source(
        actor_id=identity.id if identity else None,
        address=client_address(request),
        device=_text(request.headers.get(hdrs.USER_AGENT, "")),
        request_id=request_id.get(),
    )


def client_address(request: web.Request) -> str | None:
    """The IP address of the client; behind a trusted proxy the one that the proxy names. None: not known."""
    settings, address = request.app[SETTINGS], peer_address(request)
    if address is None or not settings.trusted_proxies:
        return address
    for hop in _hops(request, settings):
        if not is_in(address, settings.trusted_proxies):
            break
        if (named := _address(hop)) is None:
            break  # the proxy does not tell the address: it stands for its clients
        address = named
    return address


def peer_address(request: web.Request) -> str | None:
    """The IP address that the connection comes from: the client's, or that of the last proxy."""
    return _address(request.remote or "")


def is_in(address: str, networks: tuple[IPNetwork, ...]) -> bool:
    """Whether an IP address is in one of `networks`."""
    parsed = ipaddress.ip_address(address)
    return any(parsed in network for network in networks)


def _hops(request: web.Request, settings: Settings) -> Iterator[str]:
    """What each proxy says about the one before it, the nearest first."""
    header = hdrs.FORWARDED if settings.proxy_header == "forwarded" else hdrs.X_FORWARDED_FOR
    text = ",".join(request.headers.getall(header, ()))
    for part in itertools.islice(_from_the_last(text), HOPS_MAX):
        if header == hdrs.FORWARDED:
            found = _FOR.search(part)
            yield (found[1] or found[2]) if found else ""
        else:
            yield part.strip()


def _from_the_last(text: str) -> Iterator[str]:
    """The elements of a header, the last one first: the client chose the first ones."""
    backwards, begin = text[::-1], 0
    for found in _SPLIT.finditer(backwards):
        if found[0] == ",":
            yield backwards[begin : found.start()][::-1]
            begin = found.end()
    yield backwards[begin:][::-1]


def _address(text: str) -> str | None:
    """An IP address in its shortest form, without a port and a zone; IPv4 in IPv6 as IPv4. None: it is none."""
    if with_port := _WITH_PORT.fullmatch(text):
        text = with_port[1] or with_port[2]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return str(address)


def _text(header: str) -> str:
    """A header as text that the database can store: bytes that are not UTF-8 and NUL are replaced."""
    return header[:DEVICE_MAX_LENGTH].encode(errors="replace").decode().replace("\0", "?")
