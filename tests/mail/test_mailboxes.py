"""Sender and recipient are one mailbox each, whatever their names and domains, at any mail server (security 43)."""

import email
import email.policy
from email.header import decode_header, make_header
from email.headerregistry import AddressHeader
from email.utils import getaddresses, parseaddr
from typing import Any

import pytest

from server import mailbox
from server.settings import values
from tests.mail.conftest import MakeOffice
from tests.mail.servers import Serve

A = "a@example.com"

SENDERS = {
    A: ("", A),
    f"<{A}>": ("", A),
    f"Acme <{A}>": ("Acme", A),
    f'"Acme, Inc. Ü" <{A}>': ("Acme, Inc. Ü", A),
    f"Acme Inc. (Support) <{A}>": ("Acme Inc. (Support)", A),
    f'"eve@example.org, Acme" <{A}>': ("eve@example.org, Acme", A),
    f'"<eve@example.org>" <{A}>': ("<eve@example.org>", A),
    f'"\\" <eve@example.org>, \\"x" <{A}>': ('" <eve@example.org>, "x', A),
    f'"a: b; c\\\\" <{A}>': ("a: b; c\\", A),
    f"Größe =?utf-8?q?x?= <{A}>": ("Größe =?utf-8?q?x?=", A),
    f"=?utf-8?q?Ee_=3Ceve=40example.org=3E=2C?= <{A}>": ("=?utf-8?q?Ee_=3Ceve=40example.org=3E=2C?=", A),
    f"受付 <{A}>": ("受付", A),
    f'"{"Ä, " * 40}Ö" <{A}>': ("Ä, " * 40 + "Ö", A),
    f'"{"long, " * 25}name" <{A}>': ("long, " * 25 + "name", A),
    "Desk <desk@münchen.example>": ("Desk", "desk@xn--mnchen-3ya.example"),
    '"a b"@example.com': ("", '"a b"@example.com'),
    '"@"@example.com': ("", '"@"@example.com'),
    'Desk <"de,sk"@example.com>': ("Desk", '"de,sk"@example.com'),
    f"{'l' * 60}@{'d' * 60}.{'e' * 60}.example": ("", f"{'l' * 60}@{'d' * 60}.{'e' * 60}.example"),
    "webmaster@localhost": ("", "webmaster@localhost"),
}


@pytest.mark.parametrize("smtputf8", [False, True])
@pytest.mark.parametrize("sender", SENDERS)
async def test_each_sender_is_one_mailbox(make_office: MakeOffice, serve: Serve, sender: str, smtputf8: bool) -> None:
    clerk, port = await serve(enable_SMTPUTF8=smtputf8)
    office = make_office(smtp_url=f"smtp://127.0.0.1:{port}", mail_from=values.sender(sender))
    await office.queue("confirmation", office.account())
    await office.send()
    (letter,) = clerk.letters
    name, address = SENDERS[sender]
    # No library at all: the header is ASCII, and one mailbox after another reading than Python's.
    raw = email.message_from_bytes(clerk.contents[0], policy=email.policy.compat32)["From"]
    assert raw.isascii()
    assert [each for _, each in getaddresses([raw])] == [address]
    header: Any = letter.message["From"]
    assert isinstance(header, AddressHeader)
    assert [each.addr_spec for each in header.addresses] == [address]
    assert str(make_header(decode_header(parseaddr(raw)[0]))) == name or name.startswith("=?")
    assert clerk.senders == [address]
    assert letter.message["Message-ID"].endswith(f"@{address.rpartition('@')[2]}>")


RECIPIENTS = {
    "anna@example.com": "anna@example.com",
    "anna@münchen.example": "anna@xn--mnchen-3ya.example",
    "anna@ｅｘａｍｐｌｅ.com": "anna@example.com",
    "anna@xn--i-7iq.example": "anna@xn--i-7iq.example",
    '"anna"@example.com': '"anna"@example.com',
    '"a\\"b"@example.com': '"a\\"b"@example.com',
    '"eve@example.org,"@example.com': '"eve@example.org,"@example.com',
    "!#$%&'*+-/=?^_`{|}~@example.com": "!#$%&'*+-/=?^_`{|}~@example.com",
    "anna@[127.0.0.1]": "anna@[127.0.0.1]",
    "anna@[::1]": "anna@[IPv6:::1]",
}


@pytest.mark.parametrize("smtputf8", [False, True])
@pytest.mark.parametrize("address", RECIPIENTS)
async def test_each_recipient_is_one_mailbox(
    make_office: MakeOffice, serve: Serve, address: str, smtputf8: bool
) -> None:
    clerk, port = await serve(enable_SMTPUTF8=smtputf8)
    clerk.checks_recipient = False  # Python's reader of headers drops quotes that are not needed
    office = make_office(smtp_url=f"smtp://127.0.0.1:{port}")
    await office.queue("confirmation", office.account(email=address))
    await office.send()
    (letter,) = clerk.letters
    # aiosmtpd reads the quotes of an atom away; the header has what was written.
    assert clerk.recipients == [RECIPIENTS[address].replace('"anna"', "anna")]
    assert f"\r\nTo: {RECIPIENTS[address]}\r\n".encode() in clerk.contents[0]
    assert len(letter.message["To"].addresses) == 1


@pytest.mark.parametrize(
    "value",
    [
        *("", "a", "@", "a@", "@example.com", '""@example.com', "a@example..com", "a@-example.com", "a b@example.com"),
        *(
            "a@example.com, b@example.com",
            "a@example.com b@example.com",
            "Acme, Inc. <a@example.com>",
            "<a@example.com",
        ),
        *("eve@example.org <a@example.com>", "Acme <a@example.com> x", "Acme <a@example.com>, <b@example.com>"),
        *('"Acme" x" <a@example.com>', "Team: a@example.com;", "Acme\r\nBcc: <a@example.com>", "боря@example.com"),
        *("a@xn--.ü", "a@❤.example", f"a@{'d' * 64}.example", f"{'a' * 250}@example.com"),
        f"{'a' * 65}@example.com",
    ],
)
def test_a_sender_that_is_not_exactly_one_mailbox_is_a_fault(value: str) -> None:
    with pytest.raises(ValueError, match="is an address such as"):
        values.sender(value)


def test_a_mailbox_is_read_as_it_is_written() -> None:
    for sender, (name, address) in SENDERS.items():
        found = mailbox.read(sender)
        assert (found.name, found.address) == (name, address)
        assert mailbox.read(str(found)) == found
