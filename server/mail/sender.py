"""Sends queued letters: at least once, with growing pauses between tries (security 29).

A letter that is given up stays listed. A sender leases a letter for LEASE_SECONDS. If its worker is killed, another
sender takes the letter when the lease has ended. Otherwise the sender finishes before that, because a try has a time
limit. No database connection is held while a letter is sent.
"""

import asyncio
import logging
import math
import random
import time
from collections.abc import Mapping
from typing import Any, Self

import jinja2

from server.auth.one_time_tokens import OneTimeTokens
from server.database.database import Database
from server.errors import Unavailable
from server.mail.delivery import (
    TRY_SECONDS,
    Delivery,
    DeliveryFailed,
    DeliveryRefused,
    DeliveryUnavailable,
    DiskFull,
    delivery_for,
)
from server.mail.letters import EMAIL_CHANGE, LINK_LETTER_KINDS, Letters
from server.mail.writer import CannotWriteLetter, LetterWriter
from server.settings.settings import Settings
from server.telemetry.metrics import LETTERS
from server.templates import Templates

log = logging.getLogger(__name__)

MAX_LETTERS_IN_FLIGHT = 8  # in one process
LOOK_SECONDS = 1.0  # between two looks into an empty queue
LEASE_SECONDS = TRY_SECONDS + 15.0
RECORD_SECONDS = LEASE_SECONDS - TRY_SECONDS  # how long a result is recorded again and again while the database fails
RECORD_RETRY_SECONDS = 1.0
FINISH_SECONDS = 5.0  # for letters in flight when the sender stops
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 5.0, 600.0  # between tries; each pause is twice the one before
LATE_SECONDS = 600.0  # a letter is late then; a restart of the mail server is over
GIVE_UP_SECONDS = 259_200.0  # three days after a letter was queued
GIVEN_UP_KEPT_DAYS = 30
GIVEN_UP_SWEEP_SECONDS = 3600.0  # between two sweeps of one process
GIVEN_UP_SWEEP_ROWS = 1000  # deleted by one statement


