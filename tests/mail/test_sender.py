"""Senders share the queue, survive a lost database, and take over the letters of a killed worker."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from server.auth.one_time_tokens import PASSWORD_RESET, OneTimeTokens
from server.errors import Problem, Unavailable
from server.mail import sender
from server.mail.writer import Letter
from tests.conftest import KEY, PASSWORD, Client, in_mode, post
from tests.mail.conftest import UNREACHABLE, MakeOffice, Office
from tests.mail.reading import collect
from tests.mail.servers import Serve
from tests.processes import COUNTED, ROOT, surroundings


async def test_two_senders_send_a_letter_once(office: Office) -> None:
    anna = office.account()
    for _ in range(40):
        await office.queue("confirmation", anna)
    senders = [asyncio.create_task(office.another_sender().run(office.db)) for _ in range(2)]
    while office.queued():
        await asyncio.sleep(0.01)
    for each in senders:
        each.cancel()
    await asyncio.gather(*senders, return_exceptions=True)
    assert len(collect(office.settings.letters_dir)) == 40


@pytest.mark.parametrize(("verifying", "number"), [([KEY], 1), (["o" * 32, KEY], 1), ([], 0)])
async def test_a_letter_that_was_queued_with_another_key_has_a_link_that_works(
    office: Office, verifying: list[str], number: int
) -> None:
    anna = office.account()
    await office.queue_link(PASSWORD_RESET, anna)
    office.one_time_tokens = OneTimeTokens("n" * 32, lifetime=60, verifying_keys=verifying)
    await office.another_sender().drain(office.db)
    tokens = [letter.uid_and_token["token"] for letter in collect(office.settings.letters_dir)]
    assert len(tokens) == number
    for token in tokens:
        assert await office.one_time_tokens.is_used(office.db, anna, token, PASSWORD_RESET) is False


async def test_letters_that_another_look_of_the_sender_has_just_taken_are_sent_too(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken, may_go_on = asyncio.Event(), asyncio.Event()
    rows = office.db.rows

    async def slow_at_first(name: str, *arguments: Any) -> Any:
        found = await rows(name, *arguments)
        if name == "letters/take" and not taken.is_set():
            taken.set()
            await may_go_on.wait()
        return found

    monkeypatch.setattr(office.db, "rows", slow_at_first)
    await office.queue("confirmation", office.account())
    running = asyncio.create_task(office.sender.run(office.db))
    await taken.wait()
    draining = asyncio.create_task(office.sender.drain(office.db))
    await asyncio.wait({draining}, timeout=0.2)
    may_go_on.set()
    await draining
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert len(collect(office.settings.letters_dir)) == 1


async def test_a_sender_survives_a_lost_database(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "LOOK_SECONDS", 0.02)
    running = asyncio.create_task(office.sender.run(office.db))
    for _ in range(3):
        office.rows.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
        await asyncio.sleep(0.05)
    user_id = office.account()
    office.rows.execute("insert into letters (kind, user_id) values ('confirmation', %s)", [user_id])
    while office.queued():
        assert not running.done()
        await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert len(collect(office.settings.letters_dir)) == 1


async def test_a_delivered_letter_is_recorded_even_if_the_database_is_lost_at_that_moment(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "RECORD_RETRY_SECONDS", 0.01)
    await office.queue("confirmation", office.account())
    deliver = office.sender.delivery.deliver

    async def deliver_and_lose(message: Any, kind: str) -> None:
        await deliver(message, kind)
        office.rows.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )

    monkeypatch.setattr(office.sender.delivery, "deliver", deliver_and_lose)
    await office.sender.drain(office.db)
    assert (len(collect(office.settings.letters_dir)), office.queued()) == (1, [])


async def test_a_sender_that_stops_finishes_letters_in_flight(make_office: MakeOffice, serve: Serve) -> None:
    clerk, port = await serve()
    clerk.waits = asyncio.Event()
    office = make_office(smtp_url=f"smtp://127.0.0.1:{port}")
    await office.queue("confirmation", office.account())
    running = asyncio.create_task(office.sender.run(office.db))
    while not clerk.tries:
        await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.sleep(0.05)
    clerk.waits.set()
    await asyncio.gather(running, return_exceptions=True)
    assert (len(clerk.letters), office.queued()) == (1, [])


async def test_a_sender_that_stops_does_not_wait_for_a_server_that_hangs(
    make_office: MakeOffice, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "FINISH_SECONDS", 0.05)
    clerk, port = await serve()
    clerk.waits = asyncio.Event()
    office = make_office(smtp_url=f"smtp://127.0.0.1:{port}")
    await office.queue("confirmation", office.account())
    running = asyncio.create_task(office.sender.run(office.db))
    while not clerk.tries:
        await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    clerk.waits.set()
    assert len(office.queued()) == 1


@in_mode("activation", smtp_url=UNREACHABLE)
async def test_a_registration_works_without_a_mail_server_and_the_letter_arrives_later(
    client: Client, letters: Any, make_office: MakeOffice, serve: Serve
) -> None:
    status, _ = await post(client, "/auth/users/", username="anna", password=PASSWORD, email="anna@example.com")
    assert (status, await letters()) == (201, [])
    clerk, port = await serve()
    office = make_office(smtp_url=f"smtp://127.0.0.1:{port}")
    office.rows.execute("update letters set due_at = now()")
    await office.send()
    (letter,) = clerk.letters
    assert (await post(client, "/auth/users/activation/", **letter.uid_and_token))[0] == 204


@pytest.mark.slow
async def test_a_worker_that_is_killed_leaves_its_letters_to_another(
    make_office: MakeOffice, serve: Serve, start: Callable[..., Any]
) -> None:
    clerk, port = await serve()
    clerk.waits = asyncio.Event()
    office = make_office()
    await office.queue("confirmation", office.account())
    url = f"smtp://127.0.0.1:{port}"
    killed = await asyncio.to_thread(lambda: start(SMTP_URL=url))
    while not clerk.tries:
        await asyncio.sleep(0.02)
    await asyncio.to_thread(killed.stop, signal.SIGKILL)
    clerk.waits = None  # the letter that was under way stays where it is: the server may have got all of it or not
    (row,) = office.queued()
    assert (row["tries"], row["due_at"] > datetime.now(UTC)) == (1, True)
    office.rows.execute("update letters set due_at = now()")  # as if the lease had ended
    other = await asyncio.to_thread(lambda: start(SMTP_URL=url))
    while office.queued():
        await asyncio.sleep(0.02)
    await asyncio.to_thread(other.stop)
    assert len(clerk.letters) == 1


@pytest.mark.slow
def test_the_command_work_sends_letters_and_stops_at_sigterm(office: Office, database_url: str) -> None:
    for username in ("anna", "boris"):
        office.account(username)
    office.rows.execute("insert into letters (kind, user_id) select 'confirmation', id from users")
    given = {"DATABASE_URL": database_url, "SIGNING_KEY": KEY, "MAIL_DIR": str(office.settings.letters_dir)} | COUNTED
    command = [sys.executable, "-m", "server", "work"]
    with subprocess.Popen(command, cwd=ROOT, env=surroundings(**given), stdout=subprocess.PIPE, text=True) as process:
        while office.queued():
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        said = process.communicate(timeout=30)[0]
    assert (process.returncode, "listens" in said) == (0, False)
    assert len(collect(office.settings.letters_dir)) == 2


async def test_a_problem_that_is_not_an_unavailable_database_is_recorded_with_the_letter(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(letter: Letter, kind: str) -> None:
        raise Problem

    monkeypatch.setattr(office.sender.delivery, "deliver", refuse)
    await office.queue("confirmation", office.account())
    await office.send()
    assert office.queued()[0]["fault"].startswith("unforeseen Problem at ")


async def test_a_problem_while_a_failure_is_recorded_is_logged(
    make_office: MakeOffice, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sender, "RECORD_SECONDS", 0.0)
    monkeypatch.setattr(sender, "RECORD_RETRY_SECONDS", 0.0)
    office = make_office(smtp_url=UNREACHABLE)
    await office.queue("confirmation", office.account())
    ask = office.db.row

    async def refuse_to_record(name: str, *arguments: Any) -> Any:
        if name == "letters/defer":
            raise Problem
        return await ask(name, *arguments)

    monkeypatch.setattr(office.db, "row", refuse_to_record)
    await office.sender.drain(office.db)
    (line,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert "the failed try was not recorded" in line
    assert "Problem at " in line


@pytest.mark.parametrize(("failure", "logged"), [(Problem(), ["Problem: Internal server error."]), (Unavailable(), [])])
async def test_a_queue_that_cannot_be_read_is_read_again_and_only_an_unavailable_database_is_not_logged_here(
    office: Office,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    failure: Problem,
    logged: list[str],
) -> None:
    monkeypatch.setattr(sender, "LOOK_SECONDS", 0.0)
    await office.queue("confirmation", office.account())
    ask = office.db.rows
    failures = [failure]

    async def fail_once(name: str, *arguments: Any) -> Any:
        if name == "letters/take" and failures:
            raise failures.pop()
        return await ask(name, *arguments)

    monkeypatch.setattr(office.db, "rows", fail_once)
    running = asyncio.create_task(office.sender.run(office.db))
    while office.queued():
        await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [record.getMessage().partition("the next look follows: ")[2] for record in caplog.records] == logged
