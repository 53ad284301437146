"""Sends the letters that are queued: at least once, with tries that back off, given up where people see it (trust 29).

Whoever takes a letter has it alone for LEASE_SECONDS. A worker that is killed loses it to another after that; one that
lives is done with it before, because a try has a limit. No connection of the database is held while a letter is sent.
"""

import asyncio
import logging
import random
import time
from collections.abc import Mapping
from typing import Any, Self

import jinja2

from server.auth.one_time_tokens import OneTimeTokens
from server.database.database import Database
from server.errors import Unavailable
from server.mail.delivery import TRY_SECONDS, Delivery, DeliveryFailed, DeliveryRefused, delivery_for
from server.mail.letters import EMAIL_CHANGE, LINKED, Letters
from server.mail.writer import CannotWriteLetter, LetterWriter
from server.settings.settings import Settings
from server.templates import Templates

log = logging.getLogger(__name__)

AT_ONCE = 8  # letters under way in a process
LOOK_SECONDS = 1.0  # between two looks into an empty queue
AWAY_SECONDS = 1.0  # between two tries to write something down
LEASE_SECONDS = TRY_SECONDS + 15.0
SETTLE_SECONDS = LEASE_SECONDS - TRY_SECONDS  # for writing down what became of a letter, if the database is away
FINISH_SECONDS = 5.0  # for what is under way when the worker stops
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 600.0  # seconds between tries; each doubles the one before
GIVE_UP_SECONDS = 259_200.0
KEPT_DAYS = 30  # a letter that was given up
SWEEP_SECONDS = 3600.0
SWEEP_ROWS = 1000


