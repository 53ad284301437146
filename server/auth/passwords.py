"""Hashes passwords in a bounded number of threads, with a bounded queue before them (security 10).

bcrypt reads only 72 bytes. It is given the SHA-256 of the password, so that every character counts (`bcrypt_sha256`,
contract 5.1). A check that fails costs as much as one hash of the configured strength, whatever is stored and even if
nothing is stored: the response time reveals nothing (security 8).
"""

import asyncio
import contextlib
import contextvars
import functools
import hashlib
import os
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

import bcrypt

from server.auth import foreign_hashes
from server.errors import Busy, Problem
from server.telemetry import metrics

Result = TypeVar("Result")


class ClientLeft(Problem):
    """The client has closed the connection. It does not get this response."""

    status = 400
    text = "The client has closed the connection."


class ClientConnection(Protocol):
    """The connection of the client that waits for a response.

    `transport` is None after the client has disconnected. `waiting` is the task to cancel at that moment.
    """

    transport: Any
    waiting: "asyncio.Task[Any] | None"


client_connection: contextvars.ContextVar[ClientConnection | None] = contextvars.ContextVar(
    "client_connection", default=None
)

MIN_ROUNDS = 4  # the minimum of bcrypt
HASH_QUEUE_LENGTH = 64  # callers; at 12 rounds and with one thread the last one waits twenty seconds
THREAD_NICENESS = 5  # when every core is busy, the event loop runs first; otherwise it makes no difference
_PREFIX = "bcrypt_sha256$"
_OURS = re.compile(r"bcrypt_sha256\$\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")


class Passwords:
    """Hashes and checks passwords with bcrypt of `rounds`."""

    def __init__(self, rounds: int, *, threads: int = 1, queue_length: int = HASH_QUEUE_LENGTH) -> None:
        self._rounds = rounds
        self._queue_length = queue_length
        self._waiting = 0
        self._places: Counter[str] = Counter()  # in the queue, by whom they are for
        self._slots = asyncio.Semaphore(threads)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="hash", initializer=_lower_priority)
        metrics.HASH_THREADS.set(threads)

    async def hash(self, password: str, *, holders: Collection[str] = ()) -> str:
        """The stored form of a password: `bcrypt_sha256$$2b$…`. Raises Busy as `slot` does."""
        async with self.slot(holders) as slot:
            return await slot.hash(password)

    async def check(self, password: str, stored: str | None, *, holders: Collection[str] = ()) -> bool:
        """Whether `password` fits `stored`. Raises Busy as `slot` does.

        False, at the cost of one hash, if no password can fit `stored`.
        """
        async with self.slot(holders) as slot:
            return await slot.check(password, stored)

    @asynccontextmanager
    async def slot(self, holders: Collection[str] = ()) -> AsyncIterator["Slot"]:
        """Wait for a thread, and keep it for the block. Raises Busy when the queue is full.

        Raises it also when one of `holders`, an account or a network, has as many places in the queue as are free: so
        none of them fills it, and one that has no place finds one (docs/decisions/limits.md).
        What the block awaits beside hashing must be short: the thread does nothing meanwhile.
        """
        await self._wait_for_slot(holders)
        slot = Slot(self)
        try:
            yield slot
        finally:
            slot.release()

    def refuse_when_full(self, holders: Collection[str] = ()) -> None:
        """Raises Busy as `slot` does. Without `holders`, a caller asks before it sends the statements of a sign-in."""
        free = self._queue_length - self._waiting
        if free <= 0 or any(self._places[holder] >= free for holder in holders):
            metrics.HASH_REFUSED.add()
            raise Busy

    def is_outdated(self, stored: str) -> bool:
        """Whether a hash has fewer rounds than configured or a foreign format, so that the next sign-in replaces it."""
        ours = _OURS.fullmatch(stored)
        return ours is None or int(ours[1]) < self._rounds

    def close(self) -> None:
        """Finish the hashes that are running; drop those that have not begun."""
        self._threads.shutdown(cancel_futures=True)

    async def _wait_for_slot(self, holders: Collection[str]) -> None:
        """Wait for a free thread. Raises Busy when the queue is full, ClientLeft."""
        self.refuse_when_full(holders)
        connection, began = client_connection.get(), time.perf_counter()
        if connection is not None and connection.transport is None:
            metrics.HASH_LEFT.add()
            raise ClientLeft
        try:
            self._count_waiting(1, holders, connection, asyncio.current_task())
            await self._slots.acquire()  # a caller that is cancelled here leaves the queue; no hash is run for it
        except asyncio.CancelledError:
            metrics.HASH_LEFT.add()
            raise
        finally:
            self._count_waiting(-1, holders, connection, None)
        metrics.HASH_WAIT_SECONDS.observe(time.perf_counter() - began)

    def _count_waiting(
        self,
        change: int,
        holders: Collection[str],
        connection: ClientConnection | None,
        waiting: "asyncio.Task[Any] | None",
    ) -> None:
        self._waiting += change
        for holder in holders:
            self._places[holder] += change
            if not self._places[holder]:
                del self._places[holder]
        metrics.HASH_WAITING.add(by=change)
        if connection is not None:
            connection.waiting = waiting

    def _hash(self, password: str) -> str:
        return _PREFIX + bcrypt.hashpw(_digest(password), bcrypt.gensalt(self._rounds)).decode()

    def _check(self, password: str, stored: str | None) -> bool:
        if ours := _OURS.fullmatch(stored or ""):
            rounds = int(ours[1])
            if MIN_ROUNDS <= rounds <= max(self._rounds, foreign_hashes.MAX_BCRYPT_ROUNDS):
                fits = bcrypt.checkpw(_digest(password), ours[0].removeprefix(_PREFIX).encode())
                return fits or self._spend_time(1 - 2.0 ** (rounds - self._rounds))
        elif foreign := foreign_hashes.read(stored or ""):
            began = time.thread_time()
            fits = foreign(_bytes(password))
            return fits or self._spend_time(1 - (time.thread_time() - began) / self._hash_seconds)
        return self._spend_time(1)

    def _spend_time(self, share: float) -> bool:
        """Run smaller hashes that together cost about this share of one hash. Always False."""
        for rounds in range(self._rounds, MIN_ROUNDS - 1, -1):
            cost = 2.0 ** (rounds - self._rounds)
            if cost <= share:
                bcrypt.hashpw(_digest(""), bcrypt.gensalt(rounds))
                share -= cost
        return False

    @functools.cached_property
    def _hash_seconds(self) -> float:
        """The thread time of one hash, measured once with a hash of a sixteenth of its cost."""
        rounds = max(self._rounds - 4, MIN_ROUNDS)
        began = time.thread_time()
        bcrypt.hashpw(_digest(""), bcrypt.gensalt(rounds))
        return (time.thread_time() - began) * 2.0 ** (self._rounds - rounds)


