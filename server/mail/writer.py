"""Writes letters: text and HTML from templates, in the account's language, with links from settings only.

Names and addresses are untrusted. They are data for a template and never part of it. HTML escapes them, and their line
breaks are removed, so that they cannot add a line to a text or a header (security 27).
"""

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from typing import Any
from urllib.parse import urlsplit

from server.auth.one_time_tokens import write_uid
from server.mail.letters import ACTIVATION, EMAIL_CHANGE, EMAIL_RESET, PASSWORD_RESET, USERNAME_RESET
from server.mailbox import Mailbox, NoMailbox, mailbox, read
from server.settings.account_model import AccountModel, load_account_fields
from server.settings.settings import Settings
from server.templates import Templates

# Headers with mailboxes are written once: the library would write them again, some as two mailboxes.
POLICY = SMTP.clone(refold_source="none")
SUBJECT_PREFIX = "Subject: "  # of the first line of a text template; an empty line follows


class CannotWriteLetter(Exception):
    """The letter cannot be written. The text says why, without the address."""


@dataclass(frozen=True)
class Letter:
    """A message, and the mailboxes that SMTP sends it from and to."""

    message: EmailMessage
    sender: Mailbox
    recipient: Mailbox


VARIABLES = ("protocol", "domain", "site_name", "user", "uid", "token", "url", "subject")  # `subject` in HTML alone


def user_variables(account: AccountModel) -> set[str]:
    """The members of the variable `user` of a template."""
    return {"id", "username", "email", "shown_name", *(each.name for each in account.fields)}


class LetterWriter:
    """Writes the letters of one site."""

    def __init__(self, settings: Settings, templates: Templates) -> None:
        self._settings = settings
        self._templates = templates
        self._sender = read(settings.mail_from)
        self._urls = {
            ACTIVATION: settings.activation_url,
            EMAIL_CHANGE: settings.activation_url,
            PASSWORD_RESET: settings.password_reset_confirm_url,
            USERNAME_RESET: settings.username_reset_confirm_url,
            EMAIL_RESET: settings.email_reset_confirm_url,
        }

    def write(self, letter: Mapping[str, Any], account: Mapping[str, Any], address: str, token: str) -> "Letter":
        """The letter for a row of `letters/take`. `token` is empty for a letter without a link.

        Raises CannotWriteLetter for an invalid address, jinja2.TemplateError for a template that cannot be used.
        """
        to = _recipient(address)
        facts = self._facts(account)
        if token:
            uid = write_uid(account["id"])
            facts |= {"uid": uid, "token": token, "url": self.link(letter["kind"], uid, token)}
        language, name = account["language"], f"letters/{letter['kind']}"
        first, _, text = self._templates.render(language, f"{name}.txt", **facts).partition("\n")
        subject = _line(first.removeprefix(SUBJECT_PREFIX))
        message = EmailMessage(policy=POLICY)
        message.set_raw("From", self._sender.header)
        message.set_raw("To", to.header)
        message["Subject"] = subject
        message["Date"] = letter["queued_at"]
        # The same at each try: a mailbox can then show a letter only once if it was sent twice.
        message["Message-ID"] = f"<{_digest(letter)}@{self._sender.domain}>"
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834 §5: no out-of-office replies
        message.set_content(text.lstrip("\n"), cte=_encoding(text))
        if self._templates.belong_together(language, f"{name}.html", f"{name}.txt"):
            html = self._templates.render(language, f"{name}.html", subject=subject, **facts)
            message.add_alternative(html, subtype="html", cte=_encoding(html))
        return Letter(message, self._sender, to)

    def write_test(self, address: str) -> "Letter":
        """A letter that only shows that letters arrive. Raises CannotWriteLetter for an invalid address."""
        to = _recipient(address)
        message = EmailMessage(policy=POLICY)
        message.set_raw("From", self._sender.header)
        message.set_raw("To", to.header)
        message["Subject"] = _line(f"Test letter of {self._settings.site_name}")
        message["Date"] = datetime.now(UTC)
        message["Message-ID"] = f"<{secrets.token_hex(16)}@{self._sender.domain}>"
        message["Auto-Submitted"] = "auto-generated"
        site, begin = _line(self._settings.site_name), self._settings.site_url
        text = f"Letters of {site} arrive.\n\nLinks in them begin with {begin} unless settings say otherwise.\n"
        message.set_content(text, cte=_encoding(text))
        return Letter(message, self._sender, to)

    def link(self, kind: str, uid: str, token: str) -> str:
        """The link in a letter of `kind`. It depends on settings only, never on a request (contract 11.15)."""
        url = self._urls[kind].replace("{uid}", uid).replace("{token}", token)
        return url if "://" in url else f"{self._settings.site_url}/{url.lstrip('/')}"

    def _facts(self, account: Mapping[str, Any]) -> dict[str, Any]:
        site = urlsplit(self._settings.site_url)
        return {
            "protocol": site.scheme,
            "domain": site.netloc + site.path,
            "site_name": self._settings.site_name,
            "user": {
                **self._account_fields(account),
                "id": account["id"],
                "username": _line(account["username"] or ""),
                "email": _line(account["email"]),
                "shown_name": _line(self._settings.account.name_of(account)),
            },
        }

    def _account_fields(self, account: Mapping[str, Any]) -> dict[str, Any]:
        """The declared account fields as template variables; a text is one line."""
        stored = load_account_fields(account["account_fields"])
        values = {each.name: stored.get(each.name, each.empty) for each in self._settings.account.fields}
        return {name: _line(value) if isinstance(value, str) else value for name, value in values.items()}


def _line(text: str) -> str:
    """`text` on one line. Characters that cannot be printed become spaces."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def _recipient(address: str) -> Mailbox:
    try:
        return mailbox(address)
    except NoMailbox:
        raise CannotWriteLetter("the address is invalid") from None


def _encoding(text: str) -> str:
    """ASCII unencoded, so that links in a folder of letters can be read and copied; else RFC 2045 §6.7."""
    plain = text.isascii() and max(map(len, text.splitlines()), default=0) <= 900
    return "7bit" if plain else "quoted-printable"


def _digest(letter: Mapping[str, Any]) -> str:
    return hashlib.sha256(f"{letter['id']} {letter['queued_at']}".encode()).hexdigest()[:32]
