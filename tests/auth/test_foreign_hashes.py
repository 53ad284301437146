"""Hashes that a site brings along are read, within bounds, and cost as much as ours when they do not fit."""

import time
from collections.abc import Iterator
from typing import Any

import argon2
import bcrypt
import pytest

from server.auth import argon2_hashes, foreign_hashes
from server.auth.passwords import Passwords

# The contract's samples (5.1), of the password "correct horse".
PBKDF2 = "pbkdf2_sha256$1000$SaltSaltSaltSaltSaltSa$eZ/YJNeysWehkhXZc4Wzm2a+uGBZDre64w8GGrm7nb0="
BCRYPT = "bcrypt$$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"
SCRYPT = (
    "scrypt$16384$SaltSaltSaltSaltSaltSa$8$5$"
    "+leEs+lcxWq/nhRBQGdlRRiupsrzcke/8Hs0WwwusOLGRvjzuckrp8gMvvTq8cxbySHwEL9GMUXXRDk/717Hcw=="
)
ARGON2 = (
    "argon2$argon2id$v=19$m=102400,t=2,p=8$U2FsdFNhbHRTYWx0U2FsdFNhbHRTYQ$xKV8b8I2A+7EE3qW386r8FpBGdkw8waSjKh2b2qqL90"
)
PBKDF2_SHA1 = "pbkdf2_sha1$1000$SaltSaltSaltSaltSaltSa$srCEseAviwyVRlLKfELfwvnlS/E="  # made as the contract says


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(6, threads=1)
    yield made
    made.close()


@pytest.mark.parametrize("stored", [PBKDF2, PBKDF2_SHA1, BCRYPT, SCRYPT, ARGON2])
async def test_a_foreign_hash_fits_its_own_password_alone_and_is_outdated(passwords: Passwords, stored: str) -> None:
    assert await passwords.check("correct horse", stored)
    assert not await passwords.check("correct horsf", stored)
    assert passwords.is_outdated(stored)


@pytest.mark.parametrize("kind", ["i", "d", "id"])
async def test_argon2_is_run_as_its_own_library_runs_it(passwords: Passwords, kind: str) -> None:
    theirs = argon2.low_level.hash_secret(b"correct horse", b"saltsaltsalt", 3, 256, 4, 32, argon2.Type[kind.upper()])
    assert await passwords.check("correct horse", "argon2" + theirs.decode())
    assert not await passwords.check("correct horsf", "argon2" + theirs.decode())


async def test_without_its_library_argon2_fits_nobody(passwords: Passwords, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(argon2_hashes, "IS_THERE", False)
    assert not await passwords.check("correct horse", ARGON2)


async def test_beyond_what_bcrypt_reads_nothing_fits(passwords: Passwords) -> None:
    stored = "bcrypt$" + bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
    assert await passwords.check("x" * 72, stored)
    assert not await passwords.check("x" * 73, stored)


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param(PBKDF2.replace("$1000$", "$3000001$"), id="iterations"),
        pytest.param(PBKDF2.replace("$1000$", f"${10**12}$"), id="many iterations"),
        pytest.param(PBKDF2.replace("$1000$", "$0$"), id="no iterations"),
        pytest.param(PBKDF2.replace("sha256", "md5"), id="another digest"),
        pytest.param(PBKDF2[:-5], id="cut off"),
        pytest.param(PBKDF2_SHA1.replace("sha1", "sha256"), id="another length"),
        pytest.param(SCRYPT.replace("$16384$", "$16383$"), id="no power of two"),
        pytest.param(SCRYPT.replace("$16384$", "$1048576$"), id="memory"),
        pytest.param(SCRYPT.replace("$8$5$", "$8$99$"), id="lanes"),
        pytest.param(SCRYPT.replace("$8$5$", "$0$5$"), id="no blocks"),
        pytest.param(ARGON2.replace("m=102400", "m=4194304"), id="argon2 memory"),
        pytest.param(ARGON2.replace("m=102400", "m=63"), id="argon2 without memory"),
        pytest.param(ARGON2.replace("t=2", "t=900"), id="argon2 passes"),
        pytest.param(ARGON2.replace("t=2", "t=0"), id="argon2 no pass"),
        pytest.param(ARGON2.replace("p=8", "p=999"), id="argon2 lanes"),
        pytest.param(ARGON2.replace("p=8", "p=0"), id="argon2 no lane"),
        pytest.param(BCRYPT.replace("$04$", "$17$"), id="rounds"),
        pytest.param(BCRYPT.replace("$04$", "$03$"), id="too few rounds"),
        pytest.param("bcrypt_sha256$" + BCRYPT.partition("$")[2].replace("$04$", "$31$"), id="rounds of ours"),
        pytest.param("bcrypt_sha256$" + BCRYPT.partition("$")[2].replace("$04$", "$03$"), id="too few of ours"),
        pytest.param("md5$SaltSaltSaltSaltSaltSa$6a5aceaf393d669329742a7dfcd58beb", id="md5"),
    ],
)
async def test_what_asks_for_too_much_or_is_damaged_is_not_run_and_costs_one_hash(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch, stored: str
) -> None:
    run: list[bytes] = []
    hashpw = bcrypt.hashpw
    monkeypatch.setattr(bcrypt, "hashpw", lambda password, salt: run.append(salt[:7]) or hashpw(password, salt))
    monkeypatch.setattr(bcrypt, "checkpw", lambda *given: pytest.fail("it was run"))
    assert foreign_hashes.read(stored) is None
    assert not await passwords.check("correct horse", stored)
    assert run == [b"$2b$06$"]


@pytest.mark.parametrize(
    ("share", "filled"),
    [(0.5, [b"05"]), (0.25, [b"05", b"04"]), (0.7, [b"04"]), (1.0, []), (3.0, [])],
)
async def test_a_foreign_hash_that_does_not_fit_is_filled_up_to_the_cost_of_ours(
    passwords: Passwords, monkeypatch: pytest.MonkeyPatch, share: float, filled: list[bytes]
) -> None:
    run: list[bytes] = []
    clock = iter([0.0, share * 8])
    hashpw: Any = bcrypt.hashpw
    monkeypatch.setattr(bcrypt, "hashpw", lambda password, salt: run.append(salt[4:6]) or hashpw(password, salt))
    monkeypatch.setattr(time, "thread_time", lambda: next(clock))
    passwords._seconds = 8.0
    assert not await passwords.check("wrong", PBKDF2)
    assert run == filled
