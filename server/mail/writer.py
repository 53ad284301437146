"""What a letter says: text and HTML from the templates, in the account's language, with links made of settings only.

Names and addresses come from strangers. They are data to a template, never template; HTML escapes them; a line break
in one ends no line of a text and no header.
"""

import hashlib
from collections.abc import Mapping
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import parseaddr
from typing import Any
from urllib.parse import urlsplit

import idna

from server.auth.one_time_tokens import write_uid
from server.mail.letters import ACTIVATION, EMAIL_CHANGE, PASSWORD_RESET, USERNAME_RESET
from server.settings.settings import Settings
from server.templates import Templates

SUBJECT = "Subject: "  # begins the first line of a text template; an empty line follows


class CannotWriteLetter(Exception):
    """The letter cannot be written; the text says why, without the address."""


class LetterWriter:
    """Writes the letters of one site."""

    def __init__(self, settings: Settings, templates: Templates) -> None:
        self._settings = settings
        self._templates = templates
        self._urls = {
            ACTIVATION: settings.activation_url,
            EMAIL_CHANGE: settings.activation_url,
            PASSWORD_RESET: settings.password_reset_confirm_url,
            USERNAME_RESET: settings.username_reset_confirm_url,
        }

    def write(self, letter: Mapping[str, Any], account: Mapping[str, Any], address: str, token: str) -> EmailMessage:
        """The message of a row of `letters/take` to `account`, sent to `address`; `token` is empty without a link.

        Raises CannotWriteLetter for an address that is none, jinja2.TemplateError for a template that cannot be used.
        """
        facts = self._facts(account)
        if token:
            uid = write_uid(account["id"])
            facts |= {"uid": uid, "token": token, "url": self.link(letter["kind"], uid, token)}
        language, name = account["language"], f"letters/{letter['kind']}"
        first, _, text = self._templates.render(language, f"{name}.txt", **facts).partition("\n")
        subject = _line(first.removeprefix(SUBJECT))
        message = EmailMessage(policy=SMTP)
        message["From"] = self._settings.mail_from
        message["To"] = _mailbox(address)
        message["Subject"] = subject
        message["Date"] = letter["queued_at"]
        # The same at each try, so that a letter that came twice shows as one.
        message["Message-ID"] = f"<{_digest(letter)}@{parseaddr(self._settings.mail_from)[1].rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834 §5: no out-of-office answers, please
        message.set_content(text.lstrip("\n"), cte=_encoding(text))
        if self._templates.belong_together(language, f"{name}.html", f"{name}.txt"):
            html = self._templates.render(language, f"{name}.html", subject=subject, **facts)
            message.add_alternative(html, subtype="html", cte=_encoding(html))
        return message

    def link(self, kind: str, uid: str, token: str) -> str:
        """Where a letter of `kind` leads; no request has a say in it (contract 11.15)."""
        url = self._urls[kind].replace("{uid}", uid).replace("{token}", token)
        return url if "://" in url else f"{self._settings.site_url}/{url.lstrip('/')}"

    def _facts(self, account: Mapping[str, Any]) -> dict[str, Any]:
        site = urlsplit(self._settings.site_url)
        return {
            "protocol": site.scheme,
            "domain": site.netloc + site.path,
            "site_name": self._settings.site_name,
            "user": {"id": account["id"], "username": _line(account["username"]), "email": _line(account["email"])},
        }


def _line(text: str) -> str:
    """`text` on one line: what cannot be printed counts as a space."""
    return " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())


def _encoding(text: str) -> str:
    """ASCII goes as it is, so that a folder of letters can be read and its links copied; else RFC 2045 §6.7."""
    plain = text.isascii() and max(map(len, text.splitlines()), default=0) <= 900
    return "7bit" if plain else "quoted-printable"


def _digest(letter: Mapping[str, Any]) -> str:
    return hashlib.sha256(f"{letter['id']} {letter['queued_at']}".encode()).hexdigest()[:32]


def _mailbox(address: str) -> Address:
    """`address` for a header, its domain in ASCII. Raises CannotWriteLetter.

    IDNA 2008, as the network has it: the codec that Python brings along takes faß.example for fass.example, which is
    somebody else's.
    """
    local, _, domain = address.rpartition("@")
    try:
        return Address(addr_spec=f"{local}@{domain if domain.isascii() else idna.encode(domain, uts46=True).decode()}")
    except (ValueError, IndexError, MessageError):
        raise CannotWriteLetter("the address is none that a letter can go to") from None