def format_of(stored: str) -> str | None:
    """The format of a hash, such as `bcrypt_sha256` or `argon2`; None when no password fits it, whatever is typed."""
    if _OURS.fullmatch(stored) or foreign_hashes.read(stored):
        return stored.partition("$")[0]
    return None


class Slot:
    """A hashing thread that one caller holds."""

    def __init__(self, passwords: Passwords) -> None:
        self._passwords = passwords
        self._running: asyncio.Future[Any] | None = None

    async def hash(self, password: str) -> str:
        """The stored form of a password."""
        return await self._run(self._passwords._hash, password)

    async def check(self, password: str, stored: str | None) -> bool:
        """Whether `password` fits `stored`; as Passwords.check."""
        return await self._run(self._passwords._check, password, stored)

    def release(self) -> None:
        """Let the next caller have the thread, as soon as it is done: a cancelled caller does not stop it."""
        if self._running is None or self._running.done():
            self._passwords._slots.release()
        else:
            self._running.add_done_callback(lambda _: self._passwords._slots.release())

    async def _run(self, work: Callable[..., Result], *arguments: object) -> Result:
        passwords = self._passwords
        metrics.HASH_RUNNING.add()
        running = asyncio.get_running_loop().run_in_executor(passwords._threads, work, *arguments)
        running.add_done_callback(lambda _: metrics.HASH_RUNNING.add(by=-1))
        self._running = running
        return await asyncio.shield(running)


def _bytes(password: str) -> bytes:
    # Fields refuse lone surrogates. An encoding error here would contain the password in its text.
    return password.encode("utf-8", "surrogatepass")


def _lower_priority() -> None:
    if sys.platform == "linux":  # other systems have no priority for a single thread
        with contextlib.suppress(OSError):  # a sandbox may forbid it
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), THREAD_NICENESS)


def _digest(password: str) -> bytes:
    return hashlib.sha256(_bytes(password)).hexdigest().encode()
