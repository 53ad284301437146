"""No letter is lost by a mail server that refuses, breaks off, hangs or is unreachable."""

import asyncio
import contextlib
import logging

import aiosmtplib
import pytest

from server.mail import delivery, sender
from server.mail.letters import PASSWORD_RESET
from server.mail.sender import MAX_LETTERS_IN_FLIGHT
from server.mail.writer import Letter
from tests.mail.conftest import UNREACHABLE, MakeOffice
from tests.mail.servers import Serve


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data"])
async def test_a_letter_that_is_refused_for_now_is_tried_again(
    make_office: MakeOffice, serve: Serve, stage: str
) -> None:
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
async def test_a_letter_that_is_refused_for_good_is_given_up_at_once(
    make_office: MakeOffice, serve: Serve, stage: str, caplog: pytest.LogCaptureFixture
) -> None:
    clerk, port = await serve()
    office = make_office(smtp_url=f"smtp://127.0.0.1:{port}")
    await office.queue_link(PASSWORD_RESET, office.account())
    token = office.one_time_tokens.tokens(office.queued()[0]["nonce"])[0]
    setattr(clerk, stage, f"550 5.7.1 <anna@example.com> no http://127.0.0.1:8080/password/reset/MQ/{token} {token}")
    await office.send()
    await office.send()
    (row,) = office.queued()
    assert (clerk.tries, row["tries"], row["given_up_at"] is None) == (1, 1, False)
    assert row["fault"] == "550 5.7.1 <…@example.com> no … …"
    # A stranger may have typed the address; the sender is the operator's.
    level = logging.ERROR if stage == "mail" else logging.WARNING
    (line,) = [record for record in caplog.records if record.name == sender.__name__]
    assert line.levelno == level
    assert line.getMessage() == (
        f"letter {row['id']} (password_reset) to …@example.com: try 1 failed, no other follows unless the letter is"
        " queued again: 550 5.7.1 <…@example.com> no … …"
    )


async def test_an_unreachable_server_gets_the_letter_when_it_is_back(make_office: MakeOffice, serve: Serve) -> None:
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


async def test_a_letter_that_is_cut_off_is_tried_again(make_office: MakeOffice) -> None:
    async def cut_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for says in (b"220 here", b"250 here", b"250 OK", b"250 OK", b"354 go on"):
            writer.write(says + b"\r\n")
            await reader.readline()
        writer.transport.abort()

    async with await asyncio.start_server(cut_off, "127.0.0.1", 0) as server:
        office = make_office(smtp_url=f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        await office.queue("confirmation", office.account())
        await office.send()
    (row,) = office.queued()
    assert (row["tries"], row["given_up_at"]) == (1, None)


async def test_a_letter_that_was_accepted_is_sent_once_even_if_quit_fails(make_office: MakeOffice) -> None:
    accepted = 0

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal accepted
        for says in (b"220 here", b"250 here", b"250 OK", b"250 OK", b"354 go on"):
            writer.write(says + b"\r\n")
            await reader.readline()
        await reader.readuntil(b"\r\n.\r\n")
        accepted += 1
        writer.write(b"250 accepted\r\n")
        await reader.readline()
        writer.transport.abort()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        office = make_office(smtp_url=f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        await office.queue("confirmation", office.account())
        await office.send()
        await office.send()
    assert (accepted, office.queued()) == (1, [])


async def test_a_server_that_does_not_reply_holds_a_letter_for_one_try_only(
    make_office: MakeOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "TRY_SECONDS", 0.1)
    in_flight = most = 0
    deliver = delivery.SmtpDelivery.deliver

    # Counted here: the server learns of the end of a try only some time after it.
    async def counted(delivering: delivery.SmtpDelivery, letter: Letter, kind: str) -> None:
        nonlocal in_flight, most
        in_flight += 1
        most = max(most, in_flight)
        try:
            await deliver(delivering, letter, kind)
        finally:
            in_flight -= 1

    async def stay_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    monkeypatch.setattr(delivery.SmtpDelivery, "deliver", counted)
    async with await asyncio.start_server(stay_silent, "127.0.0.1", 0) as server:
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
    assert most == MAX_LETTERS_IN_FLIGHT


async def test_a_try_ends_in_time_even_if_its_cancellation_is_lost(
    make_office: MakeOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lose_a_cancellation(client: aiosmtplib.SMTP) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await asyncio.Event().wait()

    monkeypatch.setattr(delivery, "TRY_SECONDS", 0.01)
    monkeypatch.setattr(aiosmtplib.SMTP, "connect", lose_a_cancellation)
    office = make_office(smtp_url=UNREACHABLE)
    await office.queue("confirmation", office.account())
    async with asyncio.timeout(5):
        await office.send()
    assert [row["fault"] for row in office.queued()] == ["the mail server takes too long"]
