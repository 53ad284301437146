"""Mailboxes of headers and of SMTP: the one place that writes them, for sender and recipient (RFC 5322 §3.4)."""

import ipaddress
import re
from dataclasses import dataclass
from email.charset import QP, Charset
from email.header import Header

import idna

ADDRESS_MAX_LENGTH = 254  # RFC 5321 §4.5.3.1.3, without the angle brackets
HEADER_MAX_LENGTH = 76  # of a line that holds encoded words (RFC 2047 §2)

LOCAL_MAX_LENGTH = 64  # RFC 5321 §4.5.3.1.1

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL = re.compile(rf'{_ATOM}(\.{_ATOM})*|"([ !#-\[\]-~]|\\[ -~])+"')  # RFC 5321 §4.1.2, but not ""
_ASCII_DOMAIN = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9])?")
# A name without quotes has no character that divides mailboxes or ends a name.
_MAILBOX = re.compile(r'(?:(?P<name>"(?:[^"\\]|\\.)*"|[^"\\<>,;:@\[\]]*?)\s*<(?P<inside>[^<>]+)>|(?P<alone>[^<>]+))')
_CHARSET = Charset("utf-8")
_CHARSET.header_encoding = QP


class NoMailbox(ValueError):
    """The text is not exactly one mailbox that letters can reach."""


@dataclass(frozen=True)
class Mailbox:
    """An address that SMTP can send to, all in ASCII, and the name beside it; "" without one."""

    address: str
    name: str = ""

    @property
    def domain(self) -> str:
        """The domain of the address, in ASCII."""
        return self.address.rpartition("@")[2]

    @property
    def header(self) -> str:
        """The value of a header, in ASCII and folded. Always exactly one mailbox (security 43)."""
        if not self.name:
            return self.address
        if self.name.isascii():
            name = '"' + re.sub(r'(["\\])', r"\\\1", self.name) + '"'
        else:
            name = Header(self.name, _CHARSET, HEADER_MAX_LENGTH - len("From: ")).encode(linesep="\r\n")
        return f"{name}\r\n <{self.address}>"

    def __str__(self) -> str:
        """The mailbox as `read` reads it."""
        if not self.name:
            return self.address
        name = re.sub(r'(["\\])', r"\\\1", self.name)
        return f'"{name}" <{self.address}>'


def mailbox(address: str, name: str = "") -> Mailbox:
    """The mailbox of an address, with its domain in ASCII: a mail server needs no SMTPUTF8. Raises NoMailbox.

    A quoted local part stays as it is.
    """
    local, _, domain = address.rpartition("@")
    if not _LOCAL.fullmatch(local) or not name.isprintable():
        raise NoMailbox
    found = Mailbox(f"{local}@{ascii_domain(domain)}", name)
    if len(found.address) > ADDRESS_MAX_LENGTH:
        raise NoMailbox
    return found


def read(text: str) -> Mailbox:
    """The mailbox that `text` describes: `ADDRESS`, or `NAME <ADDRESS>`. Raises NoMailbox."""
    found = _MAILBOX.fullmatch(text.strip())
    if found is None:
        raise NoMailbox
    name = (found["name"] or "").strip()
    if name.startswith('"'):
        name = re.sub(r"\\(.)", r"\1", name[1:-1]).strip()
    address = (found["inside"] or found["alone"]).strip()
    # Of the sender alone: what another server takes for a long name of its own is for that server to say.
    if len(address.rpartition("@")[0]) > LOCAL_MAX_LENGTH:
        raise NoMailbox
    return mailbox(address, name)


def ascii_domain(domain: str) -> str:
    """`domain` in ASCII, as DNS and mail servers know it. Raises NoMailbox.

    IDNA 2008, and not Python's own codec: that turns faß.example into fass.example, which is another domain. A domain
    that is ASCII already is left to DNS: idna refuses some that exist (`a--b.example`, Punycode of an emoji).
    """
    if domain.startswith("[") and domain.endswith("]"):
        return _literal(domain[1:-1])
    try:
        known = domain if domain.isascii() else idna.encode(domain, uts46=True).decode()
    except (idna.IDNAError, UnicodeError):
        raise NoMailbox from None
    if not _ASCII_DOMAIN.fullmatch(known) or ".." in known or any(len(label) > 63 for label in known.split(".")):
        raise NoMailbox
    return known


def _literal(text: str) -> str:
    """An address literal as SMTP writes it (RFC 5321 §4.1.3)."""
    try:
        found = ipaddress.ip_address(text.removeprefix("IPv6:"))
    except ValueError:
        raise NoMailbox from None
    return f"[IPv6:{found.compressed}]" if found.version == 6 else f"[{found.compressed}]"
