"""When a letter is tried again, when it is given up, and how senders spread their work over time."""

import asyncio
import itertools
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from server.mail import sender
from server.mail.delivery import TRY_SECONDS
from server.mail.letters import PASSWORD_RESET
from server.mail.sender import GIVE_UP_SECONDS, GIVEN_UP_KEPT_DAYS, LEASE_SECONDS
from tests.mail.conftest import UNREACHABLE, MakeOffice, Office


def test_a_lease_is_longer_than_a_try_and_shorter_than_a_minute() -> None:
    assert TRY_SECONDS < LEASE_SECONDS < 60


async def test_a_letter_belongs_to_one_sender_until_its_lease_ends(office: Office) -> None:
    await office.queue("confirmation", office.account())
    (taken,) = await office.db.rows("letters/take", 8, LEASE_SECONDS)
    assert await office.db.rows("letters/take", 8, LEASE_SECONDS) == []
    left = office.queued()[0]["due_at"] - datetime.now(UTC)
    assert timedelta(seconds=LEASE_SECONDS - 5) < left <= timedelta(seconds=LEASE_SECONDS)
    office.rows.execute("update letters set due_at = now()")
    (again,) = await office.db.rows("letters/take", 8, LEASE_SECONDS)
    assert (again["id"], again["tries"]) == (taken["id"], 2)
    # The first sender can no longer record a result.
    assert await office.db.row("letters/defer", taken["id"], taken["tries"], 0.0, "late") is None
    assert await office.db.row("letters/give_up", taken["id"], taken["tries"], "late") is None


async def test_the_pause_between_tries_doubles_up_to_ten_minutes(
    make_office: MakeOffice, caplog: pytest.LogCaptureFixture
) -> None:
    office = make_office(smtp_url=UNREACHABLE)
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
    office = make_office(smtp_url=UNREACHABLE)
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
    office = make_office(smtp_url=UNREACHABLE)
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


async def test_a_letter_is_given_up_when_its_link_would_be_too_old_at_the_next_try(make_office: MakeOffice) -> None:
    office = make_office(smtp_url=UNREACHABLE, password_reset_timeout=60)
    await office.queue_link(PASSWORD_RESET, office.account())
    office.rows.execute("update letters set queued_at = now() - interval '58 seconds'")
    await office.send()
    (row,) = office.queued()
    assert (row["tries"], row["given_up_at"] is None) == (1, False)


async def test_letters_that_were_given_up_long_ago_are_removed(office: Office, database: Any) -> None:
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
