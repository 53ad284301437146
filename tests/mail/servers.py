"""Mail servers on loopback (aiosmtpd), with and without TLS."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.mail.reading import Read, read


class Clerk:
    """Accepts letters. `mail`, `rcpt` and `data`, if set, are its replies to these commands; DATA waits for `waits`."""

    def __init__(self) -> None:
        self.letters: list[Read] = []
        self.tries = 0
        self.mail = self.rcpt = self.data = ""
        self.waits: asyncio.Event | None = None
        self.logins: list[LoginPassword] = []
        self.is_tls: list[bool] = []
        self.options: list[str] = []
        self.senders: list[str] = []
        self.recipients: list[str] = []
        self.contents: list[bytes] = []
        self.checks_recipient = True

    async def handle_MAIL(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:  # noqa: N802  aiosmtpd's name
        self.tries += 1
        if self.mail:
            return self.mail
        envelope.mail_from = address
        self.options = list(options)
        return "250 OK"

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: Any) -> str:  # noqa: N802  aiosmtpd's name
        if self.rcpt:
            return self.rcpt
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  aiosmtpd's name
        if self.data:
            return self.data
        if self.waits is not None:
            await self.waits.wait()
        assert isinstance(envelope.content, bytes)
        letter = read(envelope.content)
        assert envelope.rcpt_tos == [letter.to] or not self.checks_recipient
        assert envelope.mail_from is not None
        self.senders.append(envelope.mail_from)
        self.recipients += envelope.rcpt_tos
        self.contents.append(envelope.content)
        assert server.transport is not None
        self.is_tls.append(server.transport.get_extra_info("ssl_object") is not None)
        self.letters.append(letter)
        return "250 OK"

    def authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: Any
    ) -> AuthResult:
        self.logins.append(given)
        return AuthResult(success=given == LoginPassword(b"clerk", b"p@ss word"), handled=False)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def certified(authority: trustme.CA) -> ssl.SSLContext:
    """The TLS context of a server on localhost, with a certificate of `authority`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the service trust `authority`."""
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))


Serve: TypeAlias = Callable[..., Awaitable[tuple[Clerk, int]]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts a mail server: its clerk and its port. `at_once`: TLS from the first byte; `asks`: for a password."""
    running: list[asyncio.Server] = []

    async def begin(at_once: ssl.SSLContext | None = None, *, asks: bool = False, **options: Any) -> tuple[Clerk, int]:
        clerk = Clerk()
        if asks:
            options = {"authenticator": clerk.authenticate, "auth_required": True, "auth_require_tls": False} | options
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: SMTP(clerk, hostname="localhost", loop=loop, **options), "127.0.0.1", 0, ssl=at_once
        )
        running.append(server)
        return clerk, server.sockets[0].getsockname()[1]

    yield begin
    for server in running:
        server.close()
