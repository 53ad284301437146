"""Letters are sent over SMTP, with TLS where it is required, to the address that the account has."""

import ssl

import pytest
from aiosmtpd.smtp import LoginPassword

from server.mail.letters import PASSWORD_RESET
from tests.mail.conftest import MakeOffice
from tests.mail.servers import Serve

LOGIN = LoginPassword(b"clerk", b"p@ss word")


async def test_a_letter_is_delivered_to_the_mail_server(make_office: MakeOffice, serve: Serve) -> None:
    clerk, port = await serve()
    office = make_office(smtp_url=f"smtp://127.0.0.1:{port}", mail_from="Sign-in desk <desk@example.org>")
    await office.queue_link(PASSWORD_RESET, office.account(username="änne", email="anne@example.com", language="de"))
    await office.send()
    (letter,) = clerk.letters
    assert office.queued() == []
    assert (letter.to, letter.subject, letter.message["From"]) == (
        "anne@example.com",
        "Neues Passwort auf Frontdesk",
        "Sign-in desk <desk@example.org>",
    )
    assert letter.message["Auto-Submitted"] == "auto-generated"
    assert "änne" in letter.text
    assert "änne" in letter.html
    assert letter.link in letter.html


@pytest.mark.parametrize(
    ("address", "to"),
    [
        ("anna@münchen.example", "anna@xn--mnchen-3ya.example"),
        ("anna@faß.example", "anna@xn--fa-hia.example"),  # not fass.example, which is another domain
        ('"anna b"@example.com', '"anna b"@example.com'),
        ("anna@[127.0.0.1]", "anna@[127.0.0.1]"),
    ],
)
async def test_an_unusual_address_is_sent_to_unchanged(
    make_office: MakeOffice, serve: Serve, address: str, to: str
) -> None:
    clerk, port = await serve()
    office = make_office(smtp_url=f"smtp://127.0.0.1:{port}")
    await office.queue("confirmation", office.account(email=address))
    await office.send()
    assert ([letter.to for letter in clerk.letters], office.queued()) == ([to], [])


@pytest.mark.parametrize(
    "address",
    [
        "боря@example.com",
        "anna",
        "@",
        "anna@",
        "a@b.example, c@d.example",
        "anna\r\nBcc: eve@example.com",
        "a b@example.com",
    ],
)
async def test_a_letter_to_an_invalid_address_is_given_up(make_office: MakeOffice, serve: Serve, address: str) -> None:
    clerk, port = await serve()
    office = make_office(smtp_url=f"smtp://127.0.0.1:{port}")
    await office.queue("confirmation", office.account(email=address))
    await office.send()
    (row,) = office.queued()
    assert (clerk.tries, row["given_up_at"] is None) == (0, False)
    assert row["fault"] == "the address is invalid"


async def test_tls_is_used_when_the_server_offers_it(
    make_office: MakeOffice, serve: Serve, certified: ssl.SSLContext
) -> None:
    clerk, port = await serve(tls_context=certified)
    office = make_office(smtp_url=f"smtp://localhost:{port}")
    await office.queue("confirmation", office.account())
    await office.send()
    assert clerk.is_tls == [True]


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("scheme", ["smtp+starttls", "smtps"])
async def test_a_server_with_a_valid_certificate_gets_the_letter(
    make_office: MakeOffice, serve: Serve, certified: ssl.SSLContext, scheme: str
) -> None:
    clerk, port = await serve(**({"at_once": certified} if scheme == "smtps" else {"tls_context": certified}))
    office = make_office(smtp_url=f"{scheme}://localhost:{port}")
    await office.queue("confirmation", office.account())
    await office.send()
    assert clerk.is_tls == [True]


@pytest.mark.parametrize("scheme", ["smtp+starttls", "smtps"])
async def test_a_server_with_an_unknown_certificate_gets_nothing(
    make_office: MakeOffice, serve: Serve, certified: ssl.SSLContext, scheme: str
) -> None:
    clerk, port = await serve(**({"at_once": certified} if scheme == "smtps" else {"tls_context": certified}))
    office = make_office(smtp_url=f"{scheme}://localhost:{port}")
    await office.queue("confirmation", office.account())
    await office.send()
    (row,) = office.queued()
    assert (clerk.tries, row["given_up_at"]) == (0, None)
    assert "certificate" in row["fault"]


async def test_a_server_without_tls_gets_nothing_when_tls_is_required(make_office: MakeOffice, serve: Serve) -> None:
    clerk, port = await serve()
    office = make_office(smtp_url=f"smtp+starttls://localhost:{port}")
    await office.queue("confirmation", office.account())
    await office.send()
    assert (clerk.tries, len(office.queued())) == (0, 1)


@pytest.mark.filterwarnings("ignore:Requiring AUTH")  # aiosmtpd warns: this server asks for a password without TLS
@pytest.mark.parametrize(("host", "logins"), [("127.1", []), ("127.0.0.1", [LOGIN]), ("localhost", [LOGIN])])
async def test_without_tls_a_password_is_sent_to_this_machine_only(
    make_office: MakeOffice, serve: Serve, host: str, logins: list[LoginPassword]
) -> None:
    # "127.1" is an old form of 127.0.0.1: the resolver accepts it, the service does not see that it is loopback.
    clerk, port = await serve(asks=True)
    office = make_office(smtp_url=f"smtp://clerk:p%40ss%20word@{host}:{port}")
    await office.queue("confirmation", office.account())
    await office.send()
    assert (clerk.logins, len(office.queued())) == (logins, 1 - len(logins))


@pytest.mark.usefixtures("trusted")
async def test_a_password_is_sent_over_tls(make_office: MakeOffice, serve: Serve, certified: ssl.SSLContext) -> None:
    clerk, port = await serve(asks=True, tls_context=certified, auth_require_tls=True)
    office = make_office(smtp_url=f"smtp+starttls://clerk:p%40ss%20word@localhost:{port}")
    await office.queue("confirmation", office.account())
    await office.send()
    assert (clerk.logins, clerk.is_tls) == ([LOGIN], [True])


@pytest.mark.filterwarnings("ignore:Requiring AUTH")
async def test_a_wrong_password_of_the_site_gives_no_letter_up(make_office: MakeOffice, serve: Serve) -> None:
    clerk, port = await serve(asks=True)
    office = make_office(smtp_url=f"smtp://clerk:wrong@localhost:{port}")
    await office.queue("confirmation", office.account())
    await office.send()
    (row,) = office.queued()
    assert set(clerk.logins) == {LoginPassword(b"clerk", b"wrong")}
    assert (row["given_up_at"], row["fault"][:3]) == (None, "535")