class LetterSender:
    """Sends letters by `delivery`. A letter is given up when its link is older than `link_seconds`."""

    def __init__(
        self, one_time_tokens: OneTimeTokens, writer: LetterWriter, delivery: Delivery, *, link_seconds: float
    ) -> None:
        self.delivery = delivery
        self._one_time_tokens = one_time_tokens
        self._letters = Letters(one_time_tokens)
        self._writer = writer
        self._link_seconds = link_seconds
        self._under_way: set[asyncio.Task[None]] = set()
        self._sweeps_at = 0.0

    @classmethod
    def of(cls, settings: Settings, templates: Templates, one_time_tokens: OneTimeTokens) -> Self:
        """The letter sender that `settings` describe."""
        writer = LetterWriter(settings, templates)
        return cls(one_time_tokens, writer, delivery_for(settings), link_seconds=settings.password_reset_timeout)

    async def run(self, db: Database) -> None:
        """Send letters until cancelled, then finish what is under way."""
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
                    await asyncio.wait(self._under_way, return_when=asyncio.FIRST_COMPLETED)
                else:
                    await asyncio.sleep(LOOK_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311  only to spread them
        finally:
            await self._finish()

    async def drain(self, db: Database) -> None:
        """Handle all that is due now, and what comes of it, one after the other in the order of queueing."""
        await self._take(db, 1)
        while self._under_way:
            await asyncio.wait(self._under_way)
            await self._take(db, 1)

    async def _take(self, db: Database, at_once: int = AT_ONCE) -> bool:
        """Begin with letters that are due; whether more may be due than are to be under way."""
        free = at_once - len(self._under_way)
        rows = await db.rows("letters/take", free, LEASE_SECONDS) if free > 0 else []
        for row in rows:
            task = asyncio.create_task(self._handle(db, row))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        return len(rows) == free or free <= 0

    async def _finish(self) -> None:
        if self._under_way:
            _, cut = await asyncio.wait(self._under_way, timeout=FINISH_SECONDS)
            for task in cut:
                task.cancel()
            await asyncio.gather(*cut, return_exceptions=True)

    async def _handle(self, db: Database, row: Mapping[str, Any]) -> None:
        """Answer a request or send a letter. No failure ends the sender."""
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
                await self._answer(db, row)
            else:
                await self._send(db, row)
        except Unavailable:
            raise
        except Exception as failure:
            await self._fail(db, row, f"unforeseen {_name_and_place(failure)}")

    async def _answer(self, db: Database, row: Mapping[str, Any]) -> None:
        """Turn the request of an address into letters: in one transaction, so that it is answered once."""
        async with db.transaction() as transaction:
            if await transaction.row("letters/remove", row["id"]) is not None:
                await self._letters.answer_request(transaction, row["kind"], row["address"])

    async def _send(self, db: Database, row: Mapping[str, Any]) -> None:
        account = await db.row("letters/addressee", row["user_id"])
        token = self._one_time_tokens.token(row["nonce"]) if row["kind"] in LINKED else ""
        if account is None or (token and await self._is_stale(db, row, token)):
            log.info("letter %s (%s) withdrawn: its link or account is gone", row["id"], row["kind"])
            await self._settle(db, "letters/remove", row["id"])
            return
        address = _address(row, account)
        try:
            if address:
                message = self._writer.write(row, account, address, token)
                await self.delivery.deliver(message, row["kind"])
        except (DeliveryRefused, CannotWriteLetter) as failure:
            await self._give_up(db, row, str(failure), address)
        except DeliveryFailed as failure:
            await self._fail(db, row, str(failure), address)
        except jinja2.TemplateError as failure:
            await self._fail(db, row, f"template: {type(failure).__name__}: {failure}", address)
        else:
            await self._settle(db, "letters/remove", row["id"])

    async def _is_stale(self, db: Database, row: Mapping[str, Any], token: str) -> bool:
        return await self._one_time_tokens.is_used(db, row["user_id"], token, row["kind"]) is not False

    async def _fail(self, db: Database, row: Mapping[str, Any], fault: str, address: str = "") -> None:
        """Put the letter off, or give it up when the next try would come too late."""
        pause = min(FIRST_PAUSE * 2 ** min(row["tries"] - 1, 30), LONGEST_PAUSE)
        pause *= random.uniform(0.8, 1.2)  # noqa: S311  only to spread them
        lives = min(GIVE_UP_SECONDS, self._link_seconds) if row["nonce"] else GIVE_UP_SECONDS
        if row["age"] + pause > lives:
            await self._give_up(db, row, fault, address)
            return
        told = (row["id"], row["kind"], _domain(address), row["tries"], pause, fault)
        log.warning("letter %s (%s) to %s: try %s failed, the next in %.0f s: %s", *told)
        await self._settle(db, "letters/defer", row["id"], row["tries"], pause, fault)

    async def _give_up(self, db: Database, row: Mapping[str, Any], fault: str, address: str) -> None:
        told = (row["id"], row["kind"], _domain(address), row["tries"], fault)
        log.error("letter %s (%s) to %s given up after %s tries: %s", *told)
        await self._settle(db, "letters/give_up", row["id"], row["tries"], fault)

    async def _settle(self, db: Database, statement: str, *arguments: Any) -> None:
        """Write down what became of a letter, even if the database is away for a moment.

        A letter that went out would be sent again otherwise.
        """
        ends = time.monotonic() + SETTLE_SECONDS
        while True:
            try:
                await db.row(statement, *arguments)
                return
            except Exception:
                if time.monotonic() > ends:
                    raise
                await asyncio.sleep(AWAY_SECONDS)

    async def _sweep(self, db: Database) -> None:
        """Forget what was given up long ago, now and then."""
        if time.monotonic() >= self._sweeps_at:
            self._sweeps_at = time.monotonic() + SWEEP_SECONDS * random.uniform(0.5, 1.5)  # noqa: S311  to spread them
            while len(await db.rows("letters/sweep", KEPT_DAYS, SWEEP_ROWS)) == SWEEP_ROWS:
                pass


def _address(row: Mapping[str, Any], account: Mapping[str, Any]) -> str:
    """Where a letter goes: to the address it was queued for, the one it asks to confirm, or the account's own."""
    address: str = row["address"] or (account["pending_email"] if row["kind"] == EMAIL_CHANGE else account["email"])
    return address or ""


def _domain(address: str) -> str:
    return "…@" + address.rpartition("@")[2] if address else "nobody"


def _name_and_place(failure: Exception) -> str:
    """What failed and where. The text of the error is left out: it may contain an address or a token (trust 34)."""
    where = failure.__traceback__
    while where and where.tb_next:
        where = where.tb_next
    place = f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where else "?"
    return f"{type(failure).__name__} at {place}"
