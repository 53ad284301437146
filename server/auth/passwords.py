"""Passwords are hashed off the event loop, in a bounded number of threads with a bounded queue before them.

bcrypt reads 72 bytes; so that every character counts it is given the SHA-256 of the password (`bcrypt_sha256`,
contract 5.1). Whoever has no password that could fit costs a hash, too, and one that does not fit costs as much as a
hash of today's strength, whatever is stored: time tells nothing (trust 8).
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
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import bcrypt

from server.auth import foreign_hashes
from server.errors import Busy
from server.telemetry.metrics import Metrics

Result = TypeVar("Result")


class Caller(Protocol):
    """Whoever waits for an answer: `transport` is None once they have left, and then `waiting` is cancelled."""

    transport: Any
    waiting: "asyncio.Task[Any] | None"


caller: contextvars.ContextVar[Caller | None] = contextvars.ContextVar("caller", default=None)

MIN_ROUNDS = 4  # bcrypt takes no fewer
WAITING = 64  # callers before the threads; at 12 rounds the last of them waits twenty seconds before one thread
NICENESS = 5  # of the threads: with every core busy the event loop goes first; at rest it costs nothing
_PREFIX = "bcrypt_sha256$"
_OURS = re.compile(r"bcrypt_sha256\$\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}")


class Passwords:
    """Hashes and checks passwords."""

    def __init__(
        self, rounds: int, *, threads: int = 1, waiting: int = WAITING, metrics: Metrics | None = None
    ) -> None:
        self._rounds = rounds
        self._limit = waiting
        self._waiting = 0
        self._lanes = asyncio.Semaphore(threads)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="hash", initializer=_step_back)
        self._metrics = metrics or Metrics.alone()
        self._metrics.add("hash_threads", threads)

    async def hash(self, password: str) -> str:
        """The stored form of a password: `bcrypt_sha256$$2b$…`. Raises Busy when the queue is full."""
        return await self._run(self._hash, password)

    async def check(self, password: str, stored: str | None) -> bool:
        """Whether `password` fits `stored`; what can fit nothing costs one hash and is False. Raises Busy."""
        return await self._run(self._check, password, stored)

    def is_outdated(self, stored: str) -> bool:
        """Whether a hash is weaker than today's or foreign, and is to be written anew at the next sign-in."""
        ours = _OURS.fullmatch(stored)
        return ours is None or int(ours[1]) < self._rounds

    def close(self) -> None:
        """Run what is under way to its end, and no more."""
        self._threads.shutdown(cancel_futures=True)

    async def _run(self, work: Callable[..., Result], *arguments: object) -> Result:
        await self._turn()
        self._metrics.add("hash_running")
        running = asyncio.get_running_loop().run_in_executor(self._threads, work, *arguments)
        running.add_done_callback(lambda _: self._free())  # when the thread is done, not when the caller has left
        return await asyncio.shield(running)

    def _free(self) -> None:
        self._metrics.add("hash_running", -1)
        self._lanes.release()

    async def _turn(self) -> None:
        """Wait for a thread. Raises Busy, and ConnectionResetError when nobody waits for the answer any more."""
        if self._waiting >= self._limit:
            self._metrics.add("hash_refused_total")
            raise Busy
        whose, began = caller.get(), time.perf_counter()
        if whose is not None and whose.transport is None:
            self._metrics.add("hash_left_total")
            raise ConnectionResetError
        try:
            self._queue(1, whose, asyncio.current_task())
            await self._lanes.acquire()  # who is cancelled here leaves the queue, and no hash is run
        except asyncio.CancelledError:
            self._metrics.add("hash_left_total")
            raise
        finally:
            self._queue(-1, whose, None)
        self._metrics.add("hash_waits_total")
        self._metrics.add("hash_wait_seconds_total", time.perf_counter() - began)

    def _queue(self, one: int, whose: Caller | None, waiting: "asyncio.Task[Any] | None") -> None:
        self._waiting += one
        self._metrics.add("hash_waiting", one)
        if whose is not None:
            whose.waiting = waiting

    def _hash(self, password: str) -> str:
        return _PREFIX + bcrypt.hashpw(_digest(password), bcrypt.gensalt(self._rounds)).decode()

    def _check(self, password: str, stored: str | None) -> bool:
        if ours := _OURS.fullmatch(stored or ""):
            rounds = int(ours[1])
            if MIN_ROUNDS <= rounds <= max(self._rounds, foreign_hashes.MAX_BCRYPT_ROUNDS):
                fits = bcrypt.checkpw(_digest(password), ours[0].removeprefix(_PREFIX).encode())
                return fits or self._spend(1 - 2.0 ** (rounds - self._rounds))
        elif foreign := foreign_hashes.read(stored or ""):
            began = time.thread_time()
            fits = foreign(_bytes(password))
            return fits or self._spend(1 - (time.thread_time() - began) / self._seconds)
        return self._spend(1)

    def _spend(self, share: float) -> bool:
        """Spend this share of what a hash costs, as near as a sum of smaller hashes comes to it; always False."""
        for rounds in range(self._rounds, MIN_ROUNDS - 1, -1):
            cost = 2.0 ** (rounds - self._rounds)
            if cost <= share:
                bcrypt.hashpw(_digest(""), bcrypt.gensalt(rounds))
                share -= cost
        return False

    @functools.cached_property
    def _seconds(self) -> float:
        """The time that a hash takes its thread, measured once, at a sixteenth of its cost."""
        rounds = max(self._rounds - 4, MIN_ROUNDS)
        began = time.thread_time()
        bcrypt.hashpw(_digest(""), bcrypt.gensalt(rounds))
        return (time.thread_time() - began) * 2.0 ** (self._rounds - rounds)


def _bytes(password: str) -> bytes:
    # Fields refuse lone surrogates; should one come here all the same, it must not raise with the password in its text.
    return password.encode("utf-8", "surrogatepass")


def _step_back() -> None:
    if sys.platform == "linux":  # elsewhere a thread has no priority of its own
        with contextlib.suppress(OSError):  # a sandbox may forbid it
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


def _digest(password: str) -> bytes:
    return hashlib.sha256(_bytes(password)).hexdigest().encode()