class LetterSender:
    """Sends letters by `delivery`. A letter is given up when its link is older than `link_seconds`."""

    def __init__(
        self, one_time_tokens: OneTimeTokens, writer: LetterWriter, delivery: Delivery, *, link_seconds: float
    ) -> None:
        self.delivery = delivery
        self._one_time_tokens = one_time_tokens
        self._letters = Letters(one_time_tokens, notices=None)  # it queues links alone
        self._writer = writer
        self._link_seconds = link_seconds
        self._in_flight: set[asyncio.Task[None]] = set()
        self._taking = asyncio.Lock()  # letters that one caller of `_take` has taken are in flight for the next one
        self._sweeps_at = 0.0

    @classmethod
    def of(cls, settings: Settings, templates: Templates, one_time_tokens: OneTimeTokens) -> Self:
        """The letter sender that `settings` describe."""
        writer = LetterWriter(settings, templates)
        return cls(one_time_tokens, writer, delivery_for(settings), link_seconds=settings.password_reset_timeout)

    async def run(self, db: Database) -> None:
        """Send letters until cancelled, then finish the letters in flight, within FINISH_SECONDS."""
        try:
            while True:
                try:
                    await self._sweep(db)
                    busy = await self._take(db)
                except Unavailable:  # Database has logged it
                    busy = False
                except Exception as failure:  # asyncpg raises various errors for a connection that breaks
                    busy = False
                    log.warning(
                        "the queue of letters could not be read, the next look follows: %s: %s",
                        *(type(failure).__name__, failure),
                    )
                if busy:
                    await asyncio.wait(self._in_flight, return_when=asyncio.FIRST_COMPLETED)
                else:
                    await asyncio.sleep(LOOK_SECONDS * _spread(0.2))
        finally:
            await self._finish()

    async def drain(self, db: Database) -> None:
        """Handle all letters and requests that are due, and letters that result from them, one at a time in order."""
        await self._take(db, 1)
        while self._in_flight:
            await asyncio.wait(self._in_flight)
            await self._take(db, 1)

    async def _take(self, db: Database, max_in_flight: int = MAX_LETTERS_IN_FLIGHT) -> bool:
        """Start to handle due letters. True when more may be due than may be in flight."""
        async with self._taking:
            free = max_in_flight - len(self._in_flight)
            rows = await db.rows("letters/take", free, LEASE_SECONDS) if free > 0 else []
            for row in rows:
                task = asyncio.create_task(self._handle(db, row))
                self._in_flight.add(task)
                task.add_done_callback(self._in_flight.discard)
        return len(rows) == free or free <= 0

    async def _finish(self) -> None:
        if self._in_flight:
            _, unfinished = await asyncio.wait(self._in_flight, timeout=FINISH_SECONDS)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)

    async def _handle(self, db: Database, row: Mapping[str, Any]) -> None:
        """Fulfil a request or send a letter. No failure ends the sender."""
        try:
            await self._try(db, row)
        except Unavailable:
            log.warning(
                "letter %s (%s): the database is unavailable, the next try follows within %.0f s",
                *(row["id"], row["kind"], LEASE_SECONDS),
            )
        except Exception as failure:
            log.error(
                "letter %s (%s): the failed try was not recorded, the next follows within %.0f s: %s",
                *(row["id"], row["kind"], LEASE_SECONDS, _name_and_place(failure)),
            )

    async def _try(self, db: Database, row: Mapping[str, Any]) -> None:
        try:
            if row["user_id"] is None:
                await self._fulfil(db, row)
            else:
                await self._send(db, row)
        except Unavailable:
            raise
        except Exception as failure:
            await self._fail(db, row, f"unforeseen {_name_and_place(failure)}", error_after=LATE_SECONDS)

    async def _fulfil(self, db: Database, row: Mapping[str, Any]) -> None:
        """Replace a request by letters. One transaction, so that a request is fulfilled once."""
        async with db.transaction() as transaction:
            if await transaction.row("letters/remove", row["id"]) is not None:
                await self._letters.fulfil_request(transaction, row["kind"], row["address"])

    async def _send(self, db: Database, row: Mapping[str, Any]) -> None:
        account = await db.row("letters/addressee", row["user_id"])
        token = await self._find_token(db, row) if row["kind"] in LINK_LETTER_KINDS else ""
        if account is None or token is None:
            log.info(
                "letter %s (%s) removed unsent: its account is gone, or its link is no longer valid",
                *(row["id"], row["kind"]),
            )
            await self._record(db, "letters/remove", row["id"])
            LETTERS.add("withdrawn")
            return
        address = _address(row, account)
        try:
            if address:
                letter = self._writer.write(row, account, address, token)
                await self.delivery.deliver(letter, row["kind"])
        except (DeliveryRefused, CannotWriteLetter) as failure:
            await self._give_up(db, row, str(failure), address, error_after=_error_after(failure))
        except DeliveryFailed as failure:
            await self._fail(db, row, str(failure), address, error_after=_error_after(failure))
        except jinja2.TemplateError as failure:
            await self._fail(
                db, row, f"template: {type(failure).__name__}: {failure}", address, error_after=LATE_SECONDS
            )
        else:
            await self._record(db, "letters/remove", row["id"])
            LETTERS.add("sent" if address else "withdrawn")

    async def _find_token(self, db: Database, row: Mapping[str, Any]) -> str | None:
        """The token of a letter's link, or None when it is no longer valid."""
        for token in self._one_time_tokens.tokens(row["nonce"]):
            if await self._one_time_tokens.is_used(db, row["user_id"], token, row["kind"]) is False:
                return token
        return None

    async def _fail(
        self, db: Database, row: Mapping[str, Any], fault: str, address: str = "", *, error_after: float
    ) -> None:
        """Postpone the letter, or give it up when the next try would be too late.

        `error_after`: the age in seconds from which it is an error.
        """
        pause = min(FIRST_PAUSE_SECONDS * 2 ** min(row["tries"] - 1, 30), LONGEST_PAUSE_SECONDS) * _spread(0.2)
        limit = min(GIVE_UP_SECONDS, self._link_seconds) if row["nonce"] else GIVE_UP_SECONDS
        if row["age"] + pause > limit:
            await self._give_up(db, row, fault, address, error_after=error_after)
            return
        log.log(
            logging.ERROR if row["age"] >= error_after else logging.WARNING,
            "letter %s (%s) to %s: try %s failed, the next follows in %.0f s: %s",
            *(row["id"], row["kind"], _domain(address), row["tries"], pause, fault),
        )
        await self._record(db, "letters/defer", row["id"], row["tries"], pause, fault)
        LETTERS.add("deferred")

    async def _give_up(
        self, db: Database, row: Mapping[str, Any], fault: str, address: str, *, error_after: float
    ) -> None:
        log.log(
            logging.ERROR if error_after < math.inf else logging.WARNING,
            "letter %s (%s) to %s: try %s failed, no other follows unless the letter is queued again: %s",
            *(row["id"], row["kind"], _domain(address), row["tries"], fault),
        )
        await self._record(db, "letters/give_up", row["id"], row["tries"], fault)
        LETTERS.add("given_up")

    async def _record(self, db: Database, statement: str, *arguments: Any) -> None:
        """Record the result of a try. If the database fails, repeat for RECORD_SECONDS.

        Otherwise a letter that was delivered would be sent again.
        """
        ends = time.monotonic() + RECORD_SECONDS
        while True:
            try:
                await db.row(statement, *arguments)
                return
            except Exception:
                if time.monotonic() > ends:
                    raise
                await asyncio.sleep(RECORD_RETRY_SECONDS)

    async def _sweep(self, db: Database) -> None:
        """About once an hour, remove letters that were given up GIVEN_UP_KEPT_DAYS ago."""
        if time.monotonic() >= self._sweeps_at:
            self._sweeps_at = time.monotonic() + GIVEN_UP_SWEEP_SECONDS * _spread(0.5)
            while len(await db.rows("letters/sweep", GIVEN_UP_KEPT_DAYS, GIVEN_UP_SWEEP_ROWS)) == GIVEN_UP_SWEEP_ROWS:
                pass


def _spread(by: float) -> float:
    """A random factor around 1, so that letters and workers do not all act at the same moment."""
    return random.uniform(1 - by, 1 + by)  # noqa: S311  not a secret


def _address(row: Mapping[str, Any], account: Mapping[str, Any]) -> str:
    """The letter's own address if it has one, else the new one that it asks to confirm, else the account's."""
    address: str = row["address"] or (account["pending_email"] if row["kind"] == EMAIL_CHANGE else account["email"])
    return address or ""


def _error_after(failure: Exception) -> float:
    """The age of a letter in seconds from which its failure is an error.

    Never when the letter is the cause, because a stranger may have typed its address (security 42).
    """
    if isinstance(failure, DiskFull):
        return 0.0
    return LATE_SECONDS if isinstance(failure, DeliveryUnavailable) else math.inf


def _domain(address: str) -> str:
    return "…@" + address.rpartition("@")[2] if address else "an unknown address"


def _name_and_place(failure: Exception) -> str:
    """What failed and where. Without the error's text: it may contain an address or a token (security 34)."""
    where = failure.__traceback__
    while where and where.tb_next:
        where = where.tb_next
    place = f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where else "?"
    return f"{type(failure).__name__} at {place}"
