"""Delivers letters: over SMTP, or as files in a folder when no mail server is set."""

import asyncio
import contextlib
import errno
import ipaddress
import os
import re
import secrets
import socket
import ssl
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import aiosmtplib

from server.mail.writer import Letter
from server.settings.settings import Settings

TRY_SECONDS = 30.0  # for one delivery
REPLY_SECONDS = 15.0  # for each reply of the mail server
QUIT_SECONDS = 2.0
CANCEL_AGAIN_SECONDS = 0.05  # between two cancellations of a try
REASON_MAX_LENGTH = 300  # characters
DEFAULT_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}


class DeliveryFailed(Exception):
    """The letter was not delivered now. The text says why, without address, link and token."""


class DeliveryRefused(DeliveryFailed):
    """The mail server refuses the letter permanently."""


class DeliveryUnavailable(DeliveryFailed):
    """No letter can be delivered: the mail server cannot be reached or does not accept this service, or a disk is full.

    The cause is never the letter.
    """


class DiskFull(DeliveryUnavailable):
    """The disk of the folder has no room."""


class SenderRefused(DeliveryUnavailable, DeliveryRefused):
    """The mail server permanently refuses the address that letters are from."""


class Delivery(Protocol):
    """Delivers letters."""

    async def deliver(self, letter: Letter, kind: str) -> None:
        """Deliver `letter`. Raises DeliveryFailed, DeliveryRefused."""

    async def check(self) -> None:
        """Look whether letters could be delivered, and deliver none. Raises DeliveryFailed."""


def delivery_for(settings: Settings) -> Delivery:
    """The delivery that `settings` describe."""
    return SmtpDelivery(settings.smtp_url) if settings.smtp_url else FolderDelivery(settings.letters_dir)


