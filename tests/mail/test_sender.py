"""Workers share the queue, live through a lost database, and take over from one that was killed."""

import asyncio
import itertools
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any

import pytest

from server.errors import Problem, Unavailable
from server.mail import sender
from server.mail.delivery import TRY_SECONDS
from server.mail.letters import PASSWORD_RESET
from server.mail.sender import GIVE_UP_SECONDS, GIVEN_UP_KEPT_DAYS, LEASE_SECONDS
from tests.conftest import KEY, PASSWORD, in_mode, post
from tests.mail.conftest import Office
from tests.mail.reading import collect
from tests.processes import COUNTED, ROOT, surroundings

MakeOffice = Callable[..., Office]
NOWHERE = "smtp://127.0.0.1:1"


async def test_two_workers_send_a_letter_once(office: Office) -> None:
    anna = office.account()
    for _ in range(40):
        await office.queue("confirmation", anna)
    workers = [asyncio.create_task(office.another_sender().run(office.db)) for _ in range(2)]
    while office.queued():
        await asyncio.sleep(0.01)
    for each in workers:
        each.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    assert len(collect(office.settings.letters_dir)) == 40


def test_a_lease_is_longer_than_a_try_and_shorter_than_a_minute() -> None:
    assert TRY_SECONDS < LEASE_SECONDS < 60


async def test_a_letter_is_somebodys_alone_until_its_lease_is_over(office: Office) -> None:
    await office.queue("confirmation", office.account())
    (taken,) = await office.db.rows("letters/take", 8, LEASE_SECONDS)
    assert await office.db.rows("letters/take", 8, LEASE_SECONDS) == []
    left = office.queued()[0]["due_at"] - datetime.now(UTC)
    assert timedelta(seconds=LEASE_SECONDS - 5) < left <= timedelta(seconds=LEASE_SECONDS)
    office.rows.execute("update letters set due_at = now()")
    (again,) = await office.db.rows("letters/take", 8, LEASE_SECONDS)
    assert (again["id"], again["tries"]) == (taken["id"], 2)
    # Who had it first has no say any more.
    assert await office.db.row("letters/defer", taken["id"], taken["tries"], 0.0, "late") is None
    assert await office.db.row("letters/give_up", taken["id"], taken["tries"], "late") is None


async def test_the_pause_between_tries_doubles_up_to_ten_minutes(
    make_office: MakeOffice, caplog: pytest.LogCaptureFixture
) -> None:
    office = make_office(smtp_url=NOWHERE)
    await office.queue("confirmation", office.account())
    pauses = []
    for _ in range(9):
        await office.sender.drain(office.db)
        (row,) = office.queued()
        pauses.append((row["due_at"] - datetime.now(UTC)).total_seconds())
        office.rows.execute("update letters set due_at = now()")
    for pause, nominal in zip(pauses, [5, 10, 20, 40, 80, 160, 320, 600, 600], strict=True):
        assert 0.8 * nominal - 3 < pause <= 1.2 * nominal
    assert "anna" not in caplog.text


async def test_letters_that_fail_together_are_not_tried_again_together(make_office: MakeOffice) -> None:
    random.seed(8)
    office = make_office(smtp_url=NOWHERE)
    anna = office.account()
    for _ in range(20):
        await office.queue("confirmation", anna)
    office.rows.execute("update letters set tries = 20")  # the pause has reached its longest: 600 s
    started = datetime.now(UTC)
    await office.sender.drain(office.db)
    pauses = [(row["due_at"] - started).total_seconds() for row in office.queued()]
    assert min(pauses) < 540
    assert max(pauses) > 660


async def test_a_letter_is_given_up_after_three_days(make_office: MakeOffice, caplog: pytest.LogCaptureFixture) -> None:
    office = make_office(smtp_url=NOWHERE)
    await office.queue("confirmation", office.account())
    office.rows.execute(
        "update letters set tries = 9, queued_at = now() - make_interval(secs => %s)", [GIVE_UP_SECONDS - 60]
    )
    await office.send()
    (row,) = office.queued()
    assert (row["tries"], row["given_up_at"] is None) == (10, False)
    assert [record.levelname for record in caplog.records][-1] == "ERROR"
    assert "anna" not in caplog.text
    await office.send()
    assert office.queued()[0]["tries"] == 10


