"""How letters leave: over SMTP, or into a folder as files where there is no mail server."""

import asyncio
import contextlib
import ipaddress
import os
import re
import secrets
import socket
import ssl
import time
from email.message import EmailMessage
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

import aiosmtplib

from server.settings.settings import Settings

TRY_SECONDS = 30.0  # for handing one letter over
ANSWER_SECONDS = 15.0  # for each answer of the server
QUIT_SECONDS = 2.0
MAX_REASON = 300  # characters
PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}


class DeliveryFailed(Exception):
    """The letter could not be handed over now; the text says why, without address, link or token."""


class DeliveryRefused(DeliveryFailed):
    """The letter will not be taken however often it is tried."""


class Delivery(Protocol):
    """Takes letters away."""

    async def deliver(self, message: EmailMessage, kind: str) -> None:
        """Hand `message` over. Raises DeliveryFailed, DeliveryRefused."""


def delivery_for(settings: Settings) -> Delivery:
    """The way that letters leave by these settings."""
    return SmtpDelivery(settings.smtp_url) if settings.smtp_url else FolderDelivery(settings.letters_dir)


class FolderDelivery:
    """One file a letter, for its owner's eyes only; the names sort by time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def deliver(self, message: EmailMessage, kind: str) -> None:
        """Write `message`; who looks into the folder never sees half of it. Raises DeliveryFailed."""
        try:
            async with asyncio.timeout(TRY_SECONDS):
                await asyncio.to_thread(self._write, message.as_bytes(), kind)
        except TimeoutError:
            raise DeliveryFailed(f"MAIL_DIR {self._folder}: takes too long") from None
        except OSError as failure:
            raise DeliveryFailed(f"MAIL_DIR {self._folder}: {failure.strerror}") from None

    def _write(self, content: bytes, kind: str) -> None:
        if not self._folder.is_dir():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{time.time_ns():019d}-{kind}-{secrets.token_hex(4)}"
        beside = self._folder / f".{name}"
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123  a mode
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.rename(self._folder / f"{name}.eml")


class SmtpDelivery:
    """A mail server; a connection for each letter."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port or PORTS[parts.scheme]
        self._username = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password or "") if parts.username else None
        here = _is_here(self._host)
        self._tls_at_once = parts.scheme == "smtps"
        # None: whenever the server offers it. A password goes over no open line but the machine's own.
        needs_tls = parts.scheme == "smtp+starttls" or (self._username is not None and not here)
        self._start_tls = False if self._tls_at_once else True if needs_tls else None

        self._context = ssl.create_default_context()
        if here and self._start_tls is None:
            # The mail server of this machine has a certificate for no name that could be asked for.
            self._context.check_hostname = False
            self._context.verify_mode = ssl.CERT_NONE
        self._name = ""

    async def deliver(self, message: EmailMessage, kind: str) -> None:
        """Hand `message` to the server within TRY_SECONDS. Raises DeliveryFailed, DeliveryRefused."""
        client = await self._client()
        try:
            async with asyncio.timeout(TRY_SECONDS):
                await self._hand_over(client, message)
            # From here on the server has it: whatever goes wrong with the farewell is no failure.
            with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
                await client.quit(timeout=QUIT_SECONDS)
        except TimeoutError:
            raise DeliveryFailed("the mail server takes too long") from None
        finally:
            client.close()

    async def _hand_over(self, client: aiosmtplib.SMTP, message: EmailMessage) -> None:
        try:
            await client.connect()
        except (aiosmtplib.SMTPException, OSError, ValueError) as failure:
            raise DeliveryFailed(_reason(failure)) from None
        try:
            await client.send_message(message)
        except aiosmtplib.SMTPRecipientsRefused as failure:
            first = failure.recipients[0]
            raise (DeliveryRefused if first.code >= 500 else DeliveryFailed)(_reason(first)) from None
        except (aiosmtplib.SMTPSenderRefused, aiosmtplib.SMTPDataError) as failure:
            raise (DeliveryRefused if failure.code >= 500 else DeliveryFailed)(_reason(failure)) from None
        except aiosmtplib.SMTPNotSupported as failure:
            raise DeliveryRefused(_reason(failure)) from None
        except (aiosmtplib.SMTPException, OSError, ValueError) as failure:
            raise DeliveryFailed(_reason(failure)) from None

    async def _client(self) -> aiosmtplib.SMTP:
        # Named beforehand: the library would look the name up, and everybody else would wait for it.
        self._name = self._name or await asyncio.to_thread(socket.getfqdn)
        return aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            username=self._username,
            password=self._password,
            local_hostname=self._name,
            timeout=ANSWER_SECONDS,
            use_tls=self._tls_at_once,
            start_tls=self._start_tls,
            tls_context=self._context,
        )


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reason(failure: Exception) -> str:
    """What a mail server or the network said, fit for logs: servers echo addresses and links (trust 34)."""
    if isinstance(failure, aiosmtplib.SMTPResponseException):
        text = f"{failure.code} {failure.message}"
    elif isinstance(failure, ssl.SSLError):
        text = f"TLS: {getattr(failure, 'verify_message', '') or failure.reason or failure}"
    else:
        text = str(failure) or type(failure).__name__
    text = re.sub(r"[^\s<>]+@", "…@", " ".join(text.split()))
    text = re.sub(r"\S+://\S+", "…", text)
    text = re.sub(r"[\w/+=-]{30,}", "…", text)
    return "".join(letter for letter in text if letter.isprintable())[:MAX_REASON]