class FolderDelivery:
    """Writes one file for each letter. Only the owner can read it; names sort by time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def deliver(self, letter: Letter, kind: str) -> None:
        """Write `letter`. A partial file is never visible as a letter. Raises DeliveryFailed."""
        try:
            async with asyncio.timeout(TRY_SECONDS):
                await asyncio.to_thread(self._write, letter.message.as_bytes(), kind)
        except TimeoutError:
            raise DeliveryFailed(f"MAIL_DIR {self._folder}: takes too long") from None
        except OSError as failure:
            is_full = failure.errno in (errno.ENOSPC, errno.EDQUOT)
            raise (DiskFull if is_full else DeliveryUnavailable)(
                f"MAIL_DIR {self._folder}: {failure.strerror}"
            ) from None

    async def check(self) -> None:
        """Write a file, and remove it. Raises DeliveryFailed."""
        probe = self._folder / f".check-{secrets.token_hex(4)}"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            probe.touch(mode=0o600, exist_ok=False)
            probe.unlink()
        except OSError as failure:
            raise DeliveryFailed(f"MAIL_DIR {self._folder}: {failure.strerror}") from None

    def _write(self, content: bytes, kind: str) -> None:
        if not self._folder.is_dir():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{time.time_ns():019d}-{kind}-{secrets.token_hex(4)}"
        partial = self._folder / f".{name}"
        with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123  Path.open takes no mode bits
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(self._folder / f"{name}.eml")


class SmtpDelivery:
    """Sends to a mail server, with one connection for each letter."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port or DEFAULT_PORTS[parts.scheme]
        self._username = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password or "") if parts.username else None
        is_local = _is_loopback(self._host)
        self._uses_implicit_tls = parts.scheme == "smtps"
        # None: use TLS if the server offers it. Only on loopback may a password be sent without TLS.
        needs_tls = parts.scheme == "smtp+starttls" or (self._username is not None and not is_local)
        self._start_tls = False if self._uses_implicit_tls else True if needs_tls else None

        self._context = ssl.create_default_context()
        if is_local and self._start_tls is None:
            # The certificate of a local mail server cannot be verified: it does not name this host.
            self._context.check_hostname = False
            self._context.verify_mode = ssl.CERT_NONE
        self._local_hostname = ""

    async def deliver(self, letter: Letter, kind: str) -> None:
        """Send `letter` within TRY_SECONDS. Raises DeliveryFailed, DeliveryRefused."""
        await self._use(lambda client: self._transfer(client, letter))

    async def check(self) -> None:
        """Connect, with TLS and password, and quit. Raises DeliveryFailed."""
        await self._use(self._connect)

    async def _use(self, work: Callable[[aiosmtplib.SMTP], Coroutine[Any, Any, None]]) -> None:
        """Do `work` with a client, within TRY_SECONDS, and quit. Raises DeliveryFailed, and what `work` raises."""
        client = await self._client()
        try:
            await _limit(work(client), TRY_SECONDS)
            # The work is done (the server has accepted the letter): an error at QUIT is no failure.
            with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
                await client.quit(timeout=QUIT_SECONDS)
        except TimeoutError:
            raise DeliveryFailed("the mail server takes too long") from None
        finally:
            client.close()

    async def _connect(self, client: aiosmtplib.SMTP) -> None:
        try:
            await client.connect()
        except (aiosmtplib.SMTPException, OSError, ValueError) as failure:
            raise DeliveryUnavailable(_reason(failure)) from None

    async def _transfer(self, client: aiosmtplib.SMTP, letter: Letter) -> None:
        await self._connect(client)
        try:
            # Not send_message: it reads the mailboxes from the headers, and drops the quotes of a local part.
            await client.sendmail(letter.sender.address, [letter.recipient.address], letter.message.as_bytes())
        except aiosmtplib.SMTPRecipientsRefused as failure:
            first = failure.recipients[0]
            raise (DeliveryRefused if first.code >= 500 else DeliveryFailed)(_reason(first)) from None
        except aiosmtplib.SMTPSenderRefused as failure:
            raise (SenderRefused if failure.code >= 500 else DeliveryUnavailable)(_reason(failure)) from None
        except aiosmtplib.SMTPDataError as failure:
            raise (DeliveryRefused if failure.code >= 500 else DeliveryFailed)(_reason(failure)) from None
        except aiosmtplib.SMTPNotSupported as failure:
            raise DeliveryRefused(_reason(failure)) from None
        except (aiosmtplib.SMTPException, OSError, ValueError) as failure:
            raise DeliveryFailed(_reason(failure)) from None

    async def _client(self) -> aiosmtplib.SMTP:
        # Looked up in a thread: the library would look it up in the event loop and block it.
        self._local_hostname = self._local_hostname or await asyncio.to_thread(socket.getfqdn)
        return aiosmtplib.SMTP(
            hostname=self._host,
            port=self._port,
            username=self._username,
            password=self._password,
            local_hostname=self._local_hostname,
            timeout=REPLY_SECONDS,
            use_tls=self._uses_implicit_tls,
            start_tls=self._start_tls,
            tls_context=self._context,
        )


async def _limit(work: Coroutine[Any, Any, None], seconds: float) -> None:
    """Run `work`, and end it after `seconds`. Raises TimeoutError.

    Not asyncio.timeout, which cancels once: before Python 3.12 asyncio.wait_for, which aiosmtplib uses, loses a
    cancellation that comes together with a result. The try would go on for REPLY_SECONDS and more.
    """
    task = asyncio.create_task(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
    finally:
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=CANCEL_AGAIN_SECONDS)
        failure = None if task.cancelled() else task.exception()
    if task.cancelled():
        raise TimeoutError
    if failure:
        raise failure


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reason(failure: Exception) -> str:
    """The reply or error without addresses and links, which mail servers echo: it goes into logs (security 34)."""
    if isinstance(failure, aiosmtplib.SMTPResponseException):
        text = f"{failure.code} {failure.message}"
    elif isinstance(failure, ssl.SSLError):
        text = f"TLS: {getattr(failure, 'verify_message', '') or failure.reason or failure}"
    else:
        text = str(failure) or type(failure).__name__
    text = re.sub(r"[^\s<>]+@", "…@", " ".join(text.split()))
    text = re.sub(r"\S+://\S+", "…", text)
    text = re.sub(r"[\w/+=-]{30,}", "…", text)
    return "".join(character for character in text if character.isprintable())[:REASON_MAX_LENGTH]
