"""Letters leave over SMTP, encrypted where they must be, or into a folder; a mail server's moods lose none."""

import asyncio
import contextlib
import logging
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiosmtplib
import pytest
from aiosmtpd.smtp import LoginPassword

from server.mail import delivery
from server.mail.letters import PASSWORD_RESET
from server.mail.sender import MAX_LETTERS_IN_FLIGHT
from tests.mail.conftest import Office
from tests.mail.reading import collect

MakeOffice = Callable[..., Office]


async def test_a_letter_is_handed_to_the_mail_server(make_office: MakeOffice, serve: Any) -> None:
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
        ("anna@faß.example", "anna@xn--fa-hia.example"),  # not fass.example, which is somebody else's
        ('"anna b"@example.com', '"anna b"@example.com'),
        ("anna@[127.0.0.1]", "anna@[127.0.0.1]"),
    ],
)
async def test_a_rare_address_goes_where_it_says(make_office: MakeOffice, serve: Any, address: str, to: str) -> None:
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
async def test_what_is_no_address_is_given_up(make_office: MakeOffice, serve: Any, address: str) -> None:
    clerk, port = await serve()
    office = make_office(smtp_url=f"smtp://127.0.0.1:{port}")
    await office.queue("confirmation", office.account(email=address))
    await office.send()
    (row,) = office.queued()
    assert (clerk.tries, row["given_up_at"] is None) == (0, False)
    assert row["fault"] == "the address is invalid"


async def test_tls_is_used_when_the_server_offers_it(make_office: MakeOffice, serve: Any, certified: Any) -> None:
    clerk, port = await serve(tls_context=certified)
    office = make_office(smtp_url=f"smtp://localhost:{port}")
    await office.queue("confirmation", office.account())
    await office.send()
    assert clerk.is_tls == [True]


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("scheme", ["smtp+starttls", "smtps"])
async def test_a_server_whose_certificate_is_good_gets_the_letter(
    make_office: MakeOffice, serve: Any, certified: Any, scheme: str
) -> None:
    clerk, port = await serve(**({"at_once": certified} if scheme == "smtps" else {"tls_context": certified}))
    office = make_office(smtp_url=f"{scheme}://localhost:{port}")
    await office.queue("confirmation", office.account())
    await office.send()
    assert clerk.is_tls == [True]


@pytest.mark.parametrize("scheme", ["smtp+starttls", "smtps"])
async def test_a_server_whose_certificate_is_not_known_gets_nothing(
    make_office: MakeOffice, serve: Any, certified: Any, scheme: str
) -> None:
    clerk, port = await serve(**({"at_once": certified} if scheme == "smtps" else {"tls_context": certified}))
    office = make_office(smtp_url=f"{scheme}://localhost:{port}")
    await office.queue("confirmation", office.account())
    await office.send()
    (row,) = office.queued()
    assert (clerk.tries, row["given_up_at"]) == (0, None)
    assert "certificate" in row["fault"]


async def test_a_server_that_offers_no_tls_gets_nothing_where_it_is_required(
    make_office: MakeOffice, serve: Any
) -> None:
    clerk, port = await serve()
    office = make_office(smtp_url=f"smtp+starttls://localhost:{port}")
    await office.queue("confirmation", office.account())
    await office.send()
    assert (clerk.tries, len(office.queued())) == (0, 1)


@pytest.mark.filterwarnings("ignore:Requiring AUTH")  # this server is meant to be careless
async def test_a_password_crosses_no_open_line(
    make_office: MakeOffice, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "_is_loopback", lambda host: False)
    clerk, port = await serve(asks=True)
    office = make_office(smtp_url=f"smtp://clerk:p%40ss%20word@localhost:{port}")
    await office.queue("confirmation", office.account())
    await office.send()
    assert (clerk.logins, len(office.queued())) == ([], 1)


@pytest.mark.usefixtures("trusted")
async def test_who_has_a_password_signs_in_over_tls(make_office: MakeOffice, serve: Any, certified: Any) -> None:
    clerk, port = await serve(asks=True, tls_context=certified, auth_require_tls=True)
    office = make_office(smtp_url=f"smtp+starttls://clerk:p%40ss%20word@localhost:{port}")
    await office.queue("confirmation", office.account())
    await office.send()
    assert (clerk.logins, clerk.is_tls) == ([LoginPassword(b"clerk", b"p@ss word")], [True])