async def test_a_link_that_would_be_too_old_next_time_is_given_up_visibly(make_office: MakeOffice) -> None:
    office = make_office(smtp_url=NOWHERE, password_reset_timeout=60)
    await office.queue_link(PASSWORD_RESET, office.account())
    office.rows.execute("update letters set queued_at = now() - interval '58 seconds'")
    await office.send()
    (row,) = office.queued()
    assert (row["tries"], row["given_up_at"] is None) == (1, False)


async def test_what_was_given_up_long_ago_is_forgotten(office: Office, database: Any) -> None:
    for days in (GIVEN_UP_KEPT_DAYS - 1, GIVEN_UP_KEPT_DAYS + 1):
        database.execute(
            "insert into letters (kind, given_up_at) values ('confirmation', now() - make_interval(days => %s))", [days]
        )
    running = asyncio.create_task(office.sender.run(office.db))
    while len(office.queued()) == 2:
        await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert len(office.queued()) == 1


class Clock:
    """Simulated time: `sleep` returns at once and moves it forward; `ends` is when the sleeper is cancelled."""

    def __init__(self, ends: float) -> None:
        self.now = 1.0
        self.ends = ends
        self.pauses: list[float] = []

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds
        if self.now >= self.ends:
            raise asyncio.CancelledError


async def test_looks_into_an_empty_queue_are_spread_around_one_second(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    random.seed(8)
    clock = Clock(ends=20.0)
    monkeypatch.setattr(sender, "LOOK_SECONDS", 1.0)
    monkeypatch.setattr(asyncio, "sleep", clock.sleep)
    with pytest.raises(asyncio.CancelledError):
        await office.sender.run(office.db)
    assert 0.8 <= min(clock.pauses) < 0.9
    assert 1.1 < max(clock.pauses) <= 1.2


async def test_senders_sweep_about_once_an_hour_and_not_at_the_same_moment(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    random.seed(8)
    clock = Clock(ends=20 * 3600.0)
    monkeypatch.setattr(sender, "LOOK_SECONDS", 60.0)
    monkeypatch.setattr(sender, "time", clock)
    monkeypatch.setattr(asyncio, "sleep", clock.sleep)
    sweeps: list[float] = []

    async def note(name: str, *arguments: Any) -> list[Any]:
        if name == "letters/sweep":
            sweeps.append(clock.now)
        return []

    monkeypatch.setattr(office.db, "rows", note)
    with pytest.raises(asyncio.CancelledError):
        await office.sender.run(office.db)
    pauses = [later - earlier for earlier, later in itertools.pairwise(sweeps)]
    assert 1800 <= min(pauses) < 2700
    assert 4500 < max(pauses) <= 5400 + 72


async def test_a_worker_lives_through_a_lost_database(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
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


async def test_a_letter_that_left_is_written_down_even_if_the_database_is_away_just_then(
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


async def test_a_worker_that_stops_finishes_what_is_under_way(make_office: MakeOffice, serve: Any) -> None:
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


async def test_a_worker_that_stops_waits_for_no_server_that_hangs(
    make_office: MakeOffice, serve: Any, monkeypatch: pytest.MonkeyPatch
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


@in_mode("activation", smtp_url=NOWHERE)
async def test_a_dead_mail_server_harms_no_registration_and_the_letter_arrives_later(
    client: Any, letters: Any, make_office: MakeOffice, serve: Any
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
    make_office: MakeOffice, serve: Any, start: Callable[..., Any]
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
    clerk.waits.set()
    (row,) = office.queued()
    assert (row["tries"], row["due_at"] > datetime.now(UTC)) == (1, True)
    clerk.letters.clear()
    office.rows.execute("update letters set due_at = now()")  # as if the lease were over
    other = await asyncio.to_thread(lambda: start(SMTP_URL=url))
    while office.queued():
        await asyncio.sleep(0.02)
    await asyncio.to_thread(other.stop)
    assert len(clerk.letters) == 1


@pytest.mark.slow
def test_the_command_work_sends_and_stops_when_told(office: Office, database_url: str) -> None:
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
    async def refuse(message: EmailMessage, kind: str) -> None:
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
    office = make_office(smtp_url=NOWHERE)
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
