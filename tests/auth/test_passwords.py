"""Passwords are hashed outside the event loop, in a bounded number of threads. Every failed check costs one hash."""

import asyncio
import gc
import os
import sys
import threading
import weakref
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import bcrypt
import pytest

from server.auth.passwords import THREAD_NICENESS, ClientLeft, Passwords, client_connection
from server.errors import Busy

SAMPLE = "bcrypt_sha256$$2b$04$abcdefghijklmnopqrstuuIvyWZlBcE3WoQXKqRnwrLYJ6nenE0Bq"  # contract 5.1


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(4, threads=1, queue_length=2)
    yield made
    made.close()


class Counting:
    """Wraps bcrypt: notes the thread and its niceness for each call, and holds calls while `gate` is not set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gate = threading.Event()
        self.gate.set()
        self.threads: list[str] = []
        self.niceness: list[int] = []
        for name in ("hashpw", "checkpw"):
            monkeypatch.setattr(bcrypt, name, self._around(getattr(bcrypt, name)))

    def _around(self, function: Any) -> Any:
        def counted(*arguments: Any) -> Any:
            self.threads.append(threading.current_thread().name)
            self.niceness.append(os.getpriority(os.PRIO_PROCESS, 0))  # 0 is the calling thread
            self.gate.wait(10)
            return function(*arguments)

        return counted


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counting]:
    counting = Counting(monkeypatch)
    yield counting
    counting.gate.set()


async def test_a_password_fits_only_its_own_hash(passwords: Passwords) -> None:
    stored = await passwords.hash("correct horse")
    assert stored.startswith("bcrypt_sha256$$2b$04$")
    assert await passwords.check("correct horse", stored)
    assert not await passwords.check("correct hors", stored)


async def test_the_sample_of_the_contract_fits(passwords: Passwords) -> None:
    assert await passwords.check("correct horse", SAMPLE)


async def test_every_character_counts_not_only_the_first_72_bytes(passwords: Passwords) -> None:
    stored = await passwords.hash("x" * 128)
    assert await passwords.check("x" * 128, stored)
    assert not await passwords.check("x" * 72, stored)


@pytest.mark.parametrize("password", ["", "\0", "\ud800", "é" * 2048])
async def test_every_text_can_be_hashed_and_checked(passwords: Passwords, password: str) -> None:
    assert await passwords.check(password, await passwords.hash(password))


@pytest.mark.parametrize("stored", [None, "", "!", "!unusable", "md5$salt$hex", SAMPLE[:-1], SAMPLE + "x"])
async def test_a_check_of_a_hash_that_no_password_fits_costs_one_hash(
    passwords: Passwords, hashes: Counting, stored: str | None
) -> None:
    assert not await passwords.check("correct horse", stored)
    assert len(hashes.threads) == 1


@pytest.mark.parametrize("rounds", [4, 5, 7, 8])
async def test_a_failed_check_costs_the_same_whatever_strength_is_stored(
    monkeypatch: pytest.MonkeyPatch, rounds: int
) -> None:
    spent: list[int] = []

    def noting(function: Any) -> Any:
        def noted(password: bytes, salt: bytes) -> Any:
            spent.append(2 ** int(salt[4:6]))
            return function(password, salt)

        return noted

    stored = SAMPLE.replace("$04$", f"$0{rounds}$")
    passwords = Passwords(8, threads=1)
    for name in ("hashpw", "checkpw"):
        monkeypatch.setattr(bcrypt, name, noting(getattr(bcrypt, name)))
    assert not await passwords.check("wrong", stored)
    assert sum(spent) == 2**8
    passwords.close()


async def test_hashing_does_not_block_the_event_loop(passwords: Passwords, hashes: Counting) -> None:
    hashes.gate.clear()
    hashing = asyncio.create_task(passwords.hash("x"))
    for _ in range(1000):
        await asyncio.sleep(0)
    assert not hashing.done()
    hashes.gate.set()
    await hashing
    assert threading.current_thread().name not in hashes.threads


async def test_hashing_threads_have_a_lower_priority_than_the_event_loop(
    passwords: Passwords, hashes: Counting
) -> None:
    # Only Linux has priorities of single threads.
    more = THREAD_NICENESS if sys.platform == "linux" else 0
    await passwords.hash("x")
    assert hashes.niceness == [os.getpriority(os.PRIO_PROCESS, 0) + more]


async def test_with_the_queue_full_the_next_caller_gets_busy_at_once(passwords: Passwords, hashes: Counting) -> None:
    hashes.gate.clear()
    running = [asyncio.create_task(passwords.hash("x")) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await passwords.check("x", None)
    hashes.gate.set()
    await asyncio.gather(*running)
    assert len(hashes.threads) == 3
    assert await passwords.hash("x")


async def test_a_caller_that_leaves_the_queue_is_not_hashed_and_frees_its_place(
    passwords: Passwords, hashes: Counting
) -> None:
    hashes.gate.clear()
    first, leaves, third = [asyncio.create_task(passwords.hash("x")) for _ in range(3)]
    await asyncio.sleep(0)
    leaves.cancel()
    await asyncio.gather(leaves, return_exceptions=True)
    fourth = asyncio.create_task(passwords.hash("x"))
    await asyncio.sleep(0)
    hashes.gate.set()
    await asyncio.gather(first, third, fourth)
    assert len(hashes.threads) == 3


async def test_a_client_that_has_disconnected_before_the_queue_is_not_hashed(
    passwords: Passwords, hashes: Counting
) -> None:
    client_connection.set(SimpleNamespace(transport=None, waiting=None))
    with pytest.raises(ClientLeft):
        await passwords.hash("x")
    assert hashes.threads == []


async def test_a_caller_that_leaves_during_its_hash_frees_the_thread_only_when_the_hash_is_done(
    passwords: Passwords, hashes: Counting
) -> None:
    hashes.gate.clear()
    leaves = asyncio.create_task(passwords.hash("x"))
    await asyncio.sleep(0)
    leaves.cancel()
    await asyncio.gather(leaves, return_exceptions=True)
    second = asyncio.create_task(passwords.hash("x"))
    for _ in range(100):
        await asyncio.sleep(0)
    assert len(hashes.threads) == 1
    hashes.gate.set()
    await second


@pytest.mark.parametrize(
    ("stored", "outdated"),
    [
        (SAMPLE, True),
        (SAMPLE.replace("$04$", "$05$"), False),
        (SAMPLE.replace("$04$", "$12$"), False),
        ("md5$a$b", True),
    ],
)
def test_a_weaker_or_foreign_hash_is_outdated(stored: str, outdated: bool) -> None:
    passwords = Passwords(5, threads=1)
    assert passwords.is_outdated(stored) is outdated
    passwords.close()


async def test_a_holder_has_no_more_places_in_the_queue_than_are_left_for_others(hashes: Counting) -> None:
    passwords = Passwords(4, threads=1, queue_length=6)
    hashes.gate.clear()

    async def places(*holders: str) -> list[str]:
        """Ask for a hash until it is refused: the holders of each place."""
        found: list[str] = []
        while True:
            asked = asyncio.create_task(passwords.hash("x", holders=holders))
            await asyncio.sleep(0)
            if asked.done():
                assert isinstance(asked.exception(), Busy)
                return found
            found.append(holders[0])
            waiting.append(asked)

    waiting = [asyncio.create_task(passwords.hash("x"))]  # it has the thread
    await asyncio.sleep(0)
    assert await places("account 1", "network a") == ["account 1"] * 3
    assert await places("account 2", "network a") == []  # of the same network
    assert await places("account 2", "network b") == ["account 2"] * 2
    assert await places("account 3", "network c") == ["account 3"]
    hashes.gate.set()
    await asyncio.gather(*waiting)
    assert await passwords.hash("x", holders=("account 1", "network a"))
    passwords.close()


async def test_a_holder_is_forgotten_when_it_has_left_the_queue(passwords: Passwords) -> None:
    class Name(str):
        """A text that can be watched."""

        __slots__ = ("__weakref__",)

    holder = Name("account 1")
    watched = weakref.ref(holder)
    await passwords.hash("x", holders=(holder,))
    del holder
    gc.collect()
    assert watched() is None