@pytest.mark.filterwarnings("ignore:Requiring AUTH")
async def test_a_wrong_password_is_the_sites_fault_and_gives_no_letter_up(make_office: MakeOffice, serve: Any) -> None:
    clerk, port = await serve(asks=True)
    office = make_office(smtp_url=f"smtp://clerk:wrong@localhost:{port}")
    await office.queue("confirmation", office.account())
    await office.send()
    (row,) = office.queued()
    assert set(clerk.logins) == {LoginPassword(b"clerk", b"wrong")}
    assert (row["given_up_at"], row["fault"][:3]) == (None, "535")


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data"])
async def test_who_says_not_now_is_asked_again(make_office: MakeOffice, serve: Any, stage: str) -> None:
    clerk, port = await serve()
    office = make_office(smtp_url=f"smtp://127.0.0.1:{port}")
    setattr(clerk, stage, "451 4.7.1 greylisted, <anna@example.com> may come back")
    await office.queue_link(PASSWORD_RESET, office.account())
    await office.send()
    await office.send()
    (row,) = office.queued()
    assert (row["tries"], row["given_up_at"], row["fault"]) == (
        2,
        None,
        "451 4.7.1 greylisted, <…@example.com> may come back",
    )
    setattr(clerk, stage, "")
    await office.send()
    assert (len(clerk.letters), office.queued()) == (1, [])


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data"])
async def test_who_says_never_is_not_asked_again(
    make_office: MakeOffice, serve: Any, stage: str, caplog: pytest.LogCaptureFixture
) -> None:
    clerk, port = await serve()
    office = make_office(smtp_url=f"smtp://127.0.0.1:{port}")
    await office.queue_link(PASSWORD_RESET, office.account())
    token = office.one_time_tokens.token(office.queued()[0]["nonce"])
    setattr(clerk, stage, f"550 5.7.1 <anna@example.com> no http://127.0.0.1:8080/password/reset/MQ/{token} {token}")
    await office.send()
    await office.send()
    (row,) = office.queued()
    assert (clerk.tries, row["tries"], row["given_up_at"] is None) == (1, 1, False)
    assert row["fault"] == "550 5.7.1 <…@example.com> no … …"
    (line,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert line.getMessage() == (
        f"letter {row['id']} (password_reset) to …@example.com: try 1 failed, no other follows unless the letter is"
        " queued again: 550 5.7.1 <…@example.com> no … …"
    )


async def test_a_server_that_is_not_there_gets_the_letter_when_it_is_back(make_office: MakeOffice, serve: Any) -> None:
    clerk, port = await serve()
    gone = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    dead = gone.sockets[0].getsockname()[1]
    gone.close()
    office = make_office(smtp_url=f"smtp://127.0.0.1:{dead}")
    await office.queue("confirmation", office.account())
    await office.send()
    (row,) = office.queued()
    assert (row["tries"], row["given_up_at"]) == (1, None)
    back = make_office(smtp_url=f"smtp://127.0.0.1:{port}")
    await back.send()
    assert (len(clerk.letters), back.queued()) == (1, [])


async def test_a_server_that_dies_in_the_middle_of_a_letter_is_asked_again(make_office: MakeOffice) -> None:
    async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for says in (b"220 here", b"250 here", b"250 OK", b"250 OK", b"354 go on"):
            writer.write(says + b"\r\n")
            await reader.readline()
        writer.transport.abort()

    async with await asyncio.start_server(die, "127.0.0.1", 0) as server:
        office = make_office(smtp_url=f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        await office.queue("confirmation", office.account())
        await office.send()
    (row,) = office.queued()
    assert (row["tries"], row["given_up_at"]) == (1, None)


async def test_a_letter_that_was_taken_is_sent_once_even_if_the_farewell_fails(make_office: MakeOffice) -> None:
    taken = 0

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        for says in (b"220 here", b"250 here", b"250 OK", b"250 OK", b"354 go on"):
            writer.write(says + b"\r\n")
            await reader.readline()
        await reader.readuntil(b"\r\n.\r\n")
        taken += 1
        writer.write(b"250 taken\r\n")
        await reader.readline()
        writer.transport.abort()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        office = make_office(smtp_url=f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        await office.queue("confirmation", office.account())
        await office.send()
        await office.send()
    assert (taken, office.queued()) == (1, [])


async def test_a_server_that_says_nothing_holds_up_a_letter_for_a_while_only(
    make_office: MakeOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "TRY_SECONDS", 0.1)
    under_way = most = 0

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await reader.read()
        under_way -= 1
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        office = make_office(smtp_url=f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        anna = office.account()
        for _ in range(MAX_LETTERS_IN_FLIGHT + 2):
            await office.queue("confirmation", anna)
        running = asyncio.create_task(office.sender.run(office.db))
        while not all(row["fault"] for row in office.queued()):
            await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert {row["fault"] for row in office.queued()} == {"the mail server takes too long"}
    assert 2 <= most <= MAX_LETTERS_IN_FLIGHT


async def test_a_try_ends_in_time_even_if_its_cancellation_is_lost(
    make_office: MakeOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lose_a_cancellation(client: aiosmtplib.SMTP) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    monkeypatch.setattr(delivery, "TRY_SECONDS", 0.01)
    monkeypatch.setattr(aiosmtplib.SMTP, "connect", lose_a_cancellation)
    office = make_office(smtp_url="smtp://127.0.0.1:1")
    await office.queue("confirmation", office.account())
    async with asyncio.timeout(5):
        await office.send()
    assert [row["fault"] for row in office.queued()] == ["the mail server takes too long"]


async def test_a_folder_of_letters_is_its_owners_alone(office: Office, tmp_path: Path) -> None:
    anna = office.account()
    for kind in ("confirmation", "password_changed"):
        await office.queue(kind, anna)
    await office.send()
    folder = office.settings.letters_dir
    files = sorted(folder.iterdir())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600, 0o600]
    assert [file.name.split("-")[1] for file in files] == ["confirmation", "password_changed"]
    assert {file.suffix for file in files} == {".eml"}
    assert len(collect(folder)) == 2


async def test_a_folder_that_cannot_be_written_loses_no_letter(make_office: MakeOffice, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    office = make_office(mail_dir=tmp_path / "file" / "mail")
    await office.queue("confirmation", office.account())
    await office.send()
    (row,) = office.queued()
    assert row["given_up_at"] is None
    assert row["fault"].startswith("MAIL_DIR ")


async def test_a_folder_that_hangs_holds_no_letter_for_longer_than_a_try(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounted = threading.Event()
    monkeypatch.setattr(delivery, "TRY_SECONDS", 0.05)
    monkeypatch.setattr(delivery.FolderDelivery, "_write", lambda *_: mounted.wait(20))
    await office.queue("confirmation", office.account())
    await office.send()
    mounted.set()
    (row,) = office.queued()
    assert (row["given_up_at"], row["fault"].endswith("takes too long")) == (None, True)
